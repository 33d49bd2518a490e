"""Decodes and writes images anew, in a process of its own for each (:mod:`shared.apart`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from services.ads.creatives.rules import (
    MAX_IMAGE_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    Picture,
    WrongImageError,
)
from shared.apart import Apart, TooMuchWorkError

PROGRAM = Path(__file__).with_name("recode.py")
AT_ONCE = 2
WAITING = 8
SECONDS = 15.0


class Images(Protocol):
    """What a use case needs of whoever decodes."""

    async def recode(self, content: bytes, *, agency: str) -> Picture: ...


class PillowImages:
    """At most ``AT_ONCE`` decode and ``WAITING`` wait (fewer of one agency); the event loop does neither."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._apart = Apart("-I", str(PROGRAM), at_once=AT_ONCE, waiting=WAITING, seconds=seconds)

    async def recode(self, content: bytes, *, agency: str) -> Picture:
        """The picture, newly written. Raises :class:`WrongImageError`, and 503 when too many wait."""
        if not content:
            raise WrongImageError("The file is empty")
        if len(content) > MAX_IMAGE_BYTES:
            raise WrongImageError("The file is too large")
        limits = [str(limit) for limit in (MAX_SIDE, MAX_PIXELS, MAX_IMAGE_BYTES)]
        try:
            answer = await self._apart.run(content, limits, agency=agency)
        except TooMuchWorkError:
            raise WrongImageError("The image is too much work to decode") from None
        head, _, written = answer.partition(b"\n")
        told = json.loads(head)
        if "problem" in told:
            raise WrongImageError(told["problem"])
        return Picture(written, told["content_type"], told["width"], told["height"])
