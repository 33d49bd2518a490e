"""Every SQL statement of deferred revenue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy import select, text
from sqlmodel import col

from services.billing.ledger.rules import STREAMS, VAT_PAYABLE
from services.billing.recognition.models import RecognitionSchedule
from services.billing.recognition.rules import Term
from shared.database import ReadSession, Session

#: What a schedule ``s`` earns on ``day``: the difference of two cumulative floors, as :class:`rules.Term` has it.
_SHARE = """(s.total_vnd * ({day} - s.starts_on + 1) / (s.ends_on - s.starts_on)
             - s.total_vnd * ({day} - s.starts_on) / (s.ends_on - s.starts_on))"""

_OPEN = text(
    "UPDATE books SET opened_through = :day WHERE agency = :agency AND opened_through < :day"
)
_OPEN_MANY = """UPDATE books b SET opened_through = d.day FROM unnest($1::text[], $2::date[]) AS d(agency, day)
    WHERE b.agency = d.agency AND b.opened_through < d.day"""
_BEGIN_MANY = """INSERT INTO recognition_schedule (id, agency, payment_id, stream, currency, starts_on, ends_on, total_vnd, counted_from)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::date[], $7::date[], $8::bigint[], $9::date[])"""
_DUE_MANY = """INSERT INTO recognition_due (agency, stream, currency, day, amount_vnd)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::bigint[]) AS d(agency, stream, currency, day, amount)
    WHERE amount > 0"""
_BEHIND = text(
    """SELECT b.agency, b.counted_through,
              (CAST(:now AS timestamptz) AT TIME ZONE a.time_zone)::date AS today
       FROM books b JOIN agency a ON a.id = b.agency
       WHERE b.counted_through < (CAST(:now AS timestamptz) AT TIME ZONE a.time_zone)::date
       ORDER BY 1"""
)
#: Of schedules that were made before the day began, whatever has been given back of them since.
_SUMS = text(
    f"""SELECT s.stream, s.currency, sum({_SHARE.format(day="CAST(:day AS date)")})::bigint
       FROM recognition_schedule s
       WHERE s.agency = :agency AND s.starts_on <= :day AND s.ends_on > :day AND s.counted_from <= :day
             AND (s.closed_on IS NULL OR s.closed_on > :day)
       GROUP BY 1, 2 ORDER BY 1, 2"""  # noqa: S608 - constants of ours
)
_DUE = text(
    """INSERT INTO recognition_due (agency, stream, currency, day, amount_vnd)
       SELECT :agency, stream, currency, day, amount
       FROM unnest(CAST(:streams AS text[]), CAST(:currencies AS text[]), CAST(:days AS date[]),
                   CAST(:amounts AS bigint[])) AS d(stream, currency, day, amount)
       WHERE amount > 0"""
)
#: Takes what is due of the first days, adds it to its day, and says under which number the day's next entry goes.
_TAKE = text(
    """WITH taken AS (
         DELETE FROM recognition_due WHERE agency = :agency AND day IN (
           SELECT DISTINCT day FROM recognition_due WHERE agency = :agency ORDER BY day LIMIT :days)
         RETURNING stream, currency, day, amount_vnd
       ), sums AS (
         SELECT stream, currency, day, sum(amount_vnd)::bigint AS amount FROM taken GROUP BY 1, 2, 3
       ), noted AS (
         INSERT INTO recognition_day AS d (id, agency, stream, currency, day, amount_vnd, entries)
         SELECT gen_random_uuid(), :agency, stream, currency, day, amount, 1 FROM sums
         ON CONFLICT ON CONSTRAINT uq_recognition_day_agency DO UPDATE
             SET amount_vnd = d.amount_vnd + excluded.amount_vnd, entries = d.entries + 1
         RETURNING id, stream, currency, day, entries
       )
       SELECT noted.id, stream, currency, day, amount, entries FROM noted JOIN sums USING (stream, currency, day)
       ORDER BY day, stream, currency"""
)
_SHARES = text(
    f"""SELECT s.id, s.payment_id, i.document, p.reference, reader.email AS reader_email, s.starts_on,
               s.ends_on, s.ends_on - 1 AS last_on, s.total_vnd, {_SHARE.format(day="d.day")} AS share_vnd
       FROM recognition_day d
       JOIN recognition_schedule s ON s.agency = d.agency AND s.stream = d.stream AND s.currency = d.currency
            AND s.starts_on <= d.day AND s.ends_on > d.day AND (s.closed_on IS NULL OR s.closed_on > d.day)
       JOIN payment p ON p.id = s.payment_id JOIN reader ON reader.id = p.reader_id
       LEFT JOIN invoice i ON i.payment_id = p.id
       WHERE d.agency = :agency AND d.id = :day
         AND (CAST(:after AS uuid) IS NULL OR s.id > CAST(:after AS uuid))
       ORDER BY s.id LIMIT :limit"""  # noqa: S608 - constants of ours
)

_UNEARNED = text(
    """SELECT sum(total_vnd - total_vnd * least(greatest(CAST(:cut AS date) - starts_on, 0), ends_on - starts_on)
                              / (ends_on - starts_on))::bigint
       FROM recognition_schedule WHERE payment_id = ANY(CAST(:payments AS uuid[])) AND closed_on IS NULL"""
)
_GIVEN_BACK = text(
    """SELECT coalesce(sum(r.amount_vnd), 0)::bigint,
              coalesce(sum((SELECT sum(l.amount_vnd) FROM journal_entry e
                            JOIN journal_line l ON l.entry_id = e.id AND l.account = :account
                            WHERE e.source_id = r.id AND e.agency = r.agency)), 0)::bigint
       FROM refund r WHERE r.payment_id = :id AND r.failed_at IS NULL"""
)


_HOLDER = text(
    """WITH RECURSIVE chain AS (
         SELECT id, replaced_by, 0 AS step FROM payment WHERE id = :id
         UNION ALL SELECT p.id, p.replaced_by, c.step + 1 FROM chain c JOIN payment p ON p.id = c.replaced_by)
       SELECT id FROM chain ORDER BY step DESC LIMIT 1"""
)
_OWN_NET = text(
    """SELECT coalesce((SELECT -sum(l.amount_vnd) FROM journal_entry e JOIN journal_line l ON l.entry_id = e.id
                        WHERE e.source_id = :id AND e.kind = 'payment' AND l.account = ANY (CAST(:deferred AS text[]))), 0)
              - coalesce((SELECT sum(l.amount_vnd) FROM refund r
                          JOIN journal_entry e ON e.source_id = r.id AND e.agency = r.agency AND e.kind = 'refund'
                          JOIN journal_line l ON l.entry_id = e.id AND l.account = ANY (CAST(:taken AS text[]))
                          WHERE r.payment_id = :id AND r.failed_at IS NULL), 0)"""
)


class DaySum(NamedTuple):
    """What all schedules of a stream earn on a day."""

    day: date
    stream: str
    currency: str
    amount_vnd: int


@dataclass(frozen=True, slots=True)
class Taken:
    """An amount that goes into the journal: the ``number``-th entry of its day."""

    day_id: UUID
    stream: str
    currency: str
    day: date
    amount_vnd: int
    number: int


async def open_through(session: Session, agency: str, day: date) -> None:
    """From now on schedules earn the days up to ``day`` by themselves; the sums of these days are taken of the others."""
    await session.execute(_OPEN, {"agency": agency, "day": day})


async def open_many(connection: asyncpg.Connection, days: dict[str, date]) -> None:
    """:func:`open_through` of several agencies whose books the caller holds."""
    await connection.execute(_OPEN_MANY, list(days), list(days.values()))


async def begin_many(
    connection: asyncpg.Connection,
    schedules: Sequence[tuple[UUID, str, UUID, str, str, date, date, int, date]],
    due: Sequence[tuple[str, str, str, date, int]],
) -> None:
    """Schedules (id, agency, payment, stream, currency, first day, day after the last, total, first day that is counted), and what
    they have earned (agency, stream, currency, day, amount)."""
    await connection.execute(_BEGIN_MANY, *zip(*schedules, strict=True))
    if due:
        await connection.execute(_DUE_MANY, *zip(*due, strict=True))


async def behind(session: ReadSession, now: datetime) -> dict[str, tuple[date, date]]:
    """Agencies with days whose sum was not taken: the last day that was, and today."""
    return {row[0]: (row[1], row[2]) for row in await session.execute(_BEHIND, {"now": now})}


async def day_sums(session: ReadSession, agency: str, day: date) -> list[DaySum]:
    """What a day earns by stream and currency."""
    rows = await session.execute(_SUMS, {"agency": agency, "day": day})
    return [DaySum(day, *row) for row in rows]


async def add_due(session: Session, agency: str, sums: Sequence[DaySum]) -> None:
    if sums:
        await session.execute(
            _DUE,
            {
                "agency": agency,
                "streams": [item.stream for item in sums],
                "currencies": [item.currency for item in sums],
                "days": [item.day for item in sums],
                "amounts": [item.amount_vnd for item in sums],
            },
        )


async def counted(session: Session, agency: str, through: date) -> None:
    await session.execute(
        text("UPDATE books SET counted_through = :day WHERE agency = :agency"),
        {"agency": agency, "day": through},
    )


async def agencies_with_due(session: ReadSession) -> list[str]:
    rows = await session.execute(text("SELECT DISTINCT agency FROM recognition_due ORDER BY 1"))
    return [row[0] for row in rows]


async def take_due(session: Session, agency: str, days: int) -> list[Taken]:
    """What is due of the first ``days`` days, summed by day, stream and currency; the caller posts it."""
    rows = await session.execute(_TAKE, {"agency": agency, "days": days})
    return [Taken(*row) for row in rows]


async def open_schedules(
    session: Session, payment_ids: Sequence[UUID]
) -> list[RecognitionSchedule]:
    """Of payments (one each, unless a refund that failed gave another), locked."""
    rows = await session.scalars(
        select(RecognitionSchedule)
        .where(
            col(RecognitionSchedule.payment_id).in_(payment_ids),
            col(RecognitionSchedule.closed_on).is_(None),
        )
        .order_by(col(RecognitionSchedule.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def unearned(session: Session | ReadSession, payment_ids: Sequence[UUID], cut: date) -> int:
    """What ``cut`` and the days after it earn of the open schedules of these payments, net, in đồng."""
    return int(await session.scalar(_UNEARNED, {"payments": list(payment_ids), "cut": cut}) or 0)


async def lock_payments(session: Session, agency: str, payment_ids: Sequence[UUID]) -> None:
    """Before the books: who refunds a payment holds its row when the books are waited for. Raises ``ValueError`` for others' payments."""
    rows = await session.execute(
        text(
            """SELECT id FROM payment WHERE agency = :agency AND id = ANY(CAST(:payments AS uuid[]))
               ORDER BY id FOR NO KEY UPDATE"""
        ),
        {"agency": agency, "payments": list(payment_ids)},
    )
    missing = set(payment_ids) - {row[0] for row in rows}
    if missing:
        raise ValueError(f"{agency} has no payments {sorted(missing)}")


