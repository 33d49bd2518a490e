"""What changed, what is read, and what was found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from services.billing.invariants.invariant import CHANGES, WHOLE, Invariant
from services.billing.invariants.rules import Reading, Wrong
from shared.database import ReadSession, Session
from shared.database.core import STATEMENT_TIMEOUT_MS

#: Everything may take so long; a reading of changes has what every statement has (``shared.database``).
WHOLE_TIMEOUT_MS = 600_000
#: Of changes from their subjects by indexes, whatever is known of the tables: what is cheaper today grows with them.
_SETTINGS = text(
    """SELECT set_config('statement_timeout', :limit, true), set_config('enable_seqscan', :whole_tables, true),
              set_config('enable_hashjoin', :whole_tables, true), set_config('enable_mergejoin', :whole_tables, true),
              set_config('max_parallel_workers_per_gather', :workers, true)"""
)

#: From where on a later reading must look: now, or the beginning of the oldest transaction that is still open (it may have written rows
#: with ids of that time, which nobody sees yet). Of one's own role; others, the owner's migrations, write no facts.
_MARK = text(
    """SELECT least(now(), min(xact_start)) FROM pg_stat_activity
       WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""
)

#: (ARRAY, not a join: the planner would make much of what is unknown, and read the whole table.)
#: Whom and what new rows are about, those of open transactions among them once they are committed. Facts that change a row in place come
#: with a new one: a gift that is redeemed with an entry, a subscription with a transition or a movement, an order with its payment.
_TOUCHED = text(
    """WITH entry AS MATERIALIZED (SELECT id, source_id FROM journal_entry WHERE id >= :floor),
    line AS MATERIALIZED (SELECT entry_id, agency, account, booked_on FROM journal_line WHERE entry_id >= :floor),
    credit AS MATERIALIZED (
        SELECT id FROM bank_credit WHERE id >= :floor
        UNION SELECT credit_id FROM credit_use WHERE id >= :floor
        UNION SELECT id FROM bank_credit WHERE id = ANY (ARRAY(SELECT source_id FROM entry))),
    paid AS MATERIALIZED (
        SELECT id FROM payment WHERE id >= :floor
        UNION SELECT payment_id FROM refund WHERE id >= :floor
        UNION SELECT payment_id FROM refund WHERE failed_at >= :since
        UNION SELECT payment_id FROM refund_request WHERE id >= :floor
        UNION SELECT payment_id FROM dispute WHERE id >= :floor
        UNION SELECT payment_id FROM recognition_schedule WHERE id >= :floor
        UNION SELECT payment_id FROM invoice WHERE id >= :floor
        UNION SELECT id FROM payment WHERE id = ANY (ARRAY(SELECT source_id FROM entry))
        UNION SELECT payment_id FROM refund WHERE id = ANY (ARRAY(SELECT source_id FROM entry))
        UNION SELECT payment_id FROM dispute WHERE id = ANY (ARRAY(SELECT source_id FROM entry))),
    payer AS MATERIALIZED (SELECT reader_id, subscription_id FROM payment WHERE id = ANY (ARRAY(SELECT id FROM paid))),
    subscribed AS MATERIALIZED (
        SELECT id FROM subscription WHERE id >= :floor
        UNION SELECT id FROM subscription WHERE period_end >= :since AND period_end <= :now
        UNION SELECT subscription_id FROM payer WHERE subscription_id IS NOT NULL
        UNION SELECT subscription_id FROM mrr_movement WHERE made_at >= :floor_at
        UNION SELECT subscription_id FROM subscription_transition WHERE made_at >= :floor_at
        UNION SELECT subscription_id FROM seat WHERE id >= :floor
        UNION SELECT subscription_id FROM seat WHERE ended_at >= :since
        UNION SELECT subscription_id FROM seat WHERE id = ANY (ARRAY(SELECT seat_id FROM entitlement WHERE id >= :floor)))
    SELECT ARRAY(SELECT reader_id FROM payer
            UNION SELECT reader_id FROM subscription WHERE id = ANY (ARRAY(SELECT id FROM subscribed))
            UNION SELECT reader_id FROM sales_order WHERE id >= :floor
            UNION SELECT reader_id FROM sales_order WHERE id = ANY (ARRAY(SELECT order_id FROM credit_use WHERE id >= :floor))
            UNION SELECT reader_id FROM entitlement WHERE id >= :floor
            UNION SELECT reader_id FROM bundle WHERE id >= :floor
            UNION SELECT reader_id FROM bundle_use WHERE id >= :floor) AS readers,
        ARRAY(SELECT id FROM entry UNION SELECT entry_id FROM line) AS entries,
        ARRAY(SELECT id FROM payout_share WHERE id >= :floor OR failed_at >= :since
            UNION SELECT id FROM payout_share WHERE id = ANY (ARRAY(SELECT source_id FROM entry))) AS shares,
        ARRAY(SELECT id FROM credit) AS credits,
        ARRAY(SELECT id FROM recognition_day WHERE id = ANY (ARRAY(SELECT source_id FROM entry))) AS recognised,
        ARRAY(SELECT DISTINCT agency || ' ' || account || ' ' || booked_on FROM line) AS days"""
)


