"""Every SQL statement of the books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text

from services.billing.ledger import rules
from shared.database import ReadSession, Session

#: Waits for whoever posts to the same books, so that ``booked_on`` cannot fall into a period that closes meanwhile.
_ENTRY = text(
    """INSERT INTO journal_entry (id, agency, currency, business_key, kind, source_id, occurred_on, booked_on,
                                  occurred_at, posted_at, reverses)
       VALUES (:id, :agency, :currency, :business_key, :kind, :source_id, CAST(:occurred_on AS date),
               greatest(CAST(:occurred_on AS date), (SELECT closed_through + 1 FROM books WHERE agency = :agency
                                                     FOR NO KEY UPDATE)),
               :occurred_at, :posted_at, :reverses)
       ON CONFLICT (agency, business_key) DO NOTHING RETURNING booked_on"""
)
_LINES = text(
    """INSERT INTO journal_line (entry_id, line_no, agency, account, booked_on, amount_vnd)
       SELECT :entry, line_no, :agency, account, CAST(:booked_on AS date), amount
       FROM unnest(CAST(:accounts AS text[]), CAST(:amounts AS bigint[])) WITH ORDINALITY
            AS l(account, amount, line_no)"""
)
#: The same of many at once; the caller holds the books (:func:`lock_many`).
_ENTRY_MANY = """INSERT INTO journal_entry (id, agency, currency, business_key, kind, source_id, occurred_on, booked_on,
                                           occurred_at, posted_at, reverses)
    SELECT e.id, e.agency, e.currency, e.business_key, e.kind, e.source_id, e.occurred_on,
           greatest(e.occurred_on, b.closed_through + 1), e.occurred_at, $10, e.reverses
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::date[], $8::timestamptz[], $9::uuid[])
         WITH ORDINALITY AS e(id, agency, currency, business_key, kind, source_id, occurred_on, occurred_at, reverses, n)
    JOIN books b ON b.agency = e.agency ORDER BY e.n
    ON CONFLICT (agency, business_key) DO NOTHING RETURNING id, booked_on"""
_LINE_MANY = """INSERT INTO journal_line (entry_id, line_no, agency, account, booked_on, amount_vnd)
    SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::date[], $6::bigint[])"""
_ACCOUNT = text(
    """INSERT INTO ledger_account (agency, code, kind, local_code, name_vi, name_en, position)
       VALUES (:agency, :code, :kind, :local_code, :name_vi, :name_en, :position)
       ON CONFLICT (agency, code) DO NOTHING"""
)
#: From the day before today: whatever is sold begins today or later, or says by itself what it earned before.
_BOOKS = text(
    """INSERT INTO books (agency, opened_through, counted_through)
       SELECT id, today - 1, today - 1
       FROM (SELECT id, (CAST(:now AS timestamptz) AT TIME ZONE time_zone)::date AS today
             FROM agency WHERE id = :agency) AS a
       ON CONFLICT (agency) DO NOTHING"""
)
_BOOKS_ROW = text(
    "SELECT opened_through, counted_through, closed_through FROM books WHERE agency = :agency"
)
_LOCK_BOOKS = text(f"{_BOOKS_ROW.text} FOR NO KEY UPDATE")
_LOCK_MANY = """SELECT agency, opened_through, counted_through, closed_through FROM books
    WHERE agency = ANY($1::text[]) ORDER BY agency FOR NO KEY UPDATE"""


@dataclass(frozen=True, slots=True)
class BooksRow:
    """How far an agency's books have come (``books``)."""

    opened_through: date
    counted_through: date
    closed_through: date | None