async def holder_of(session: Session, payment_id: UUID) -> UUID:
    """The payment whose schedules have what is left of this one: itself, or the last one of those that replaced it."""
    found: UUID = await session.scalar(_HOLDER, {"id": payment_id})
    return found


async def own_net(session: Session, payment_id: UUID) -> int:
    """Net đồng that a payment was paid with and that did not go back, by the books: without what it took over from others."""
    return int(
        await session.scalar(
            _OWN_NET,
            {
                "id": payment_id,
                "deferred": [one.deferred for one in STREAMS.values()],
                "taken": [code for one in STREAMS.values() for code in (one.deferred, one.refunds)],
            },
        )
    )


async def replace_payments(session: Session, payment_ids: Sequence[UUID], by: UUID) -> None:
    """Say of payments (locked) that another one's plan took over. One that was replaced before stays as it is."""
    await session.execute(
        text(
            """UPDATE payment SET replaced_by = :by
               WHERE id = ANY(CAST(:payments AS uuid[])) AND replaced_by IS NULL"""
        ),
        {"payments": list(payment_ids), "by": by},
    )


async def carried_into(session: Session, payment_id: UUID) -> int | None:
    """What the schedules of a payment took over from others, in đồng; None while it has no schedule."""
    found: int | None = await session.scalar(
        text(
            """SELECT coalesce((SELECT sum(carried_vnd) FROM recognition_schedule WHERE carried_to = :id), 0)::bigint
               WHERE EXISTS (SELECT FROM recognition_schedule WHERE payment_id = :id)"""
        ),
        {"id": payment_id},
    )
    return found