@dataclass(frozen=True, slots=True)
class Subjects:
    """What a reading of changes looks at. ``days``: agency, account and day, with a blank between; ``named``: what was found before, as
    text (series of invoices are among them)."""

    readers: Collection[UUID] = ()
    entries: Collection[UUID] = ()
    shares: Collection[UUID] = ()
    credits: Collection[UUID] = ()
    recognised: Collection[UUID] = ()
    days: Collection[str] = ()
    named: Collection[str] = ()
    floor: UUID = field(default_factory=lambda: UUID(int=0))

    def parameters(self) -> dict[str, Any]:
        days = [one.split(" ") for one in self.days]
        return {
            "readers": list(self.readers),
            "entries": list(self.entries),
            "shares": list(self.shares),
            "credits": list(self.credits),
            "recognised": list(self.recognised),
            "day_agencies": [one[0] for one in days],
            "day_accounts": [one[1] for one in days],
            "day_dates": [date.fromisoformat(one[2]) for one in days],
            "named": list(self.named),
            "floor": self.floor,
        }

    def covers(self) -> set[str]:
        """As findings name them."""
        ids = (*self.readers, *self.entries, *self.shares, *self.credits, *self.recognised)
        return {*map(str, ids), *self.days, *self.named}


async def _set(session: ReadSession, *, some: bool) -> None:
    limit = str(STATEMENT_TIMEOUT_MS if some else WHOLE_TIMEOUT_MS)
    plans = {"whole_tables": "off" if some else "on", "workers": "0" if some else "2"}
    await session.execute(_SETTINGS, {"limit": limit, **plans})


async def mark(session: Session | ReadSession) -> datetime:
    """From where on the next reading must look if one begins now."""
    at: datetime = await session.scalar(_MARK)
    return at


async def touched(
    session: ReadSession, floor: UUID, floor_at: datetime, since: datetime, now: datetime
) -> Subjects:
    """What new rows are about: from ``floor`` on (an id; ``floor_at`` its moment), and what billing's clock says of ``since`` to ``now``."""
    await _set(session, some=True)
    values = {"floor": floor, "floor_at": floor_at, "since": since, "now": now}
    row = (await session.execute(_TOUCHED, values)).one()
    return Subjects(**row._mapping, floor=floor)


@cache
def _query(one: Invariant, whole: bool) -> tuple[TextClause, ...]:
    if not whole:
        return (text(one.sql(CHANGES)),)
    return tuple(text(sql) for sql in (one.sql(WHOLE), one.sums) if sql)


async def violations(
    session: ReadSession, one: Invariant, now: datetime, subjects: Subjects | None
) -> list[Wrong]:
    """What contradicts an invariant, of ``subjects`` or of everything."""
    given = {"now": now, **(subjects.parameters() if subjects else {})}
    await _set(session, some=subjects is not None)
    found = list[Wrong]()
    for query in _query(one, subjects is None):
        asked = {name: given[name] for name in query._bindparams}
        found += [Wrong(a, s, int(n)) for a, s, n in await session.execute(query, asked)]
    return found


# What is kept


async def readings(session: Session | ReadSession) -> dict[str, Reading]:
    """How each invariant stands that was ever read."""
    rows = await session.execute(
        text(
            """SELECT name, read_from, checked_at, whole_at, whole_tried_at, error, whole_error FROM invariant_reading"""
        )
    )
    return {name: Reading(*rest) for name, *rest in rows}


#: By agency and subject.
Findings = dict[tuple[str, str], int]


async def findings(
    session: Session | ReadSession, agency: str | None = None
) -> dict[str, Findings]:
    """What is found by now, by invariant, agency and subject."""
    rows = await session.execute(
        text(
            """SELECT name, agency, subject, violations FROM invariant_finding
               WHERE CAST(:agency AS text) IS NULL OR agency = :agency ORDER BY name, agency, found_at, subject"""
        ),
        {"agency": agency},
    )
    found: dict[str, Findings] = {}
    for name, of, subject, violations_ in rows:
        found.setdefault(name, {})[of, subject] = violations_
    return found


async def agencies(session: ReadSession) -> list[str]:
    """All of them."""
    return [row[0] for row in await session.execute(text("SELECT id FROM agency ORDER BY id"))]


