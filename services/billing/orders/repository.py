"""Every SQL statement about orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.orders.models import Gift, SalesOrder
from services.billing.payments.models import Payment
from services.billing.readers import repository as readers
from services.billing.subscriptions.repository import ON_ITS_WAY, lock_reader
from shared.database import ReadSession, Session


async def open_order(session: Session, reader_id: UUID) -> SalesOrder | None:
    """The order this reader has not paid yet, locked."""
    found: SalesOrder | None = await session.scalar(
        select(SalesOrder)
        .where(
            col(SalesOrder.reader_id) == reader_id,
            col(SalesOrder.state) == "open",
            col(SalesOrder.purpose) == "sale",
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def shown_order(session: ReadSession, reader_id: UUID) -> SalesOrder | None:
    """The order this reader has not paid yet."""
    found: SalesOrder | None = await session.scalar(
        select(SalesOrder).where(
            col(SalesOrder.reader_id) == reader_id,
            col(SalesOrder.state) == "open",
            col(SalesOrder.purpose) == "sale",
        )
    )
    return found


async def by_code(session: Session | ReadSession, agency: str, code: str) -> SalesOrder | None:
    found: SalesOrder | None = await session.scalar(
        select(SalesOrder).where(SalesOrder.agency == agency, SalesOrder.code == code)  # type: ignore[arg-type]
    )
    return found


async def by_id(session: Session | ReadSession, id_: UUID) -> SalesOrder | None:
    found: SalesOrder | None = await session.get(SalesOrder, id_)
    return found


async def open_changes(session: Session | ReadSession, subscription_id: UUID) -> Sequence[UUID]:
    """Changes of a subscription's plan that wait for their money."""
    rows = await session.execute(
        text(
            """SELECT id FROM sales_order
               WHERE subscription_id = :id AND state = 'open' AND purpose = 'change' ORDER BY id"""
        ),
        {"id": subscription_id},
    )
    return [row[0] for row in rows]


async def changes_beside(session: Session, subscription_id: UUID) -> Sequence[UUID]:
    """Changes of plan that wait for their money, of all subscriptions of whoever has this one."""
    rows = await session.execute(
        text(
            """SELECT o.id FROM sales_order o JOIN subscription s ON s.reader_id = o.reader_id
               WHERE s.id = :id AND o.state = 'open' AND o.purpose = 'change' ORDER BY o.id"""
        ),
        {"id": subscription_id},
    )
    return [row[0] for row in rows]


