"""Every SQL statement about offers and students' addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.letters.offer_rules import price_rises, win_back
from services.billing.letters.rules import Draft, Sold
from services.billing.offers import rules
from services.billing.offers.models import PriceOffer, StudentAddress, StudentCode
from services.billing.offers.rules import Kind, Person, Terms
from services.billing.orders.models import SalesOrder
from services.billing.subscriptions.rules import LIVE
from shared.database import ReadSession, Session

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
_TERMS = """SELECT o.id, o.price_id, o.kind, o.amount_vnd, o.periods, o.valid_from, o.valid_until, o.lapsed_days, o.again_days, o.domains,
    o.ended_at FROM price_offer o"""
_OPEN = "o.ended_at IS NULL AND o.valid_from <= :now AND (o.valid_until IS NULL OR o.valid_until > :now)"

#: What the next period of a subscription ``s`` at the price ``pp`` costs where it begins at ``{at}``: :func:`rules.next_price` in SQL.
NEXT_VND = f"""least(pp.amount_vnd,
    (SELECT o.amount_vnd FROM price_offer o
     WHERE o.id = s.offer_id AND o.price_id = pp.id AND o.kind <> 'student' AND s.offer_left > 0),
    (SELECT min(o.amount_vnd) FROM price_offer o JOIN student_address a ON a.reader_id = s.reader_id AND a.valid_until > {{at}}
     WHERE o.price_id = pp.id AND o.kind = 'student' AND (o.id = s.offer_id OR ({_OPEN}))
       AND EXISTS (SELECT FROM unnest(o.domains) d
                   WHERE split_part(a.address, '@', 2) = d OR split_part(a.address, '@', 2) LIKE '%.' || d)))"""  # noqa: S608 - constants of ours
#: Whether it costs more than the offer that a subscription ``s`` is in.
RISES = f"EXISTS (SELECT FROM price_offer h WHERE h.id = s.offer_id AND h.amount_vnd < {NEXT_VND})"

_RISING = f"""SELECT s.agency, s.reader_id, s.id AS subscription_id, due.at, h.kind, h.amount_vnd AS now_vnd,
      {NEXT_VND.format(at="due.at")} AS then_vnd, p.name_vi, p.name_en, pp.period, m.label AS card
    FROM subscription s JOIN price_offer h ON h.id = s.offer_id LEFT JOIN mandate m ON m.id = s.mandate_id
    JOIN plan_price pp ON pp.id = s.price_id JOIN plan p ON p.id = pp.plan_id
    CROSS JOIN LATERAL (SELECT greatest(s.period_end, s.paused_until) AS at) due
    WHERE s.collection = 'renewal' AND NOT s.cancel_at_period_end AND s.state IN ('active', 'paused') AND s.next_price_id IS NULL
      AND due.at > :now AND {RISES.format(at="due.at")}
      AND EXISTS (SELECT FROM payment y WHERE y.subscription_id = s.id AND y.period_end = s.period_end
                  AND y.refunded_vnd < greatest(y.amount_vnd, 1))"""  # noqa: S608 - constants of ours

_LAPSED = """(SELECT max(coalesce(y.cut_at, y.period_end)) FROM payment y JOIN subscription z ON z.id = y.subscription_id
    WHERE z.reader_id = {reader} AND y.amount_vnd > 0 AND y.refunded_vnd < y.amount_vnd)"""
_WON_BACK = """(SELECT max(b.paid_at) FROM sales_order b JOIN price_offer w ON w.id = b.offer_id AND w.kind = 'winback'
    WHERE b.reader_id = {reader} AND b.state = 'paid')"""
_CONSENTS = """coalesce((SELECT c.granted FROM consent c WHERE c.reader_id = {reader} AND c.purpose = 'offers'
    ORDER BY c.given_at DESC, c.id DESC LIMIT 1), false)"""
_PERSON = text(
    f"""SELECT NOT EXISTS (SELECT FROM subscription WHERE reader_id = :reader)
                   AND NOT EXISTS (SELECT FROM reader WHERE id = :reader AND returned),
               EXISTS (SELECT FROM subscription WHERE reader_id = :reader AND state IN ({_LIVE})),
               {_LAPSED.format(reader=":reader")}, {_WON_BACK.format(reader=":reader")},
               (SELECT address FROM student_address WHERE reader_id = :reader),
               (SELECT valid_until FROM student_address WHERE reader_id = :reader)"""  # noqa: S608
)
_HELD = text(
    f"""SELECT offer_id, max(offer_left) FROM subscription
        WHERE reader_id = :reader AND offer_left > 0 AND state IN ({_LIVE}) GROUP BY offer_id"""  # noqa: S608
)
#: Who left, and whose a winback is now; one letter for each time they left.
_WIN_BACKS = text(
    f"""SELECT DISTINCT ON (s.reader_id) s.agency, s.reader_id, o.id AS offer_id, o.amount_vnd, o.periods, pp.amount_vnd AS full_vnd,
               pp.period, p.name_vi, p.name_en, o.valid_until, lapse.at
        FROM price_offer o JOIN plan_price pp ON pp.id = o.price_id AND pp.superseded_at IS NULL
        JOIN plan p ON p.id = pp.plan_id AND p.active
        JOIN subscription s ON s.agency = o.agency AND s.state NOT IN ({_LIVE})
             AND s.period_end <= CAST(:now AS timestamptz) - make_interval(days => o.lapsed_days)
             AND s.period_end > CAST(:now AS timestamptz) - make_interval(days => o.lapsed_days) - CAST(:within AS interval)
        CROSS JOIN LATERAL (SELECT {_LAPSED.format(reader="s.reader_id")} AS at, {_WON_BACK.format(reader="s.reader_id")} AS won_at) lapse
        WHERE o.kind = 'winback' AND {_OPEN} AND lapse.at = s.period_end
          AND (lapse.won_at IS NULL OR lapse.won_at <= CAST(:now AS timestamptz) - make_interval(days => o.again_days))
          AND NOT EXISTS (SELECT FROM reader r WHERE r.id = s.reader_id AND r.erased_at IS NOT NULL)
          AND NOT EXISTS (SELECT FROM subscription l WHERE l.reader_id = s.reader_id AND l.state IN ({_LIVE}))
          AND {_CONSENTS.format(reader="s.reader_id")}
          AND NOT EXISTS (SELECT FROM letter t WHERE t.agency = s.agency AND t.business_key = 'win-back:' || s.reader_id || ':'
                || to_char(lapse.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'))
        ORDER BY s.reader_id, o.amount_vnd, o.id LIMIT :limit"""  # noqa: S608
)


def _terms(row: Any) -> Terms:
    values = dict(row._mapping)
    return Terms(**values | {"kind": Kind(row.kind), "domains": tuple(row.domains)})


async def open_of(
    session: Session | ReadSession, price_ids: Iterable[UUID], now: datetime
) -> list[Terms]:
    """What is offered of these prices now."""
    rows = await session.execute(
        text(f"{_TERMS} WHERE o.price_id = ANY (CAST(:ids AS uuid[])) AND {_OPEN} ORDER BY o.id"),
        {"ids": list(price_ids), "now": now},
    )
    return [_terms(row) for row in rows]


async def by_ids(session: Session | ReadSession, ids: Iterable[UUID]) -> dict[UUID, Terms]:
    """Offers, also those that have ended."""
    rows = await session.execute(
        text(f"{_TERMS} WHERE o.id = ANY (CAST(:ids AS uuid[]))"), {"ids": list(ids)}
    )
    return {row[0]: _terms(row) for row in rows}


async def person(session: Session | ReadSession, reader_id: UUID) -> Person:
    """What is known of a reader."""
    row = (await session.execute(_PERSON, {"reader": reader_id})).one()
    held = await session.execute(_HELD, {"reader": reader_id})
    new, live, lapsed_at, won_back_at, address, until = row
    return Person(
        new, live, lapsed_at, won_back_at, address or "", until, {one[0]: one[1] for one in held}
    )


async def used(session: Session, order: SalesOrder) -> tuple[int, bool]:
    """How many periods an order's reader has paid at its offer in its turn, and whether they have taken it again since."""
    row = (
        await session.execute(
            text(
                """SELECT count(*) FILTER (WHERE offer_turn = :turn), coalesce(bool_or(offer_turn > :turn), false) FROM sales_order
                   WHERE reader_id = :reader AND offer_id = :offer AND state = 'paid' AND trial_days IS NULL"""
            ),
            {"reader": order.reader_id, "offer": order.offer_id, "turn": order.offer_turn},
        )
    ).one()
    return row[0], row[1]


async def turns(session: Session, reader_id: UUID, offer_id: UUID) -> int:
    """How many times a reader has taken an offer and paid."""
    found = await session.scalar(
        text(
            """SELECT max(offer_turn) FROM sales_order WHERE reader_id = :reader AND offer_id = :offer AND state = 'paid'
               AND trial_days IS NULL"""
        ),
        {"reader": reader_id, "offer": offer_id},
    )
    return int(found or 0)


async def set_left(session: Session, reader_id: UUID, offer_id: UUID, left: int) -> None:
    """What is left of an offer, wherever the reader is in it."""
    await session.execute(
        text(
            """UPDATE subscription SET offer_left = :left
               WHERE reader_id = :reader AND offer_id = :offer AND offer_left <> :left"""
        ),
        {"reader": reader_id, "offer": offer_id, "left": left},
    )


async def lock_price(
    session: Session, agency: str, price_id: UUID
) -> tuple[str, int, bool, bool] | None:
    """(period, đồng, whether it is sold, whether each seat is paid for) of a price; its offers are made by one at a time."""
    row = (
        await session.execute(
            text(
                """SELECT pp.period, pp.amount_vnd, pp.superseded_at IS NULL AND p.active, p.per_seat
                   FROM plan_price pp JOIN plan p ON p.id = pp.plan_id
                   WHERE pp.id = :id AND pp.agency = :agency FOR UPDATE OF pp"""
            ),
            {"id": price_id, "agency": agency},
        )
    ).one_or_none()
    return (row[0], row[1], row[2], row[3]) if row else None


async def current(session: Session, price_id: UUID, kind: Kind) -> PriceOffer | None:
    """The offer of a kind that a price has, locked."""
    found: PriceOffer | None = await session.scalar(
        select(PriceOffer)
        .where(
            col(PriceOffer.price_id) == price_id,
            col(PriceOffer.kind) == kind,
            col(PriceOffer.ended_at).is_(None),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def lock(session: Session, agency: str, id_: UUID) -> PriceOffer | None:
    found: PriceOffer | None = await session.scalar(
        select(PriceOffer)
        .where(col(PriceOffer.id) == id_, col(PriceOffer.agency) == agency)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def listing(session: ReadSession, agency: str) -> list[dict[str, Any]]:
    """The agency's offers, those that are made now first: ``taken``, readers who paid or began a trial; ``stayed``, those of them who
    paid the price itself for a later period of the same subscription, and kept it."""
    rows = await session.execute(
        text(
            """SELECT o.*, p.code, p.name_vi, p.name_en, pp.period, pp.amount_vnd AS full_vnd,
                      pp.superseded_at IS NULL AND p.active AS sold,
                      (SELECT count(DISTINCT b.reader_id) FROM sales_order b
                       WHERE b.offer_id = o.id AND b.state = 'paid') AS taken,
                      (SELECT count(DISTINCT b.reader_id) FROM sales_order b JOIN payment y ON y.order_id = b.id
                       JOIN payment later ON later.subscription_id = y.subscription_id AND later.period_start > y.period_start
                            AND later.amount_vnd > 0 AND later.refunded_vnd < later.amount_vnd
                       JOIN sales_order f ON f.id = later.order_id AND f.offer_id IS NULL AND f.coupon_id IS NULL
                            AND f.price_id = o.price_id
                       WHERE b.offer_id = o.id AND b.state = 'paid') AS stayed
               FROM price_offer o JOIN plan_price pp ON pp.id = o.price_id JOIN plan p ON p.id = pp.plan_id
               WHERE o.agency = :agency ORDER BY o.ended_at IS NOT NULL, o.created_at DESC, o.id LIMIT 200"""
        ),
        {"agency": agency},
    )
    return [dict(row) for row in rows.mappings()]


async def consents(session: Session | ReadSession, reader_id: UUID) -> bool:
    """Whether a reader wants to hear of offers."""
    found = await session.scalar(
        text(f"SELECT {_CONSENTS.format(reader=':reader')}"),
        {"reader": reader_id},
    )
    return bool(found)


def _rise(row: Any) -> Draft:
    sold = Sold(row.name_vi, row.name_en, row.period)
    return price_rises(
        row.subscription_id,
        sold,
        (row.now_vnd, row.then_vnd),
        row.at,
        card=row.card,
        student=row.kind == Kind.STUDENT,
    )


async def rises_due(
    session: Session, now: datetime, limit: int
) -> Sequence[tuple[str, UUID, Draft]]:
    """(agency, reader, letter) of prices that rise soon and of which no letter is written yet."""
    rows = await session.execute(
        text(
            f"""{_RISING} AND due.at <= :until AND NOT EXISTS (SELECT FROM letter l WHERE l.agency = s.agency
                  AND l.business_key = 'price-rises:' || s.id || ':' || to_char(due.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
                    || ':' || {NEXT_VND.format(at="due.at")})
                ORDER BY due.at, s.id LIMIT :limit"""
        ),
        {"now": now, "until": now + rules.RISES_BEFORE, "limit": limit},
    )
    return [(row.agency, row.reader_id, _rise(row)) for row in rows]


async def rise_of(session: Session, subscription_id: UUID, now: datetime) -> Draft | None:
    """The letter about a subscription's price, as it would be written now."""
    rows = await session.execute(
        text(f"{_RISING} AND s.id = :id"), {"now": now, "id": subscription_id}
    )
    row = rows.one_or_none()
    return _rise(row) if row else None


async def win_backs_due(
    session: Session, now: datetime, limit: int
) -> Sequence[tuple[str, UUID, Draft]]:
    """(agency, reader, letter) of who left, wants to hear of offers, and was not written since."""
    rows = await session.execute(
        _WIN_BACKS, {"now": now, "within": rules.WINBACK_WITHIN, "limit": limit}
    )
    return [
        (
            row.agency,
            row.reader_id,
            win_back(
                row.reader_id,
                row.offer_id,
                Sold(row.name_vi, row.name_en, row.period),
                (row.amount_vnd, row.periods, row.full_vnd),
                row.at,
                row.valid_until,
            ),
        )
        for row in rows
    ]


async def student_address(session: Session | ReadSession, reader_id: UUID) -> StudentAddress | None:
    found: StudentAddress | None = await session.scalar(
        select(StudentAddress).where(col(StudentAddress.reader_id) == reader_id)
    )
    return found


async def lock_mailbox(session: Session, agency: str, mailbox: str) -> StudentAddress | None:
    """Who proved a mailbox; until COMMIT nobody else does."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 20_262))"),
        {"key": f"{agency}:{mailbox}"},
    )
    found: StudentAddress | None = await session.scalar(
        select(StudentAddress)
        .where(col(StudentAddress.agency) == agency, col(StudentAddress.mailbox) == mailbox)
        .with_for_update()
    )
    return found


async def let_go(session: Session, address: StudentAddress) -> None:
    """An address that was proved long ago is free for somebody else."""
    await session.delete(address)
    await session.flush()


async def prove(session: Session, values: dict[str, Any]) -> None:
    """The address of a reader who is a student, in the place of the one before."""
    await session.execute(
        text(
            """INSERT INTO student_address (reader_id, agency, address, mailbox, verified_at, valid_until)
               VALUES (:reader, :agency, :address, :mailbox, :now, :until)
               ON CONFLICT (reader_id) DO UPDATE SET address = excluded.address, mailbox = excluded.mailbox,
                   verified_at = excluded.verified_at, valid_until = excluded.valid_until"""
        ),
        values,
    )


async def codes_for_update(
    session: Session, reader_id: UUID, now: datetime
) -> Sequence[StudentCode]:
    """A reader's codes in time, the newest first."""
    return (
        await session.scalars(
            select(StudentCode)
            .where(col(StudentCode.reader_id) == reader_id, col(StudentCode.expires_at) > now)
            .order_by(col(StudentCode.created_at).desc(), col(StudentCode.id))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def forget_codes(session: Session, reader_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM student_code WHERE reader_id = :reader"), {"reader": reader_id}
    )


async def forget_old(session: Session, now: datetime) -> None:
    """Codes that are over."""
    await session.execute(text("DELETE FROM student_code WHERE expires_at <= :now"), {"now": now})


async def paid_before(session: Session | ReadSession, order: SalesOrder) -> int:
    """How many periods this order's reader had paid at its offer before it, in the same turn."""
    found = await session.scalar(
        text(
            """SELECT count(*) FROM sales_order WHERE reader_id = :reader AND offer_id = :offer AND state = 'paid'
               AND trial_days IS NULL AND offer_turn = :turn AND id <> :id AND paid_at <= coalesce(CAST(:paid AS timestamptz), paid_at)"""
        ),
        {
            "reader": order.reader_id,
            "offer": order.offer_id,
            "turn": order.offer_turn,
            "id": order.id,
            "paid": order.paid_at,
        },
    )
    return int(found or 0)
