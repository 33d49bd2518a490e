"""One child process: started in the foreground, logged to a file, always stopped.

A child dies with its parent where the system can promise that (Linux: PR_SET_PDEATHSIG by way of
`setpriv`), so that a killed `make run` or test run leaves no server behind.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The kernel sends the parent-death signal when the *thread* that forked ends, so all children come
# from one thread that lives as long as this process: a caller's own thread may be short-lived.
_SPAWNER = ThreadPoolExecutor(1, thread_name_prefix="spawner")


class ChildError(RuntimeError):
    """A child process did not start, or went away; the message ends with its last log lines."""


def dies_with_parent(command: Sequence[str], death_signal: signal.Signals) -> list[str]:
    """`command`, wrapped so that the kernel signals it when the thread that started it ends."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return list(command)
    return [setpriv, "--pdeathsig", death_signal.name.removeprefix("SIG"), "--", *command]


def last_lines(path: Path, count: int = 15) -> str:
    """The end of a log file, for an error message."""
    if not path.exists():
        return "(no log)"
    lines = path.read_text(errors="replace").splitlines()[-count:]
    return "\n".join(lines) if lines else "(the log is empty)"


class Running(ABC):
    """A process with a name, a log file, a signal that asks it to stop, and a deadline for that."""

    stop_signal = signal.SIGTERM

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log

    # What kinds of processes differ in

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """None before the start."""

    @property
    @abstractmethod
    def returncode(self) -> int | None:
        """None before the start and while it runs."""

    @abstractmethod
    def start(self) -> None:
        """Start it, in the foreground of its log."""

    @abstractmethod
    def signal(self, signum: signal.Signals) -> None:
        """Send a signal, if the process is there."""

    @abstractmethod
    def _code_within(self, seconds: float) -> int | None:
        """Its return code, or None when it has not ended within that time."""

    # What they have in common

    @property
    def alive(self) -> bool:
        return self.pid is not None and self.returncode is None

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Return once `ready()`; raise `ChildError` when the child ends or time is up."""
        deadline = time.monotonic() + timeout_seconds
        pause = 0.02
        while not ready():
            if not self.alive:
                raise ChildError(
                    f"{self.name} ended with code {self.returncode} while starting:\n"
                    f"{last_lines(self.log)}"
                )
            if time.monotonic() > deadline:
                raise ChildError(
                    f"{self.name} was not ready within {timeout_seconds:.0f} s:\n"
                    f"{last_lines(self.log)}"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    def wait(self, timeout_seconds: float) -> int:
        """Wait for the end of a command that ends by itself; its exit code."""
        if self.pid is None:
            raise ChildError(f"{self.name} was never started")
        code = self._code_within(timeout_seconds)
        if code is None:
            self.kill()
            raise ChildError(
                f"{self.name} did not end within {timeout_seconds:.0f} s:\n{last_lines(self.log)}"
            )
        return code

    def stop(self, timeout_seconds: float = 10.0) -> int | None:
        """Ask it to stop, wait, then kill; the exit code, or None when it never ran."""
        if self.pid is None:
            return None
        self.signal(self.stop_signal)
        code = self._code_within(timeout_seconds)
        return self.kill() if code is None else code

    def kill(self) -> int | None:
        """SIGKILL, as a crash would; the exit code."""
        if self.pid is None:
            return None
        self.signal(signal.SIGKILL)
        return self._code_within(10)


class Child(Running):
    """A command, started in the foreground."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        user: str | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        super().__init__(name, log)
        self.command = list(command)
        self.env = None if env is None else dict(env)
        self.cwd = cwd
        self.stop_signal = stop_signal
        self.user = user
        self.pass_fds = tuple(pass_fds)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def returncode(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process; its output is appended to the log file."""
        if self.alive:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            # A session of its own: Ctrl-C in the terminal reaches the parent only, which then
            # stops its children in the right order.
            self._process = _SPAWNER.submit(
                subprocess.Popen,
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                user=self.user,
                pass_fds=self.pass_fds,
                start_new_session=True,
            ).result()

    def signal(self, signum: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signum)

    def _code_within(self, seconds: float) -> int | None:
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