async def readers_among(session: ReadSession, agency: str, subjects: Collection[str]) -> list[str]:
    """Which subjects are readers of the agency."""
    rows = await session.execute(
        text(
            "SELECT id::text FROM reader WHERE agency = :agency AND id::text = ANY (:ids) ORDER BY id"
        ),
        {"agency": agency, "ids": list(subjects)},
    )
    return [row[0] for row in rows]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a reading: what was found and what is not there any more, or why it did not go through."""

    name: str
    whole: bool
    found: Mapping[tuple[str, str], int] = field(default_factory=dict)
    gone: Collection[tuple[str, str]] = ()
    took_ms: int = 0
    error: str = ""


_FORGET = text(
    """DELETE FROM invariant_finding WHERE (name, agency, subject) IN
       (SELECT * FROM unnest(CAST(:names AS text[]), CAST(:agencies AS text[]), CAST(:subjects AS text[])))"""
)
_KEEP = text(
    """INSERT INTO invariant_finding (name, agency, subject, violations, found_at)
       SELECT f.*, :now FROM unnest(CAST(:names AS text[]), CAST(:agencies AS text[]), CAST(:subjects AS text[]),
                                    CAST(:counts AS bigint[])) AS f
       ON CONFLICT ON CONSTRAINT pk_invariant_finding DO UPDATE SET violations = excluded.violations"""
)
_READ = text(
    """INSERT INTO invariant_reading (name, read_from, checked_at, took_ms)
       SELECT r.name, :mark, :now, r.took FROM unnest(CAST(:names AS text[]), CAST(:took AS integer[])) AS r (name, took)
       ON CONFLICT (name) DO UPDATE SET read_from = :mark, checked_at = :now, took_ms = excluded.took_ms, error = ''"""
)
_READ_WHOLE = text(
    """INSERT INTO invariant_reading (name, read_from, checked_at, whole_at, whole_tried_at, whole_took_ms)
       SELECT r.name, :mark, :now, :now, :now, r.took FROM unnest(CAST(:names AS text[]), CAST(:took AS integer[])) AS r (name, took)
       ON CONFLICT (name) DO UPDATE SET read_from = :mark, checked_at = :now, error = '',
           whole_at = :now, whole_tried_at = :now, whole_took_ms = excluded.whole_took_ms, whole_error = ''"""
)
_FAILED = text(
    """INSERT INTO invariant_reading (name, error) VALUES (:name, :error)
       ON CONFLICT (name) DO UPDATE SET error = :error"""
)
_FAILED_WHOLE = text(
    """INSERT INTO invariant_reading (name, whole_tried_at, whole_error) VALUES (:name, :now, :error)
       ON CONFLICT (name) DO UPDATE SET whole_tried_at = :now, whole_error = :error"""
)


async def keep(
    session: Session, outcomes: Iterable[Outcome], *, mark: datetime, now: datetime
) -> None:
    """What was found stands until its subject, or everything, is read again; the next reading of changes begins at ``mark``. Of a
    reading that did not go through only the reason is kept: what was found, and where the next one begins, stays."""
    read = [one for one in outcomes if not one.error]
    gone = [(one.name, *key) for one in read for key in one.gone]
    if gone:
        names, agencies_, subjects = map(list, zip(*gone, strict=True))
        await session.execute(
            _FORGET, {"names": names, "agencies": agencies_, "subjects": subjects}
        )
    found = [one for one in read if one.found]
    if found:
        rows = [(one.name, *key, n) for one in found for key, n in one.found.items()]
        columns = ("names", "agencies", "subjects", "counts")
        values = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        await session.execute(_KEEP, {"now": now, **values})
    for whole, statement in ((False, _READ), (True, _READ_WHOLE)):
        done = [one for one in read if one.whole is whole]
        if done:
            took = {"names": [one.name for one in done], "took": [one.took_ms for one in done]}
            await session.execute(statement, {"mark": mark, "now": now, **took})
    for one in outcomes:
        if one.error and one.whole:
            failed = {"name": one.name, "error": one.error, "now": now}
            await session.execute(_FAILED_WHOLE, failed)
        elif one.error:
            await session.execute(_FAILED, {"name": one.name, "error": one.error})


async def wish(session: Session, agency: str, now: datetime) -> bool:
    """Everything is to be read; False when it was asked for already."""
    row = await session.execute(
        text(
            """INSERT INTO invariant_wish (agency, asked_at) VALUES (:agency, :now)
               ON CONFLICT (agency) DO NOTHING RETURNING agency"""
        ),
        {"agency": agency, "now": now},
    )
    return row.one_or_none() is not None


async def wished(session: Session | ReadSession) -> dict[str, datetime]:
    """Agencies whose staff asked, and when."""
    rows = await session.execute(text("SELECT agency, asked_at FROM invariant_wish"))
    return {row.agency: row.asked_at for row in rows}


async def answered(session: Session, through: datetime) -> None:
    """Everything was read, or tried to, at ``through`` or later: what was asked for before is done."""
    await session.execute(
        text("DELETE FROM invariant_wish WHERE asked_at < :through"), {"through": through}
    )
