"""Long-running loops of a worker: supervised, observed, stopped in order.

A loop that fails is reported and started again after a growing delay; a loop that stands still longer than its limit
makes ``/healthz`` fail, so that whoever runs the process restarts it. A loop that comes round and fails each time is
alive, and seen by the age of its last success (``press_loop_last_success_timestamp_seconds``); the gauges it keeps are
unknown from its first failure on, because the last good value would say that all is well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from shared.telemetry import metrics
from shared.telemetry.families import Measured

log = structlog.get_logger(__name__)

RESTART_DELAYS_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_SECONDS = 60.0
STOP_SECONDS = 10.0


class Heartbeat:
    """When a loop last came round, and when it last did its work."""

    def __init__(
        self, limit_seconds: float, name: str = "", gauges: Sequence[Measured] = ()
    ) -> None:
        self.limit_seconds = limit_seconds
        self._name = name
        self._gauges = gauges
        self._last = time.monotonic()

    def start(self) -> None:
        """The first round begins: from now on the loop owes a success."""
        self.succeeded()
        metrics.LOOP_LIMIT.labels(self._name).set(self.limit_seconds)
        metrics.LOOP_FAILURES.labels(self._name)

    def beat(self) -> None:
        """The loop comes round; whether its work is done is not said."""
        self._last = time.monotonic()

    def succeeded(self) -> None:
        """A round has done its work (also when there was none to do)."""
        self.beat()
        metrics.LOOP_SUCCESS.labels(self._name).set_to_current_time()

    def failed(self) -> None:
        """A round could not do its work: what the loop measures is unknown."""
        metrics.LOOP_FAILURES.labels(self._name).inc()
        for gauge in self._gauges:
            gauge.unknown()

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._last

    @property
    def alive(self) -> bool:
        return self.age_seconds <= self.limit_seconds


LoopBody = Callable[[asyncio.Event, Heartbeat], Awaitable[None]]


@dataclass(slots=True)
class Loop:
    """A named loop body; ``limit_seconds`` is how long one round may take at the most, and how old the last success
    may be. ``gauges`` are those that only this loop sets."""

    name: str
    body: LoopBody
    limit_seconds: float = 60.0
    gauges: Sequence[Measured] = ()
    heartbeat: Heartbeat = field(init=False)

    def __post_init__(self) -> None:
        self.heartbeat = Heartbeat(self.limit_seconds, self.name, self.gauges)


async def supervise(loop: Loop, stop: asyncio.Event) -> None:
    """Run a loop until ``stop``; restart it when it fails or ends early."""
    failures = 0
    loop.heartbeat.start()
    while not stop.is_set():
        loop.heartbeat.beat()
        started = time.monotonic()
        try:
            await loop.body(stop, loop.heartbeat)
            if stop.is_set():
                return
            log.error("loop_ended_early", loop=loop.name)
        except asyncio.CancelledError:
            raise
        except Exception:
            # Nothing is lost by carrying on: every loop's work is transactional and is taken up again.
            log.exception("loop_failed", loop=loop.name)
            loop.heartbeat.failed()
        # A loop that ran well for a while starts again at once, whatever happened before.
        failures = 1 if time.monotonic() - started > STEADY_SECONDS else failures + 1
        delay = RESTART_DELAYS_SECONDS[min(failures, len(RESTART_DELAYS_SECONDS)) - 1]
        try:
            await asyncio.wait_for(stop.wait(), delay)
        except TimeoutError:
            continue


def every(seconds: float, work: Callable[[], Awaitable[None]]) -> LoopBody:
    """A loop body that calls ``work`` at once and then every ``seconds``."""

    async def body(stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        while not stop.is_set():
            heartbeat.beat()
            await work()
            heartbeat.succeeded()
            try:
                await asyncio.wait_for(stop.wait(), seconds)
            except TimeoutError:
                continue

    return body


@asynccontextmanager
async def running_loops(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Loops beside something else (a web process): started at once, asked to stop at the end and waited for."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(supervise(loop, stop), name=loop.name) for loop in loops]
    try:
        yield
    finally:
        stop.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                log.error("loop_did_not_stop", loop=task.get_name())
                task.cancel()
