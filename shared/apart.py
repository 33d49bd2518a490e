"""A stranger's bytes are looked at in a process of its own: a few at a time, with limits that the kernel keeps, and an end.

Whatever a parser does with hostile bytes (loop, swell, fall over) ends there; the event loop neither parses nor waits. The
program gets the bytes on its standard input, no environment (so no secret of ours), and answers on its output.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UnavailableError

MEMORY_BYTES = 512 * 1024 * 1024
CPU_SECONDS = 10
#: Kept by the kernel from before the first byte is read: no file is written, no memory image left behind.
LIMITS = {
    resource.RLIMIT_AS: MEMORY_BYTES,
    resource.RLIMIT_CPU: CPU_SECONDS,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_CORE: 0,
}


class TooMuchWorkError(Exception):
    """The program took too long or too much, or fell over."""


@dataclass(slots=True)
class _Turns:
    """What one agency has inside."""

    slots: asyncio.Semaphore
    inside: int = 0


class Apart:
    """Runs a Python program (options and path, or ``-m`` and module): ``at_once`` work and ``waiting`` wait.

    Whoever it works for has fewer of both, so that one who floods keeps nobody else out: in the order of arrival, but the
    next to work is somebody who is not working yet.
    """

    def __init__(
        self,
        *program: str,
        folder: Path | None = None,
        at_once: int = 2,
        waiting: int = 8,
        each_at_once: int = 1,
        each_waiting: int = 2,
        seconds: float = 15.0,
    ) -> None:
        self._program = program
        self._folder = folder
        self._seconds = seconds
        self._slots = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._inside = 0
        self._each_at_once = each_at_once
        self._each_most = each_at_once + each_waiting
        self._each: dict[str, _Turns] = {}

    async def run(self, content: bytes, arguments: Sequence[str] = (), *, agency: str) -> bytes:
        """What it wrote. Raises :class:`TooMuchWorkError`, and :class:`UnavailableError` when too many wait."""
        own = self._each.get(agency) or _Turns(asyncio.Semaphore(self._each_at_once))
        if self._inside >= self._most or own.inside >= self._each_most:
            raise UnavailableError(
                "Many files are being checked", slug="busy", headers={"Retry-After": "5"}
            )
        self._each[agency] = own
        self._inside += 1
        own.inside += 1
        try:
            async with (
                own.slots,
                self._slots,
            ):  # one's own first: who waits for it holds none of the others'
                return await self._run(content, arguments)
        finally:
            self._inside -= 1
            own.inside -= 1
            if not own.inside:
                del self._each[agency]

    async def _run(self, content: bytes, arguments: Sequence[str]) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._program,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=self._folder,
            env={},
        )
        try:
            for limit, value in LIMITS.items():
                resource.prlimit(process.pid, limit, (value, value))
            async with asyncio.timeout(self._seconds):
                answer, _ = await process.communicate(content)
        except (TimeoutError, ProcessLookupError):
            raise TooMuchWorkError from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise TooMuchWorkError
        return answer
