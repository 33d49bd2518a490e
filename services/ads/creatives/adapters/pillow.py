"""Decodes and writes images anew, in a process of its own for each, a few at a time, with an end to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Protocol

from services.ads.creatives.rules import (
    MAX_IMAGE_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    Picture,
    WrongImageError,
)
from shared.errors import UnavailableError

PROGRAM = Path(__file__).with_name("recode.py")
AT_ONCE = 2
WAITING = 8
SECONDS = 15.0


class Images(Protocol):
    """What a use case needs of whoever decodes."""

    async def recode(self, content: bytes) -> Picture: ...


class PillowImages:
    """At most ``AT_ONCE`` decode and ``WAITING`` wait; the event loop does neither."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._inside = 0

    async def recode(self, content: bytes) -> Picture:
        """The picture, newly written. Raises :class:`WrongImageError`, :class:`UnavailableError` when too many wait."""
        if not content:
            raise WrongImageError("empty")
        if len(content) > MAX_IMAGE_BYTES:
            raise WrongImageError(f"larger than {MAX_IMAGE_BYTES} bytes")
        if self._inside >= AT_ONCE + WAITING:
            raise UnavailableError(
                "Many images are being checked", slug="busy", headers={"Retry-After": "5"}
            )
        self._inside += 1
        try:
            async with self._slots:
                return await self._run(content)
        finally:
            self._inside -= 1

    async def _run(self, content: bytes) -> Picture:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(PROGRAM),
            *(str(n) for n in (MAX_SIDE, MAX_PIXELS, MAX_IMAGE_BYTES)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},  # no secret of ours is in there with a stranger's bytes
        )
        try:
            async with asyncio.timeout(self._seconds):
                answer, _ = await process.communicate(content)
        except TimeoutError:
            raise WrongImageError("too much work to decode") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:  # the kernel ended it, or the decoder fell over
            raise WrongImageError("too much work to decode")
        head, _, written = answer.partition(b"\n")
        told = json.loads(head)
        if "problem" in told:
            raise WrongImageError(told["problem"])
        return Picture(written, told["content_type"], told["width"], told["height"])
