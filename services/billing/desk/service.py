"""Finding a reader, and everything that is known of one. All of it reads; the acts are other nouns'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.billing.desk import repository
from services.billing.desk.rules import search_of
from shared.agencies import get_agency
from shared.audit import of_subjects
from shared.audit.rules import Entry
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFoundError
from shared.texts.number import digits_of, shown

#: What is shown while nothing is looked for.
NEWEST = 20
ENTRIES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A stretch of readers, the newest first; ``more`` when older ones follow."""

    readers: list[dict[str, Any]]
    more: bool


@dataclass(frozen=True, slots=True)
class ReaderFile:
    """A reader's page: ``of`` has the rows by kind (``repository.KINDS``), ``entries`` the newest of the audit trail."""

    reader: dict[str, Any]
    of: dict[str, list[dict[str, Any]]]
    entries: Sequence[Entry]
    now: datetime


class Desk:
    """Use cases of the support desk that only look."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(
        self, agency: str, typed: str, *, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> FoundPage:
        """Readers whose name, address, mobile number (however typed), order's code or invoice's number has what was typed, the newest first.

        Name and address without marks and case, in any order of words. Nothing typed: the newest ``NEWEST``, and no more.
        ``after``: when the last reader of the page before was made, and their id.
        """
        search = search_of(typed)
        if not search.words:
            limit, after = NEWEST, None
        async with self._database.read() as session:
            await get_agency(session, agency)
            found = await repository.find(
                session, agency, search, phone=digits_of(typed), limit=limit + 1, after=after
            )
        return FoundPage(
            [_readable(one) for one in found[:limit]], len(found) > limit and bool(search.words)
        )

    async def reader(self, agency: str, reader_id: UUID) -> ReaderFile:
        """Everything of one reader. Raises :class:`NotFoundError` for another agency's."""
        now = self._clock.now()
        async with self._database.read() as session:
            found = await repository.reader(session, agency, reader_id)
            if found is None:
                raise NotFoundError
            rows = {
                kind: await repository.of_reader(session, kind, reader_id, now)
                for kind in repository.KINDS
            }
            about = await repository.subjects(session, reader_id)
            entries = await of_subjects(session, agency, about, ENTRIES_SHOWN)
        return ReaderFile(_readable(found), rows, entries, now)


def _readable(reader: dict[str, Any]) -> dict[str, Any]:
    """A reader's row with the number as people write it; empty where there is none."""
    number = reader["mobile_number"]
    return {**reader, "mobile_number": shown(number) if number else ""}
