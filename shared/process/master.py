"""Several processes on one port: a master that binds, forks, brings back who dies, and passes on the order to stop.

The master has no event loop, no connection and no thread; it imports once, so its children share what they have imported.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from shared.forking import ended, fork, freeze_imports
from shared.loops import RESTART_DELAYS_SECONDS, STEADY_SECONDS
from shared.telemetry.exposition import forget_gauges, keep_values_in_files

log = structlog.get_logger(__name__)

STOP_SECONDS = 30.0


class Master:
    """Keeps ``count`` children running ``run`` until SIGTERM or SIGINT; they finish what they have begun."""

    def __init__(self, count: int, run: Callable[[], object]) -> None:
        self._count = count
        self._run = run
        self._slots: dict[int, int] = {}  # a child's id → its place among them
        self._failures = dict.fromkeys(range(count), 0)
        self._started_at: dict[int, float] = {}
        self._due: dict[int, float] = {}  # a place → when it is to be filled
        self._stopping = False

    def run(self) -> None:
        """Returns when all have ended."""
        wake, write = socket.socketpair()
        wake.setblocking(False)
        write.setblocking(False)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(sig, self._told)
        self._folder = Path(tempfile.mkdtemp(prefix="press-metrics-"))
        try:
            freeze_imports()
            self._due = dict.fromkeys(range(self._count), 0.0)
            log.info("master_started", processes=self._count)
            while not self._stopping:
                self._fill()
                self._wait(wake)
                self._reap()
            self._stop(wake)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            signal.set_wakeup_fd(-1)
        log.info("master_stopped")

    def _told(self, signum: int, _frame: object) -> None:
        if signum != signal.SIGCHLD:
            self._stopping = True

    def _fill(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot, at in self._due.items() if at <= now]:
            del self._due[slot]
            pid = fork(lambda slot=slot: self._child(slot))  # type: ignore[misc]
            self._slots[pid], self._started_at[slot] = slot, now

    def _child(self, slot: int) -> object:
        keep_values_in_files(self._folder, slot)
        return self._run()

    def _wait(self, wake: socket.socket) -> None:
        soonest = min(self._due.values(), default=None)
        timeout = None if soonest is None else max(0.0, soonest - time.monotonic())
        select.select([wake], [], [], timeout)
        try:
            while wake.recv(4096):
                continue
        except BlockingIOError:
            return

    def _reap(self) -> None:
        for pid, code in ended(self._slots).items():
            slot = self._slots.pop(pid)
            forget_gauges(self._folder, slot)
            if self._stopping:
                continue
            steady = time.monotonic() - self._started_at[slot] > STEADY_SECONDS
            self._failures[slot] = 1 if steady else self._failures[slot] + 1
            failures = min(self._failures[slot], len(RESTART_DELAYS_SECONDS))
            delay = RESTART_DELAYS_SECONDS[failures - 1]
            self._due[slot] = time.monotonic() + delay
            log.error("process_ended", pid=pid, code=code, again_in_seconds=delay)

    def _stop(self, wake: socket.socket) -> None:
        log.info("master_stopping", processes=len(self._slots))
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._slots and time.monotonic() < deadline:
            self._due = {-1: min(deadline, time.monotonic() + 1.0)}
            self._wait(wake)
            self._reap()
        if self._slots:
            log.error("processes_did_not_stop", pids=list(self._slots))
            self._signal(signal.SIGKILL)

    def _signal(self, sig: signal.Signals) -> None:
        for pid in self._slots:
            os.kill(pid, sig)  # not reaped yet, so the id is still its own