async def price_stands(session: Session, order: SalesOrder) -> bool:
    """Whether nothing happened to what a change of plan counted with: no other period was paid for, nothing was given back."""
    if order.purpose != "change":
        return True
    happened = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM payment p WHERE p.subscription_id = :id AND (p.paid_at > :since OR EXISTS
                 (SELECT FROM refund r WHERE r.payment_id = p.id AND r.failed_at IS NULL
                  AND r.refunded_at >= date_trunc('second', CAST(:since AS timestamptz)))))"""
        ),
        {"id": order.subscription_id, "since": order.created_at},
    )
    return not happened


async def code_known(session: Session, code: str) -> bool:
    found = await session.scalar(select(SalesOrder.id).where(SalesOrder.code == code))  # type: ignore[call-overload]
    return found is not None


async def lock_by_codes(
    session: Session, agency: str, codes: Sequence[str]
) -> Sequence[SalesOrder]:
    """The agency's orders with these codes, locked in one order everywhere."""
    return (
        await session.scalars(
            select(SalesOrder)
            .where(SalesOrder.agency == agency, SalesOrder.code.in_(codes))  # type: ignore[arg-type, attr-defined]
            .order_by(SalesOrder.id)  # type: ignore[arg-type]
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def lock_with_readers(
    session: Session, agency: str, codes: Sequence[str]
) -> Sequence[SalesOrder]:
    """The agency's orders with these codes, locked after their readers. Nobody pays one of who was erased."""
    for reader_id in await readers_of(session, agency, codes):
        await lock_reader(session, reader_id)
    found = await lock_by_codes(session, agency, codes)
    return [one for one in found if not await readers.is_erased(session, one.reader_id)]


#: Nobody paid it in time, and no bank decides about it; what is owed of a subscription ends with its grace.
_EXPIRED = """o.state = 'open' AND o.expires_at <= :now AND o.purpose <> 'renewal'
    AND NOT EXISTS (SELECT FROM charge c WHERE c.order_id = o.id AND c.state = 'processing')"""


async def expired(session: ReadSession, now: datetime, limit: int) -> list[tuple[UUID, UUID]]:
    """(reader, order) that nobody paid in time, the longest over first."""
    rows = await session.execute(
        text(
            f"""SELECT o.reader_id, o.id FROM sales_order o WHERE {_EXPIRED}
                ORDER BY o.expires_at, o.id LIMIT :limit"""  # noqa: S608 - a constant of ours
        ),
        {"now": now, "limit": limit},
    )
    return [(row[0], row[1]) for row in rows]


async def close_expired(session: Session, id_: UUID, now: datetime) -> bool:
    """An order nobody paid in time (the caller holds its reader's lock). The page of another plan is closed with it: its price was of
    one day. False for one that is not over any more."""
    closed = await session.execute(
        text(
            f"""WITH closed AS (
                 UPDATE sales_order o SET state = 'closed' WHERE o.id = :id AND {_EXPIRED} RETURNING id, purpose),
               pages AS (
                 UPDATE charge SET ask_at = :now WHERE kind = 'page' AND state IN ('created', 'open')
                   AND order_id IN (SELECT id FROM closed WHERE purpose = 'change'))
               SELECT id FROM closed"""  # noqa: S608 - a constant of ours
        ),
        {"id": id_, "now": now},
    )
    return closed.one_or_none() is not None


async def lock(session: Session, id_: UUID) -> SalesOrder:
    """An order, locked (the caller holds its reader's lock)."""
    return (
        await session.scalars(
            select(SalesOrder)
            .where(SalesOrder.id == id_)  # type: ignore[arg-type]
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()


async def readers_of(session: Session, agency: str, codes: Sequence[str]) -> list[UUID]:
    """Whose orders have these codes, in one order everywhere."""
    rows = await session.execute(
        text(
            """SELECT DISTINCT reader_id FROM sales_order
               WHERE agency = :agency AND code = ANY (CAST(:codes AS text[])) ORDER BY 1"""
        ),
        {"agency": agency, "codes": list(codes)},
    )
    return [row[0] for row in rows]


async def cut_periods(session: Session, payment_ids: Sequence[UUID], at: datetime) -> None:
    """The periods of these payments end at ``at``; one that has not begun does not begin."""
    await session.execute(
        text(
            """UPDATE payment SET cut_at = greatest(period_start, :at)
               WHERE id = ANY (CAST(:ids AS uuid[])) AND cut_at IS NULL"""
        ),
        {"ids": list(payment_ids), "at": at},
    )


async def payment_of(session: Session | ReadSession, order_id: UUID) -> Payment | None:
    found: Payment | None = await session.scalar(
        select(Payment).where(Payment.order_id == order_id)  # type: ignore[arg-type]
    )
    return found


#: What has come in for an order ``o``: used for it, or waiting to be enough.
_RECEIVED = """(coalesce((SELECT sum(amount_vnd) FROM credit_use WHERE order_id = o.id), 0)
    + coalesce((SELECT sum(left_vnd) FROM bank_credit WHERE order_id = o.id AND reason = 'under'), 0))::bigint"""


async def received_vnd(session: Session | ReadSession, order_id: UUID) -> int:
    """What has come in for an order."""
    found = await session.scalar(
        text(f"SELECT {_RECEIVED} FROM sales_order o WHERE o.id = :id"),  # noqa: S608
        {"id": order_id},
    )
    return int(found or 0)


async def begun(session: Session | ReadSession, order: SalesOrder) -> bool:
    """Whether a part of an order came by transfer, and the rest may come so too: a card would be charged for the whole once more."""
    return order.in_parts and await received_vnd(session, order.id) > 0


async def state(
    session: ReadSession, agency: str, reader_id: UUID, code: str
) -> tuple[str, int, bool] | None:
    """(state, what has come in, whether a card is being charged) of a reader's order, in one statement: it is asked for twice a
    second."""
    rows = await session.execute(
        text(
            f"""SELECT o.state, {_RECEIVED},
                       EXISTS (SELECT FROM charge c WHERE c.order_id = o.id AND {ON_ITS_WAY})
                FROM sales_order o WHERE o.code = :code AND o.agency = :agency AND o.reader_id = :reader"""  # noqa: S608
        ),
        {"code": code, "agency": agency, "reader": reader_id},
    )
    row = rows.one_or_none()
    return (row[0], row[1], row[2]) if row else None


async def lock_gift(session: Session, agency: str, code: str) -> tuple[Gift, SalesOrder] | None:
    """A gift, locked, with the order that paid for it."""
    row = (
        await session.execute(
            select(Gift, SalesOrder)
            .join(SalesOrder, SalesOrder.id == Gift.order_id)  # type: ignore[arg-type]
            .where(Gift.agency == agency, Gift.code == code)  # type: ignore[arg-type]
            .with_for_update(of=Gift)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def gift_of(session: Session | ReadSession, order_id: UUID) -> Gift | None:
    found: Gift | None = await session.scalar(
        select(Gift).where(Gift.order_id == order_id)  # type: ignore[arg-type]
    )
    return found


@dataclass(frozen=True, slots=True)
class Bought:
    """What an order of a reader's was for, in the words that a list of payments needs."""

    kind: str
    name_vi: str
    name_en: str
    period: str
    gift: bool

    def name(self, language: str) -> str:
        return self.name_vi if language == "vi" else self.name_en


async def bought(session: ReadSession, ids: Sequence[UUID]) -> dict[UUID, Bought]:
    """What these orders were for."""
    rows = await session.execute(
        text(
            """SELECT o.id, l.kind, l.name_vi, l.name_en, pp.period, o.gift
               FROM sales_order o JOIN plan_price pp ON pp.id = o.price_id JOIN plan l ON l.id = pp.plan_id
               WHERE o.id = ANY (CAST(:ids AS uuid[]))"""
        ),
        {"ids": list(ids)},
    )
    return {row[0]: Bought(*row[1:]) for row in rows}


@dataclass(frozen=True, slots=True)
class Once:
    """A right to read that runs or is to come, and that no subscription, seat or bundle gives. ``name_vi`` None: days that were given."""

    scope: str
    valid_from: datetime
    valid_until: datetime
    name_vi: str | None
    name_en: str | None

    def name(self, language: str) -> str | None:
        return self.name_vi if language == "vi" else self.name_en


async def once_of_reader(session: ReadSession, reader_id: UUID, now: datetime) -> Sequence[Once]:
    """Passes, single articles and given days of a reader, which ends first at the head."""
    rows = await session.execute(
        text(
            """SELECT e.scope, e.valid_from, e.valid_until, l.name_vi, l.name_en
               FROM entitlement e LEFT JOIN sales_order o ON o.id = e.order_id
               LEFT JOIN plan_price pp ON pp.id = o.price_id LEFT JOIN plan l ON l.id = pp.plan_id
               WHERE e.reader_id = :reader AND NOT e.revoked AND e.valid_until > :now
                 AND (e.order_id IS NOT NULL OR e.given_id IS NOT NULL)
               ORDER BY e.valid_until, e.id"""
        ),
        {"reader": reader_id, "now": now},
    )
    return [Once(*row) for row in rows]
