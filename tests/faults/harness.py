"""Runs real processes and breaks them at named points.

A :class:`Part` is a child process (``python -m <module> <arguments>``) with an environment; it can be told to stop at
a fault point, or to kill itself there, once. Use from a test:

    part = Part("relay", ["tests.faults.relay_and_consumer", "relay"], env, folder)
    part.start(fault="relay.after_publish", action="pause")
    part.wait_reached()          # it stands at the point, transaction open
    nats_server.kill(); nats_server.start()
    part.release()               # it goes on; or part.kill(), part.start() for a crash there

Every wait has a deadline and fails with the end of the process's log. Start servers and parts in the test's own
thread: children die with the thread that started them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal

from infra.local.child import Running, last_lines
from tests.fixtures.forked import python

DEADLINE_SECONDS = 30.0


def wait_for(
    condition: Callable[[], Any],
    what: str,
    *,
    seconds: float = DEADLINE_SECONDS,
    logs: Sequence[Path] = (),
) -> Any:
    """The first true answer; fails after ``seconds`` with what was waited for and the ends of the logs."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline:
            ends = "\n".join(f"--- {log.name}\n{last_lines(log)}" for log in logs)
            raise AssertionError(
                f"not within {seconds:g} s: {what} (last answer: {answer!r})\n{ends}"
            )
        time.sleep(0.02)


class Part:
    """One process under test."""

    def __init__(
        self, name: str, module_and_arguments: Sequence[str], env: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self._arguments = list(module_and_arguments)
        self._env = dict(env)
        self._folder = folder
        self._numbers = count(1)
        self._latch = folder / f"{name}.latch"
        self.log = folder / f"{name}.log"
        self._child: Running | None = None

    def start(self, *, fault: str = "", action: Literal["kill", "pause"] = "kill") -> Part:
        """Start it, with a fault armed when one is named (each start arms anew)."""
        environment = {**os.environ, **self._env, "FAULT_POINT": "", "FAULT_LATCH": ""}
        if fault:
            self._latch = self._folder / f"{self.name}.{next(self._numbers)}.latch"
            environment |= {
                "FAULT_POINT": fault,
                "FAULT_ACTION": action,
                "FAULT_LATCH": str(self._latch),
            }
        self._child = python(self.name, self._arguments, log=self.log, env=environment)
        self._child.start()
        return self

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    def _mark(self, name: str) -> Path:
        return Path(f"{self._latch}.{name}")

    def wait_killed(self) -> None:
        """It has reached its point and is gone. A process that ended for another reason fails the test."""
        wait_for(lambda: not self.alive, f"{self.name} kills itself", logs=[self.log])
        assert self._child is not None
        assert self._mark("fired").exists() and self._child.returncode == -signal.SIGKILL, (
            f"{self.name} ended with {self._child.returncode} before its fault point:\n"
            f"{last_lines(self.log)}"
        )

    def wait_reached(self) -> None:
        """It stands at its point."""
        wait_for(
            lambda: self._mark("reached").exists() or not self.alive,
            f"{self.name} reaches its fault point",
            logs=[self.log],
        )
        assert self.alive, f"{self.name} ended before its fault point:\n{last_lines(self.log)}"

    def release(self) -> None:
        """Let it go on from its point."""
        self._mark("release").touch()

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal and do not wait."""
        assert self._child is not None
        self._child.signal(signum)

    @property
    def returncode(self) -> int | None:
        return None if self._child is None else self._child.returncode

    def kill(self) -> None:
        """SIGKILL now."""
        if self._child is not None:
            self._child.kill()

    def stop(self) -> None:
        """SIGTERM, and wait for the orderly end."""
        if self._child is not None:
            code = self._child.stop(timeout_seconds=25)
            assert code in (0, -signal.SIGKILL), (
                f"{self.name} stopped with {code}:\n{last_lines(self.log)}"
            )
