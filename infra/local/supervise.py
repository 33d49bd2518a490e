"""Brings back what dies by itself, ever more slowly, and gives up in the end; tails the logs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.local.child import ChildError
from infra.local.ports import PortTakenError
from infra.local.postgres import PostgresError
from infra.local.stack import LocalStack, StackError

MAX_RESTARTS = 6
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0


def restart_delay(failures: int) -> float | None:
    """Seconds to wait before restart number `failures` (from 1); None: give up."""
    if failures > MAX_RESTARTS:
        return None
    return float(min(2 ** (failures - 1), LONGEST_DELAY_SECONDS))


@dataclass
class _Record:
    failures: int = 0
    died_at: float = 0.0
    restart_at: float | None = None
    given_up: bool = False


class Supervisor:
    """Call `check` every half second or so; it says what happened through `say`."""

    def __init__(
        self,
        stack: LocalStack,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stack = stack
        self._say = say
        self._clock = clock
        self._records: dict[str, _Record] = {}

    def check(self) -> None:
        for name in self._stack.dead():
            record = self._records.setdefault(name, _Record())
            if record.restart_at is None and not record.given_up:
                self._plan(name, record)
            if record.restart_at is not None and self._clock() >= record.restart_at:
                self._restart(name, record)

    def _plan(self, name: str, record: _Record) -> None:
        now = self._clock()
        if now - record.died_at > STEADY_SECONDS:
            record.failures = 0
        record.failures += 1
        record.died_at = now
        delay = restart_delay(record.failures)
        ended = f"{name} ended by itself (code {self._stack.returncode(name)})"
        log = self._stack.log_path(name)
        if delay is None:
            record.given_up = True
            self._say(f"{ended} {record.failures} times: given up; its log is {log}")
        else:
            record.restart_at = now + delay
            self._say(f"{ended}: restart {record.failures} in {delay:.0f} s; its log is {log}")

    def _restart(self, name: str, record: _Record) -> None:
        record.restart_at = None
        try:
            self._stack.start_one(name, wait=False)
        except (ChildError, PortTakenError, PostgresError, StackError) as error:
            self._say(f"{name} cannot be started: {str(error).splitlines()[0]}")
        else:
            self._say(f"{name} started again")


_PLAIN_LEVEL = re.compile(r"\b(WARN|WARNING|ERROR|ERR|WRN|FTL|FATAL|PANIC|CRITICAL)\b")
#: PostgreSQL calls it fatal; it is what our own setting does (``shared.database.core.IDLE_ENDS``).
_WANTED = "terminating connection due to idle-session timeout"
_SERIOUS = {"warning", "error", "critical"}


def serious(line: str) -> str | None:
    """What the console shows of a log line: warnings and errors in short, None for the rest."""
    if line.startswith("{"):
        try:
            event = json.loads(line)
        except ValueError:
            return None
        if not isinstance(event, dict) or event.get("level") not in _SERIOUS:
            return None
        hidden = {"level", "event", "timestamp", "service", "exception", "trace_id"}
        details = " ".join(f"{key}={value}" for key, value in event.items() if key not in hidden)
        first = str(event.get("exception", "")).strip().splitlines()
        cause = f" ({first[-1]})" if first else ""
        return f"{event['level']}: {event.get('event')} {details}".rstrip() + cause
    return line if _PLAIN_LEVEL.search(line) and _WANTED not in line else None


class Repetitions:
    """Lets a line through at most once in `quiet_seconds`, then says how often it came meanwhile."""

    def __init__(
        self, quiet_seconds: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def show(self, name: str, line: str) -> str | None:
        """The line as it should be shown now, or None."""
        now = self._clock()
        shown_at, held_back = self._seen.get((name, line), (float("-inf"), 0))
        if now - shown_at < self._quiet_seconds:
            self._seen[name, line] = (shown_at, held_back + 1)
            return None
        # Only recent lines matter, and there may be many different ones.
        self._seen = {
            key: seen for key, seen in self._seen.items() if now - seen[0] < self._quiet_seconds
        }
        self._seen[name, line] = (now, 0)
        return f"{line} (and {held_back} times before)" if held_back else line


class LogTail:
    """Yields (process, line) for every serious line written since the last look."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._positions = {path: path.stat().st_size for path in directory.glob("*.log")}

    def new_lines(self) -> Iterator[tuple[str, str]]:
        for path in sorted(self._directory.glob("*.log")):
            start = self._positions.get(path, 0)
            with path.open("rb") as log:
                log.seek(start)
                # A line that is still being written is left for the next look.
                whole = log.read().rpartition(b"\n")[0]
            if not whole:
                continue
            self._positions[path] = start + len(whole) + 1
            for line in whole.decode(errors="replace").splitlines():
                shown = serious(line)
                if shown is not None:
                    yield path.stem, shown
