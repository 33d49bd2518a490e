"""Loops are kept running, and seen when they stand still."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from shared import loops
from shared.faults import fault_point
from shared.health import loops_alive, run_checks
from shared.loops import Heartbeat, Loop, every, supervise
from shared.telemetry import metrics
from shared.telemetry.families import Measured


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """Restart delays, recorded and shortened."""
    recorded: list[float] = []
    real = asyncio.wait_for

    async def wait_for(awaitable, seconds):
        recorded.append(seconds)
        return await real(awaitable, 0.001)

    monkeypatch.setattr(loops.asyncio, "wait_for", wait_for)
    return recorded


async def run_until(loop: Loop, rounds: float, count) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(supervise(loop, stop))
    async with asyncio.timeout(5):
        while count() < rounds:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    stop.set()
    await task


async def test_a_failing_loop_is_started_again_after_a_growing_delay(waits):
    runs = 0

    async def body(stop, heartbeat):
        nonlocal runs
        runs += 1
        raise RuntimeError("boom")

    await run_until(Loop("failing", body), 9, lambda: runs)
    assert waits[:8] == [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 10.0, 10.0]


async def test_a_loop_that_ran_well_for_a_while_is_started_again_at_once(waits, monkeypatch):
    monkeypatch.setattr(loops, "STEADY_SECONDS", 0.0)
    runs = 0

    async def body(stop, heartbeat):
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.002)
        raise RuntimeError("after a long and good life")

    await run_until(Loop("steady", body), 4, lambda: runs)
    assert set(waits) == {0.2}


async def test_a_loop_that_ends_early_is_started_again(waits):
    runs = 0

    async def body(stop, heartbeat):
        nonlocal runs
        runs += 1

    await run_until(Loop("short", body), 3, lambda: runs)
    assert runs >= 3


async def test_a_loop_that_is_told_to_stop_is_not_started_again():
    runs = 0

    async def body(stop, heartbeat):
        nonlocal runs
        runs += 1
        await stop.wait()

    stop = asyncio.Event()
    task = asyncio.create_task(supervise(Loop("calm", body), stop))
    await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(task, 1)
    assert runs == 1


async def test_a_cancelled_loop_is_cancelled():
    async def body(stop, heartbeat):
        await stop.wait()

    task = asyncio.create_task(supervise(Loop("cancelled", body), asyncio.Event()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_is_done_at_once_and_then_every_so_often_until_told_to_stop():
    moments: list[float] = []
    stop = asyncio.Event()

    async def work() -> None:
        moments.append(time.monotonic())
        if len(moments) == 3:
            stop.set()

    started = time.monotonic()
    await asyncio.wait_for(every(0.05, work)(stop, Heartbeat(1)), 5)
    assert moments[0] - started < 0.04
    assert moments[2] - moments[0] >= 0.09


def shown(family: Any, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(family.made())
    return registry.get_sample_value(family.name, labels)


async def test_a_loop_that_comes_round_and_fails_has_an_old_success_and_no_figures(waits):
    labelled = Measured("press_test_labelled", "x", ["who"])
    plain = Measured("press_test_plain", "x")
    labelled.labels("me").set(7)
    plain.set(7)

    async def body(stop, heartbeat):
        raise RuntimeError("boom")

    loop = Loop("looking", body, 5.0, gauges=(labelled, plain))
    before = time.time()
    rounds = 3 + (shown(metrics.LOOP_FAILURES, loop="looking") or 0)
    await run_until(loop, rounds, lambda: shown(metrics.LOOP_FAILURES, loop="looking") or 0)
    since = shown(metrics.LOOP_SUCCESS, loop="looking")
    assert since is not None
    assert before - 0.01 <= since < time.time()  # the start, and not moved by any failing round
    assert shown(metrics.LOOP_LIMIT, loop="looking") == 5.0
    assert shown(labelled, who="me") is None
    assert math.isnan(shown(plain) or 0.0)
    loop.heartbeat.succeeded()
    now = shown(metrics.LOOP_SUCCESS, loop="looking")
    assert now is not None
    assert now > since


async def test_a_silent_loop_makes_the_process_unhealthy():
    async def body(stop, heartbeat):
        await stop.wait()

    calm, silent = Loop("calm", body), Loop("silent", body, limit_seconds=0.01)
    await asyncio.sleep(0.03)
    alive, report = loops_alive([calm, silent])
    assert not alive
    assert report == {"calm": "ok", "silent": "silent 0 s"}
    silent.heartbeat.beat()
    assert loops_alive([calm, silent]) == (True, {"calm": "ok", "silent": "ok"})


async def test_readiness_names_what_failed_and_waits_for_nobody(monkeypatch):
    monkeypatch.setattr("shared.health.CHECK_TIMEOUT_SECONDS", 0.05)

    async def good() -> None: ...

    async def bad() -> None:
        raise ConnectionError("password=hunter2")

    async def stuck() -> None:
        await asyncio.sleep(60)

    ready, report = await run_checks({"database": good, "nats": bad, "disk": stuck})
    assert not ready
    assert report == {
        "database": "ok",
        "nats": "failed: ConnectionError",
        "disk": "failed: TimeoutError",
    }
    assert (await run_checks({"database": good}))[0]


async def test_a_fault_point_does_nothing_outside_of_fault_tests():
    await fault_point("relay.after_publish")