@dataclass(frozen=True, slots=True)
class Balance:
    """An account over a period, in one currency: what it had before, its two sides, what it has at the end."""

    code: str
    kind: str
    local_code: str
    name_vi: str
    name_en: str
    currency: str
    opening_vnd: int
    debit_vnd: int
    credit_vnd: int

    @property
    def balance_vnd(self) -> int:
        return self.opening_vnd + self.debit_vnd - self.credit_vnd


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the journal is looked for: days that were booked, both included; an account, a kind, words."""

    first: date
    last: date
    account: str | None = None
    kind: str | None = None
    words: str = ""


async def save_chart(session: Session, agency: str, now: datetime) -> None:
    await session.execute(_BOOKS, {"agency": agency, "now": now})
    await session.execute(
        _ACCOUNT,
        [
            {"agency": agency, "position": position, **spec._asdict()}
            for position, spec in enumerate(rules.CHART)
        ],
    )


async def insert_entry(
    session: Session, values: dict[str, Any], lines: Sequence[rules.Line]
) -> date | None:
    """The day it was booked on; ``None`` when an entry with this business key is there already (and nothing was done)."""
    booked_on: date | None = (await session.execute(_ENTRY, values)).scalar_one_or_none()
    if booked_on is not None:
        await session.execute(
            _LINES,
            {
                "entry": values["id"],
                "agency": values["agency"],
                "booked_on": booked_on,
                "accounts": [line.account for line in lines],
                "amounts": [line.amount_vnd for line in lines],
            },
        )
    return booked_on


async def insert_entries(
    connection: asyncpg.Connection, entries: Sequence[dict[str, Any]], now: datetime
) -> dict[UUID, date]:
    """Like :func:`insert_entry` for many, without their lines: the day each was booked on, by its id. One that is there already is
    left out. The caller holds the books, and adds all lines of each (:func:`insert_lines`)."""
    names = (
        "id", "agency", "currency", "business_key", "kind", "source_id", "occurred_on", "occurred_at", "reverses",
    )  # fmt: skip
    columns = [[entry[name] for entry in entries] for name in names]
    return {row[0]: row[1] for row in await connection.fetch(_ENTRY_MANY, *columns, now)}


async def insert_lines(
    connection: asyncpg.Connection,
    lines: Sequence[tuple[UUID, int, str, str, date, int]],
) -> None:
    """(entry, number, agency, account, day it was booked on, amount) of whole entries."""
    await connection.execute(_LINE_MANY, *zip(*lines, strict=True))


async def posted(
    session: Session, agency: str, business_key: str
) -> tuple[UUID, tuple[rules.Line, ...]]:
    """The id and the lines of an entry, in their order. Raises ``NoResultFound``."""
    found = await session.execute(
        text("SELECT id FROM journal_entry WHERE agency = :agency AND business_key = :key"),
        {"agency": agency, "key": business_key},
    )
    id_: UUID = found.scalar_one()
    lines = await session.execute(
        text("SELECT account, amount_vnd FROM journal_line WHERE entry_id = :id ORDER BY line_no"),
        {"id": id_},
    )
    return id_, tuple(rules.Line(*row) for row in lines)


async def books(session: Session | ReadSession, agency: str) -> BooksRow:
    """Raises ``NoResultFound``."""
    return BooksRow(*(await session.execute(_BOOKS_ROW, {"agency": agency})).one())


async def lock_books(session: Session, agency: str) -> BooksRow:
    """Nobody else posts to these books until COMMIT. Raises ``NoResultFound``."""
    return BooksRow(*(await session.execute(_LOCK_BOOKS, {"agency": agency})).one())


async def lock_many(connection: asyncpg.Connection, agencies: Sequence[str]) -> dict[str, BooksRow]:
    """Nobody else posts to these books until COMMIT. In one order everywhere: who needs several takes them all at once."""
    rows = await connection.fetch(_LOCK_MANY, sorted(agencies))
    return {row[0]: BooksRow(*tuple(row)[1:]) for row in rows}


async def close_through(session: Session, agency: str, last: date) -> None:
    await session.execute(
        text("UPDATE books SET closed_through = :last WHERE agency = :agency"),
        {"agency": agency, "last": last},
    )


async def trial_balance(
    session: Session | ReadSession, agency: str, first: date, last: date
) -> list[Balance]:
    """From the running balances: its cost is that of days and accounts, not of entries."""
    rows = await session.execute(
        text(
            """SELECT a.code, a.kind, a.local_code, a.name_vi, a.name_en, coalesce(d.currency, 'VND'),
                      coalesce(sum(d.debit_vnd - d.credit_vnd) FILTER (WHERE d.booked_on < :first), 0)::bigint,
                      coalesce(sum(d.debit_vnd) FILTER (WHERE d.booked_on >= :first), 0)::bigint,
                      coalesce(sum(d.credit_vnd) FILTER (WHERE d.booked_on >= :first), 0)::bigint
               FROM ledger_account a
               LEFT JOIN account_day d ON d.agency = a.agency AND d.account = a.code
                                       AND d.booked_on <= :last
               WHERE a.agency = :agency
               GROUP BY a.agency, a.code, coalesce(d.currency, 'VND')
               ORDER BY coalesce(d.currency, 'VND'), a.position"""
        ),
        {"agency": agency, "first": first, "last": last},
    )
    return [Balance(*row) for row in rows]


_MATCHES = """e.agency = :agency AND e.booked_on BETWEEN :first AND :last
    AND (CAST(:kind AS text) IS NULL OR e.kind = CAST(:kind AS text))
    AND (CAST(:account AS text) IS NULL OR EXISTS (
        SELECT FROM journal_line l WHERE l.entry_id = e.id AND l.account = CAST(:account AS text)))
    AND (CAST(:words AS text) = '' OR e.business_key ILIKE CAST(:pattern AS text)
         OR p.reference ILIKE CAST(:pattern AS text) OR i.document ILIKE CAST(:pattern AS text)
         OR reader.email ILIKE CAST(:pattern AS text))"""
_BEHIND = """LEFT JOIN refund r ON r.id = e.source_id
    LEFT JOIN payment p ON p.id = coalesce(r.payment_id, e.source_id)
    LEFT JOIN invoice i ON i.payment_id = p.id
    LEFT JOIN reader ON reader.id = p.reader_id"""
_ENTRIES = f"""SELECT e.id, e.business_key, e.kind, e.source_id, e.currency, e.occurred_on, e.booked_on,
           e.occurred_at, e.posted_at, e.reverses, p.id AS payment_id, p.subscription_id,
           p.reference, i.document, reader.email AS reader_email,
           (SELECT jsonb_agg(jsonb_build_object('account', l.account, 'local_code', a.local_code,
                   'name_vi', a.name_vi, 'name_en', a.name_en, 'amount_vnd', l.amount_vnd)
                   ORDER BY l.line_no)
            FROM journal_line l JOIN ledger_account a ON a.agency = l.agency AND a.code = l.account
            WHERE l.entry_id = e.id) AS lines
    FROM journal_entry e {_BEHIND}"""  # noqa: S608 - constants of ours
_PAGE = text(
    f"""{_ENTRIES} WHERE {_MATCHES}
        AND (CAST(:after_id AS uuid) IS NULL
             OR (e.booked_on, e.id) < (CAST(:after_on AS date), CAST(:after_id AS uuid)))
        ORDER BY e.booked_on DESC, e.id DESC LIMIT :limit"""
)
_COUNT = text(f"SELECT count(*) FROM journal_entry e {_BEHIND} WHERE {_MATCHES}")  # noqa: S608
_ONE = text(f"{_ENTRIES} WHERE e.agency = :agency AND e.id = :id")
_OF_SOURCE = text(
    f"{_ENTRIES} WHERE e.agency = :agency AND e.source_id = :source ORDER BY e.id DESC LIMIT 100"
)


def _parameters(agency: str, wanted: Wanted) -> dict[str, Any]:
    escaped = wanted.words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {
        "agency": agency,
        "first": wanted.first,
        "last": wanted.last,
        "account": wanted.account,
        "kind": wanted.kind,
        "words": wanted.words,
        "pattern": f"%{escaped}%",
    }


async def entries(
    session: Session | ReadSession,
    agency: str,
    wanted: Wanted,
    *,
    limit: int,
    after: tuple[date, UUID] | None = None,
) -> list[dict[str, Any]]:
    """Entries with their lines and what stands behind them, the newest first; those older than ``after``."""
    after_on, after_id = after or (None, None)
    rows = await session.execute(
        _PAGE,
        {**_parameters(agency, wanted), "after_on": after_on, "after_id": after_id, "limit": limit},
    )
    return [dict(row) for row in rows.mappings()]


async def count_entries(session: Session | ReadSession, agency: str, wanted: Wanted) -> int:
    return int(await session.scalar(_COUNT, _parameters(agency, wanted)) or 0)


async def entry(
    session: Session | ReadSession, agency: str, entry_id: UUID
) -> dict[str, Any] | None:
    row = (await session.execute(_ONE, {"agency": agency, "id": entry_id})).mappings().first()
    return dict(row) if row is not None else None


async def entries_of(
    session: Session | ReadSession, agency: str, source_id: UUID
) -> list[dict[str, Any]]:
    """Up to a hundred entries of one payment, refund or day of recognition, the newest first."""
    rows = await session.execute(_OF_SOURCE, {"agency": agency, "source": source_id})
    return [dict(row) for row in rows.mappings()]