async def last_end(session: Session, payment_id: UUID) -> date | None:
    """The day on which the last schedule of a payment ends, open or not; None where it has none."""
    found: date | None = await session.scalar(
        text("SELECT max(ends_on) FROM recognition_schedule WHERE payment_id = :id"),
        {"id": payment_id},
    )
    return found


async def has_period(session: Session, payment_id: UUID) -> bool:
    """False of a gift that nobody has redeemed."""
    return bool(
        await session.scalar(
            text("SELECT period_start IS NOT NULL FROM payment WHERE id = :id"), {"id": payment_id}
        )
    )


async def given_back(session: Session, payment_id: UUID) -> tuple[int, int]:
    """What refunds of a payment that did not fail gave back, and the VAT in it as the books have it."""
    row = await session.execute(_GIVEN_BACK, {"id": payment_id, "account": VAT_PAYABLE})
    amount_vnd, vat_vnd = row.one()
    return amount_vnd, vat_vnd


def term(schedule: RecognitionSchedule) -> Term:
    return Term(schedule.starts_on, schedule.ends_on, schedule.total_vnd)


async def shares(
    session: ReadSession, agency: str, day_id: UUID, *, limit: int, after: UUID | None
) -> list[dict[str, Any]]:
    """What each schedule earned on a day of recognition, by the schedule's id; those behind ``after``."""
    rows = await session.execute(
        _SHARES, {"agency": agency, "day": day_id, "limit": limit, "after": after}
    )
    return [dict(row) for row in rows.mappings()]
