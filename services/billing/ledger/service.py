"""The books: posting, in the caller's transaction; reading them, and closing a month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.billing import metrics
from services.billing.ledger import repository, rules
from services.billing.ledger.repository import Wanted
from shared import audit
from shared.agencies import get_agency
from shared.clock import local_date
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id


@dataclass(frozen=True, slots=True)
class Posting:
    """A fact for the books. ``business_key`` makes it one entry, however often it is told.

    ``occurred_on`` is the fact's day in the agency's zone. Where its period is closed the entry is booked on the first
    day of the open one, and still names the day it belongs to.
    """

    agency: str
    business_key: str
    kind: str
    source_id: UUID
    occurred_on: date
    occurred_at: datetime
    lines: tuple[rules.Line, ...]
    currency: str = "VND"
    #: The entry that this one takes back whole: of the same agency and currency, with opposite lines, once.
    reverses: UUID | None = None


async def open_books(session: Session, agency: str, now: datetime) -> None:
    """The agency's books from today on, and its chart of accounts. Safe to repeat."""
    await repository.save_chart(session, agency, now)


async def hold_books(session: Session, agency: str) -> repository.BooksRow:
    """How far the agency's books have come; nobody else posts to them until COMMIT."""
    return await repository.lock_books(session, agency)


async def post(session: Session, posting: Posting, now: datetime) -> bool:
    """Post a fact; False when it was posted before. Raises :class:`rules.UnbalancedEntryError`.

    From here to COMMIT nobody else posts to the agency's books.
    """
    rules.check_lines(posting.lines)
    booked_on = await repository.insert_entry(
        session,
        {
            "id": new_id(),
            "agency": posting.agency,
            "currency": posting.currency,
            "business_key": posting.business_key,
            "kind": posting.kind,
            "source_id": posting.source_id,
            "occurred_on": posting.occurred_on,
            "occurred_at": posting.occurred_at,
            "posted_at": now,
            "reverses": posting.reverses,
        },
        posting.lines,
    )
    if booked_on is not None:
        metrics.after_commit(session, metrics.JOURNAL_ENTRIES.labels(posting.kind).inc)
    return booked_on is not None


async def post_many(
    connection: asyncpg.Connection, postings: Sequence[Posting], now: datetime
) -> None:
    """:func:`post_new` of many facts, by a caller who holds their books (:func:`repository.lock_many`).

    Raises :class:`rules.UnbalancedEntryError` and :class:`PostedBeforeError`; the caller rolls back.
    """
    entries = list[dict[str, Any]]()
    lines = list[tuple[UUID, int, str, str, date, int]]()
    for posting in postings:
        rules.check_lines(posting.lines)
        entries.append(
            {
                "id": new_id(),
                "agency": posting.agency,
                "currency": posting.currency,
                "business_key": posting.business_key,
                "kind": posting.kind,
                "source_id": posting.source_id,
                "occurred_on": posting.occurred_on,
                "occurred_at": posting.occurred_at,
                "reverses": posting.reverses,
            }
        )
    booked = await repository.insert_entries(connection, entries, now)
    for posting, entry in zip(postings, entries, strict=True):
        booked_on = booked.get(entry["id"])
        if booked_on is None:
            raise PostedBeforeError(posting.business_key)
        lines += [
            (entry["id"], number, posting.agency, line.account, booked_on, line.amount_vnd)
            for number, line in enumerate(posting.lines, 1)
        ]
    await repository.insert_lines(connection, lines)


class PostedBeforeError(Exception):
    """The fact is in the books already, and what was done besides in this transaction would be done twice."""


async def post_new(session: Session, posting: Posting, now: datetime) -> None:
    """Post a fact that cannot have been posted before. Raises :class:`PostedBeforeError`, and nothing of it stays."""
    if not await post(session, posting, now):
        raise PostedBeforeError(posting.business_key)


async def close_month(session: Session, agency: str, month: date, now: datetime) -> date:
    """Close the books through the month of ``month``; its last day. From here to COMMIT nobody posts.

    Raises :class:`ConflictError` when it is closed already, not over, or its days are not counted yet.
    """
    found, row = await get_agency(session, agency), await hold_books(session, agency)
    last = rules.end_of_month(month)
    try:
        rules.check_closable(
            last,
            closed_through=row.closed_through,
            counted_through=row.counted_through,
            today=local_date(now, found.zone),
        )
    except rules.PeriodNotClosableError as error:
        raise ConflictError(slug=f"period-{error.reason.replace('_', '-')}") from None
    await repository.close_through(session, agency, last)
    await audit.record(
        session,
        audit.Action.PERIOD_CLOSED,
        agency=agency,
        at=now,
        subject=f"books/{last:%Y-%m}",
        label=f"{last:%m/%Y}",
        before={"closed_through": row.closed_through and row.closed_through.isoformat()},
        after={"closed_through": last.isoformat()},
    )
    return last


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the journal, the newest entry first; ``more`` when older ones follow."""

    entries: list[dict[str, Any]]
    more: bool


class Ledger:
    """Reading the books."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trial_balance(
        self, agency: str, first: date = date.min, last: date = date.max
    ) -> list[repository.Balance]:
        """Every account over the days ``first`` to ``last``, both included; by default from the beginning to the end."""
        async with self._database.read() as session:
            await get_agency(session, agency)
            return await repository.trial_balance(session, agency, first, last)

    async def journal(
        self, agency: str, wanted: Wanted, *, limit: int, after: tuple[date, UUID] | None = None
    ) -> Page:
        """Entries that match, the newest first; with ``after`` (the day and id of an entry) those older than it."""
        async with self._database.read() as session:
            await get_agency(session, agency)
            found = await repository.entries(session, agency, wanted, limit=limit + 1, after=after)
        return Page(found[:limit], len(found) > limit)

    async def count(self, agency: str, wanted: Wanted) -> int:
        """How many entries match."""
        async with self._database.read() as session:
            return await repository.count_entries(session, agency, wanted)

    async def entry(self, agency: str, entry_id: UUID) -> dict[str, Any]:
        """One entry with its lines and what stands behind it. Raises :class:`NotFoundError`."""
        async with self._database.read() as session:
            found = await repository.entry(session, agency, entry_id)
        if found is None:
            raise NotFoundError
        return found

    async def entries_of(self, agency: str, source_id: UUID) -> list[dict[str, Any]]:
        """The entries of one payment, refund or day of recognition, the newest first."""
        async with self._database.read() as session:
            return await repository.entries_of(session, agency, source_id)

    async def books(self, agency: str) -> repository.BooksRow:
        """How far the agency's books have come."""
        async with self._database.read() as session:
            await get_agency(session, agency)
            return await repository.books(session, agency)
