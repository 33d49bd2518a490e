"""Use cases of entries: record, compare, list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from shared.database import Database, Session
from shared.metrics.entries import repository
from shared.metrics.entries.repository import DEFERRED, MRR, REVENUE, Contradiction, Table
from shared.metrics.entries.rules import Entry
from shared.metrics.rules import amount_problem, entry_problem


class ContradictionError(ValueError):
    """The same source reference says something else than before: a person has to look."""

    def __init__(self, found: Sequence[Contradiction]) -> None:
        first = found[0]
        super().__init__(
            f"{first.source_reference!r} of {first.agency} is recorded with {first.stored} and now told with "
            f"{first.told} or in another series: record a correction under a reference of its own"
            + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
        )


class UnacceptableEntryError(ValueError):
    """An entry that no later time makes right."""


class UnknownAgencyError(LookupError):
    """An agency the layer has not been told of (yet)."""


@dataclass(frozen=True, slots=True)
class DeferredChange:
    """A change of deferred revenue, as it is to be stored."""

    agency: str
    segment: str
    stream: str
    currency: str
    source_reference: str
    amount: int
    occurred_on: date


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement of monthly recurring revenue, as it is to be stored."""

    agency: str
    segment: str
    stream: str
    currency: str
    source_reference: str
    movement: str
    amount: int
    occurred_on: date


async def record_entries(session: Session, entries: Sequence[Entry]) -> int:
    """Record revenue; what is recorded already stays as it is. Returns how many are new.

    Raises :class:`UnacceptableEntryError`, :class:`UnknownAgencyError`, :class:`ContradictionError`.
    """
    for entry in entries:
        problem = entry_problem(entry.stream, entry.law_source, entry.currency, entry.amount)
        if problem:
            raise UnacceptableEntryError(f"{entry.source_reference}: {problem}")
    return await _append(session, REVENUE, entries)


async def record_deferred(session: Session, changes: Sequence[DeferredChange]) -> int:
    """The same for changes of deferred revenue."""
    _check_amounts(changes)
    return await _append(session, DEFERRED, changes)


async def record_movements(session: Session, movements: Sequence[Movement]) -> int:
    """The same for movements of monthly recurring revenue."""
    _check_amounts(movements)
    return await _append(session, MRR, movements)


def _check_amounts(rows: Sequence[DeferredChange | Movement]) -> None:
    for row in rows:
        problem = amount_problem(row.currency, row.amount)
        if problem:
            raise UnacceptableEntryError(f"{row.source_reference}: {problem}")


async def _append(session: Session, table: Table, rows: Sequence[Any]) -> int:
    for row in rows:
        if not 1 <= len(row.source_reference) <= 300:
            raise UnacceptableEntryError("source_reference: expected 1 to 300 characters")
    unknown = await repository.unknown_agencies(session, {row.agency for row in rows})
    if unknown:
        raise UnknownAgencyError(f"no agency {', '.join(sorted(unknown))} here")
    added = await repository.append(session, table, rows)
    if added < len(rows):  # something was there before: it must say the same
        found = await repository.contradictions(session, table, rows)
        if found:
            raise ContradictionError(found)
    return added


async def sums_that_differ(database: Database) -> dict[str, int]:
    """The invariant: every sum equals its entries, in one snapshot."""
    async with database.read() as session:
        return await repository.sums_that_differ(session)


Selection = repository.Selection
entries_of = repository.entries_of
totals_of = repository.totals_of
