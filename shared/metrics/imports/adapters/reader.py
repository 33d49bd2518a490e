"""Reads uploaded files in a process of its own for each: the event loop parses nothing and stays free."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from uuid import UUID

import shared
from shared.apart import Apart, TooMuchWorkError
from shared.metrics.baseline.rules import ParsedBaseline
from shared.metrics.imports import rules
from shared.metrics.imports.rules import RevenueFile
from shared.metrics.sheets import Problem
from shared.metrics.sheets import text as _

ROOT = Path(shared.__path__[0]).parent
PROGRAM = "shared.metrics.imports.adapters.read"
TOO_MUCH = Problem(0, "", "", _("a CSV file that can be read within seconds"))


class FileReader:
    """One of a process: two files at once, eight wait (of an agency: one, and two), the others get 503."""

    def __init__(self, *, seconds: float = 15.0) -> None:
        self._apart = Apart("-E", "-s", "-m", PROGRAM, folder=ROOT, seconds=seconds)

    async def revenue(
        self, content: bytes, today: date, import_id: UUID, *, agency: str
    ) -> RevenueFile:
        """``import_id``: the id its rows will have. Raises :class:`shared.errors.UnavailableError`."""
        try:
            answer = await self._apart.run(
                content, ["revenue", f"{today}", f"{import_id}"], agency=agency
            )
        except TooMuchWorkError:
            return RevenueFile(0, 0, (TOO_MUCH,), b"")
        return rules.read_revenue(answer)

    async def baseline(self, content: bytes, *, agency: str) -> ParsedBaseline:
        """Raises :class:`shared.errors.UnavailableError`."""
        try:
            return rules.read_baseline(await self._apart.run(content, ["baseline"], agency=agency))
        except TooMuchWorkError:
            return ParsedBaseline(0, (), (TOO_MUCH,))
