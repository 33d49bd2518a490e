"""Every statement about entries. Writes are set-based: one statement for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from shared.database import ReadSession, Session


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it is shown."""

    id: int
    agency: str
    segment: str
    stream: str
    currency: str
    source_reference: str
    payer: str
    law_source: str
    account: str
    amount: int
    recognised_on: date
    document: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Table:
    """What is written to one append-only table, column by column."""

    name: str
    columns: dict[str, str]  # name → array type
    compared: tuple[str, ...] = field(default=())  # what a second telling may not change

    def insert(self) -> str:
        names = ", ".join(self.columns)
        arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in self.columns.items())
        return (
            f"INSERT INTO {self.name} ({names}) "  # noqa: S608 - names from this file only
            f"SELECT {names} FROM unnest({arrays}) AS t ({names}) "
            "ON CONFLICT (agency, source_reference) DO NOTHING"
        )

    def contradictions(self) -> str:
        names = ", ".join(self.columns)
        arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in self.columns.items())
        new = ", ".join(f"t.{name}" for name in self.compared)
        old = ", ".join(f"e.{name}" for name in self.compared)
        return (
            "SELECT t.agency, t.source_reference, e.amount AS stored, t.amount AS told "  # noqa: S608
            f"FROM unnest({arrays}) AS t ({names}) "
            f"JOIN {self.name} e USING (agency, source_reference) WHERE ({new}) <> ({old})"
        )


_SERIES = {
    "agency": "text",
    "segment": "text",
    "stream": "text",
    "currency": "text",
    "source_reference": "text",
}
REVENUE = Table(
    "revenue_entry",
    _SERIES
    | {
        "payer": "text",
        "law_source": "text",
        "account": "text",
        "amount": "bigint",
        "recognised_on": "date",
        "document": "text",
    },
    (
        *("segment", "stream", "currency", "payer", "law_source", "account"),
        *("amount", "recognised_on"),
    ),
)
DEFERRED = Table(
    "deferred_entry",
    _SERIES | {"amount": "bigint", "occurred_on": "date"},
    ("segment", "stream", "currency", "amount", "occurred_on"),
)
MRR = Table(
    "mrr_movement",
    _SERIES | {"movement": "text", "amount": "bigint", "occurred_on": "date"},
    ("segment", "stream", "currency", "movement", "amount", "occurred_on"),
)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A fact told twice, with different words."""

    agency: str
    source_reference: str
    stored: int
    told: int


async def append(session: Session, table: Table, rows: Sequence[Any]) -> int:
    """Store the rows that are new. Returns how many; the sums follow by trigger, in this transaction."""
    # In one order everywhere: the same facts, delivered again to another worker, end in no deadlock.
    rows = sorted(rows, key=lambda row: (row.agency, row.source_reference))
    columns = {name: [getattr(row, name) for row in rows] for name in table.columns}
    result = await session.execute(text(table.insert()), columns)
    return int(getattr(result, "rowcount", 0))


async def contradictions(
    session: Session | ReadSession, table: Table, rows: Sequence[Any]
) -> list[Contradiction]:
    """Which of the rows are stored already and say something else."""
    columns = {name: [getattr(row, name) for row in rows] for name in table.columns}
    found = await session.execute(text(table.contradictions()), columns)
    return [Contradiction(**row) for row in found.mappings()]


async def unknown_agencies(session: Session, agencies: set[str]) -> set[str]:
    found = await session.execute(
        text("SELECT id FROM agency WHERE id = ANY(:ids)"), {"ids": sorted(agencies)}
    )
    return agencies - {row[0] for row in found}


_OF_MONTH = """FROM revenue_entry e
    JOIN unnest(CAST(:members AS text[]), CAST(:segments AS text[])) AS m (member, segment)
      ON m.member = e.agency AND m.segment = e.segment
    WHERE e.recognised_on BETWEEN :first AND :last
      AND (:only_segment = '' OR e.segment = :only_segment)
      AND (:only_stream = '' OR e.stream = :only_stream)"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Whose entries (pairs of agency and segment), of which days, narrowed to a segment or stream."""

    members: tuple[tuple[str, str], ...]
    first: date
    last: date
    segment: str = ""
    stream: str = ""

    def parameters(self) -> dict[str, Any]:
        return {
            "members": [member for member, _ in self.members],
            "segments": [segment for _, segment in self.members],
            "first": self.first,
            "last": self.last,
            "only_segment": self.segment,
            "only_stream": self.stream,
        }


async def entries_of(
    session: ReadSession, chosen: Selection, *, limit: int, offset: int = 0
) -> list[StoredEntry]:
    """Entries in the order of their days."""
    rows = await session.execute(
        text(
            f"""SELECT e.id, e.agency, e.segment, e.stream, e.currency, e.source_reference, e.payer,
                   e.law_source, e.account, e.amount, e.recognised_on, e.document, e.recorded_at
                {_OF_MONTH} ORDER BY e.recognised_on, e.id LIMIT :limit OFFSET :offset"""
        ),
        chosen.parameters() | {"limit": limit, "offset": offset},
    )
    return [StoredEntry(**row) for row in rows.mappings()]


async def totals_of(session: ReadSession, chosen: Selection) -> tuple[int, dict[str, int]]:
    """How many entries, and their sum by currency."""
    rows = await session.execute(
        text(f"SELECT e.currency, count(*), sum(e.amount)::bigint {_OF_MONTH} GROUP BY 1"),
        chosen.parameters(),
    )
    found = list(rows)
    return sum(row[1] for row in found), {row[0]: row[2] for row in found}


_SUMS_CHECK = """SELECT count(*) FROM
    (SELECT {keys}, sum(amount) AS amount, count(*) AS entries FROM {entries} GROUP BY {numbers}) e
    FULL JOIN {sums} s ON {match}
    WHERE (e.amount, e.entries) IS DISTINCT FROM (s.amount::numeric, s.entries)"""
_KEYS = ("agency", "segment", "stream", "currency")
#: table of sums → (its entries, its further keys as expressions over the entries)
_SUMS: dict[str, tuple[str, dict[str, str]]] = {
    "revenue_daily": ("revenue_entry", {"day": "recognised_on"}),
    "revenue_yearly": ("revenue_entry", {"year": "extract(year FROM recognised_on)::int"}),
    "deferred_total": ("deferred_entry", {}),
    "mrr_daily": ("mrr_movement", {"movement": "movement", "day": "occurred_on"}),
}


def _sums_check(sums: str) -> str:
    entries, further = _SUMS[sums]
    names = (*_KEYS, *further)
    return _SUMS_CHECK.format(
        keys=", ".join([*_KEYS, *(f"{sql} AS {name}" for name, sql in further.items())]),
        entries=entries,
        numbers=", ".join(str(index + 1) for index in range(len(names))),
        sums=sums,
        match=" AND ".join(f"s.{name} = e.{name}" for name in names),
    )


async def sums_that_differ(session: ReadSession) -> dict[str, int]:
    """How many sums do not equal their entries, per table of sums (all zero, or something is very wrong)."""
    return {
        name: int((await session.execute(text(_sums_check(name)))).scalar_one()) for name in _SUMS
    }
