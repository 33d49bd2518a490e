"""A parent that imports once and forks: every Python process of the stack shares what it has imported.

Each process is still what ``python -m <module> <arguments>`` is: a session, a log file, an environment, signals and an end of
its own. The parent has no thread, event loop or connection, so nothing of one process is in another. Processes are told to end
when the parent dies; the stack, which holds a descriptor of each (pidfd), sees how each of them ends.

    parent = ForkParent(["services.billing"], log=folder / "parent.log")
    child = ForkedChild("billing-web", parent, ["services.billing", "web"], log=…, env={…})
    child.start()
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.local.child import Child, ChildError, Running, dies_with_parent

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
END_SECONDS = 30.0  # from a process's end until its parent has said with what code
MESSAGE_BYTES = 65_536
ENDED_WITH_PARENT = -int(signal.SIGTERM)


def can_fork() -> bool:
    """Whether this system has what it takes (Linux 5.3 or newer); elsewhere every process imports for itself."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


class ForkParent:
    """The parent's handle: starts it when it is needed, also again after its death."""

    def __init__(self, modules: Sequence[str], *, log: Path, env: Mapping[str, str]) -> None:
        self._modules = list(modules)
        self._log = log
        self._env = dict(env)
        self._child: Child | None = None
        self._control: socket.socket | None = None
        self._ended: dict[int, int] = {}
        self._orders = 0
        self._guard = threading.RLock()

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def begin(self) -> None:
        """Start importing, unless it runs; returns at once."""
        with self._guard:
            if self._child is not None and self._child.alive:
                return
            self._forget()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            command = [sys.executable, "-m", "infra.local.fork_parent", str(theirs.fileno())]
            self._child = Child(
                "fork parent",
                dies_with_parent([*command, *self._modules], signal.SIGTERM),
                log=self._log,
                env=self._env,
                cwd=REPOSITORY,
                pass_fds=(theirs.fileno(),),
            )
            self._child.start()
            theirs.close()
            self._control = ours

    def fork(self, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> tuple[int, int]:
        """A new process: its id, and a descriptor of it. Raises :class:`ChildError`."""
        with self._guard:
            self.begin()
            self._orders += 1
            order = {"number": self._orders, "arguments": list(arguments), "env": dict(env)}
            assert self._control is not None
            try:
                self._control.send(json.dumps({**order, "log": str(log)}).encode())
                while True:
                    message, descriptors = self._read(START_SECONDS)
                    if message.get("number") == self._orders:
                        return int(message["pid"]), descriptors[0]
                    for late in descriptors:  # of an order that was given up
                        with suppress(ProcessLookupError):  # it has ended by itself
                            signal.pidfd_send_signal(late, signal.SIGKILL)
                        os.close(late)
            except (OSError, TimeoutError, EOFError) as error:
                raise ChildError(
                    f"the fork parent does not answer ({error!r}): {self._log}"
                ) from error

    def code_of(self, pid: int) -> int:
        """What an ended process has ended with; when the parent went first nobody knows, and it is its SIGTERM."""
        with self._guard:
            try:
                while pid not in self._ended:
                    self._read(END_SECONDS)
            except (OSError, TimeoutError, EOFError):
                return ENDED_WITH_PARENT
            return self._ended.pop(pid)

    def stop(self) -> None:
        """End it; what it has forked is told to end as well."""
        with self._guard:
            if self._child is not None:
                self._child.stop()
            self._forget()

    def kill(self) -> None:
        """Crash it."""
        if self._child is not None:
            self._child.kill()

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
        self._control, self._child = None, None
        self._ended.clear()

    def _read(self, timeout_seconds: float) -> tuple[dict[str, Any], list[int]]:
        if self._control is None:
            raise EOFError
        self._control.settimeout(timeout_seconds)
        data, descriptors, _flags, _address = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
        if not data:
            raise EOFError
        message: dict[str, Any] = json.loads(data)
        if "ended" in message:
            self._ended[int(message["ended"])] = int(message["code"])
        return message, descriptors


class ForkedChild(Running):
    """A process that the parent has forked; used like :class:`infra.local.child.Child`."""

    def __init__(
        self,
        name: str,
        parent: ForkParent,
        arguments: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
    ) -> None:
        super().__init__(name, log)
        self.arguments = list(arguments)
        self.env = dict(env)
        self._parent = parent
        self._pid: int | None = None
        self._descriptor: int | None = None
        self._code: int | None = None
        self._guard = threading.Lock()

    @property
    def pid(self) -> int | None:
        return self._pid

    @property
    def returncode(self) -> int | None:
        if self._pid is None or self._code is not None:
            return self._code
        return self._code_within(0)

    def start(self) -> None:
        """Have it forked; its output is appended to the log file."""
        if self.alive:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._pid, self._descriptor = self._parent.fork(self.arguments, self.env, self.log)
        self._code = None

    def signal(self, signum: signal.Signals) -> None:
        if self.alive and self._descriptor is not None:
            try:
                signal.pidfd_send_signal(self._descriptor, signum)
            except ProcessLookupError:
                return

    def _code_within(self, seconds: float) -> int | None:
        """The exit code once it has ended within so many seconds, else None."""
        with self._guard:
            if self._descriptor is None:
                return self._code
            descriptor = os.dup(self._descriptor)  # another thread may close ours meanwhile
        try:
            if not select.select([descriptor], [], [], seconds)[0]:
                return None
        finally:
            os.close(descriptor)
        with self._guard:
            if self._descriptor is not None and self._pid is not None:
                self._code = self._parent.code_of(self._pid)
                os.close(self._descriptor)
                self._descriptor = None
        return self._code
