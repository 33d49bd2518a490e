"""Every SQL statement about subscriptions and entitlements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import select, text, union_all
from sqlmodel import col

from services.billing.bundles.models import Bundle, BundleUse
from services.billing.subscriptions.models import EntitlementRow, Mandate, Subscription
from services.billing.subscriptions.rules import CLOCK_SKEW, Dunning, Paid
from shared.database import ReadSession, Session

#: The columns of a payment that make a :class:`Period`.
PERIOD = "period_start, coalesce(cut_at, period_end), refunded_vnd >= greatest(amount_vnd, 1), provider = 'trial', seats"
_PERIODS = text(
    f"""SELECT {PERIOD} FROM payment
        WHERE subscription_id = :id AND coalesce(cut_at, period_end) > period_start ORDER BY period_start, id"""  # noqa: S608
)
_DUNNING = text("SELECT ahead_hours, retry_days, grace_days FROM dunning WHERE agency = :agency")
#: A charge ``c`` is on its way while the provider has not said how it went: a card being charged, or a bank that takes its time.
ON_ITS_WAY = "(c.state = 'processing' OR (c.state = 'created' AND c.kind = 'mandate'))"
_OWED = text(
    f"""SELECT o.id, o.tries,
              EXISTS (SELECT FROM charge c WHERE c.order_id = o.id AND {ON_ITS_WAY})
       FROM sales_order o WHERE o.subscription_id = :id AND o.state = 'open' AND o.purpose = 'renewal'"""  # noqa: S608
)


_LOCK_READERS = """SELECT pg_advisory_xact_lock(hashtextextended(r.id::text, 11))
    FROM (SELECT id FROM unnest($1::uuid[]) AS id ORDER BY id) AS r"""


@dataclass(frozen=True, slots=True)
class Period:
    """A period that was paid for; ``returned``: given back whole."""

    starts_at: datetime
    ends_at: datetime
    returned: bool
    trial: bool
    seats: int = 1

    @property
    def paid(self) -> Paid:
        """As the rules know it, where it was not given back."""
        return Paid(self.starts_at, self.ends_at, self.trial, self.seats)


async def lock_reader(session: Session, reader_id: UUID) -> None:
    """One at a time changes what a reader ordered, pays and may read. Taken before the locks of any of these rows."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 11))"), {"key": str(reader_id)}
    )


async def try_lock_reader(session: Session, reader_id: UUID) -> bool:
    """:func:`lock_reader` out of its order: False where it would have to wait, so that nobody waits for each other."""
    found = await session.scalar(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 11))"),
        {"key": str(reader_id)},
    )
    return bool(found)


async def lock_readers(connection: asyncpg.Connection, readers: Iterable[UUID]) -> None:
    """:func:`lock_reader` of several, in the one order that everybody keeps who locks more than one."""
    await connection.execute(_LOCK_READERS, sorted(set(readers)))


async def lock(session: Session, id_: UUID) -> Subscription:
    """A subscription, locked (the caller holds :func:`lock_reader`)."""
    found: Subscription = (
        await session.scalars(
            select(Subscription)
            .where(col(Subscription.id) == id_)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()
    return found


async def term_of_reader(session: Session, reader_id: UUID) -> Subscription | None:
    """The reader's subscription that is paid for one period at a time, locked (the caller holds :func:`lock_reader`)."""
    found: Subscription | None = await session.scalar(
        select(Subscription)
        .where(col(Subscription.reader_id) == reader_id, col(Subscription.collection) == "term")
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def by_id(session: Session | ReadSession, agency: str, id_: UUID) -> Subscription | None:
    found: Subscription | None = await session.scalar(
        select(Subscription).where(col(Subscription.id) == id_, col(Subscription.agency) == agency)
    )
    return found


async def of_reader(session: Session | ReadSession, reader_id: UUID) -> Sequence[Subscription]:
    return (
        await session.scalars(
            select(Subscription)
            .where(col(Subscription.reader_id) == reader_id)
            .order_by(col(Subscription.created_at).desc())
        )
    ).all()


async def due_for_review(
    session: ReadSession, now: datetime, limit: int
) -> list[tuple[UUID, UUID]]:
    """(reader, subscription) whose date has come, the longest due first."""
    rows = await session.execute(
        text(
            """SELECT reader_id, id FROM subscription WHERE review_at <= :now
               ORDER BY review_at, id LIMIT :limit"""
        ),
        {"now": now, "limit": limit},
    )
    return [(row[0], row[1]) for row in rows]


async def periods(session: Session | ReadSession, subscription_id: UUID) -> list[Period]:
    """Every period of a subscription that was paid for."""
    rows = await session.execute(_PERIODS, {"id": subscription_id})
    return [Period(*row) for row in rows]


async def dunning(session: Session | ReadSession, agency: str) -> Dunning:
    """How an agency collects."""
    row = (await session.execute(_DUNNING, {"agency": agency})).one_or_none()
    return Dunning() if row is None else dunning_of(*row)


def dunning_of(ahead_hours: int, retry_days: Sequence[int], grace_days: int) -> Dunning:
    """A row of the table as the rules know it."""
    return Dunning(
        timedelta(hours=ahead_hours),
        tuple(timedelta(days=days) for days in sorted(retry_days)),
        timedelta(days=grace_days),
    )


async def owed(
    session: Session | ReadSession, subscription_id: UUID
) -> tuple[UUID, int, bool] | None:
    """(order, refused tries, whether one is on its way) of the next period, where it is being collected."""
    row = (await session.execute(_OWED, {"id": subscription_id})).one_or_none()
    return (row[0], row[1], row[2]) if row else None


async def last_kept(
    session: Session, subscription_id: UUID
) -> tuple[UUID, datetime, datetime, int, int, UUID] | None:
    """(price, start, end, its value, seats, order) of the last period that was not given back whole."""
    rows = await session.execute(
        text(
            """SELECT o.price_id, p.period_start, coalesce(p.cut_at, p.period_end), p.amount_vnd + o.credit_vnd, p.seats, o.id
               FROM payment p JOIN sales_order o ON o.id = p.order_id
               WHERE p.subscription_id = :id AND p.refunded_vnd < greatest(p.amount_vnd, 1)
                     AND coalesce(p.cut_at, p.period_end) > p.period_start
               ORDER BY coalesce(p.cut_at, p.period_end) DESC LIMIT 1"""
        ),
        {"id": subscription_id},
    )
    row = rows.one_or_none()
    return (row[0], row[1], row[2], row[3], row[4], row[5]) if row else None


async def once_rights(
    session: Session, order_id: UUID
) -> list[tuple[EntitlementRow, datetime | None]]:
    """The rights that an order for once gave, locked; of a bundle those of its articles, each with its end as it was given."""
    uses = (
        select(col(BundleUse.id))
        .join(Bundle, col(Bundle.id) == col(BundleUse.bundle_id))
        .where(col(Bundle.order_id) == order_id)
    )
    own = union_all(
        select(col(EntitlementRow.id)).where(col(EntitlementRow.order_id) == order_id),
        select(col(EntitlementRow.id)).where(col(EntitlementRow.use_id).in_(uses)),
    )
    rows = await session.execute(
        select(EntitlementRow, BundleUse.readable_until)  # type: ignore[call-overload]
        .outerjoin(BundleUse, col(BundleUse.id) == col(EntitlementRow.use_id))
        .where(col(EntitlementRow.id).in_(own))
        .order_by(col(EntitlementRow.id))
        .with_for_update(of=EntitlementRow)
        .execution_options(populate_existing=True)
    )
    return [(row[0], row[1]) for row in rows]


async def opens(session: Session, reader_id: UUID, scopes: Sequence[str], now: datetime) -> bool:
    """Whether the reader may read any of these now."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM entitlement WHERE reader_id = :reader AND scope = ANY (CAST(:scopes AS text[]))
               AND NOT revoked AND valid_from <= :soon AND valid_until > :now)"""
        ),
        {"reader": reader_id, "scopes": list(scopes), "now": now, "soon": now + CLOCK_SKEW},
    )
    return bool(found)


async def given_right(session: Session, given_id: UUID) -> EntitlementRow | None:
    """The right that given days are, locked."""
    found: EntitlementRow | None = await session.scalar(
        select(EntitlementRow).where(col(EntitlementRow.given_id) == given_id).with_for_update()
    )
    return found


async def grace_spent(session: Session, reader_id: UUID, tolerated: timedelta) -> bool:
    """Whether this reader has read on after all that was ever paid for a subscription that renewed, for longer than is ``tolerated``."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM subscription s JOIN entitlement e ON e.subscription_id = s.id
               WHERE s.reader_id = :reader AND s.collection = 'renewal' AND e.valid_until - CAST(:tolerated AS interval)
                 > (SELECT max(coalesce(p.cut_at, p.period_end)) FROM payment p WHERE p.subscription_id = s.id))"""
        ),
        {"reader": reader_id, "tolerated": tolerated},
    )
    return bool(found)


async def others_until(
    session: Session | ReadSession, reader_id: UUID, besides: UUID | None
) -> datetime | None:
    """Until when the reader has paid for other subscriptions (or any) that do not end before."""
    found: datetime | None = await session.scalar(
        text(
            """SELECT max(coalesce(p.cut_at, p.period_end)) FROM payment p JOIN subscription s ON s.id = p.subscription_id
               WHERE s.reader_id = :reader AND s.id IS DISTINCT FROM :id
                 AND p.refunded_vnd < greatest(p.amount_vnd, 1)"""
        ),
        {"reader": reader_id, "id": besides},
    )
    return found


async def current_payments(
    session: Session | ReadSession, subscription_id: UUID, now: datetime
) -> list[tuple[UUID, datetime, int]]:
    """(payment, when it was paid, đồng) of the periods that are not over, the first one first."""
    rows = await session.execute(
        text(
            """SELECT id, paid_at, amount_vnd FROM payment
               WHERE subscription_id = :id AND coalesce(cut_at, period_end) > :now
                 AND refunded_vnd < greatest(amount_vnd, 1) ORDER BY period_start, id"""
        ),
        {"id": subscription_id, "now": now},
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def being_collected(session: Session | ReadSession, subscription_id: UUID) -> bool:
    """Whether the next period is owed, or the outcome of a charge is not known."""
    found = await session.scalar(
        text(
            f"""SELECT EXISTS (SELECT FROM sales_order o WHERE o.subscription_id = :id AND o.state = 'open'
                 AND (o.purpose = 'renewal'
                      OR EXISTS (SELECT FROM charge c WHERE c.order_id = o.id AND {ON_ITS_WAY})))"""  # noqa: S608
        ),
        {"id": subscription_id},
    )
    return bool(found)


async def entitlements(session: Session, subscription_id: UUID) -> Sequence[EntitlementRow]:
    """The stretches of a subscription's right, locked, in their order."""
    return (
        await session.scalars(
            select(EntitlementRow)
            .where(col(EntitlementRow.subscription_id) == subscription_id)
            .order_by(col(EntitlementRow.stretch))
            .with_for_update()
        )
    ).all()


async def valid_entitlements(
    session: Session | ReadSession, reader_id: UUID, now: datetime
) -> list[tuple[str, datetime]]:
    """(scope, until) of what a reader may read now; of single articles the forty that last longest."""
    rows = await session.execute(
        text(
            """SELECT scope, max(valid_until) FROM entitlement
               WHERE reader_id = :reader AND NOT revoked AND valid_from <= :soon AND valid_until > :now
               GROUP BY scope ORDER BY scope LIKE 'article:%', max(valid_until) DESC, scope LIMIT 40"""
        ),
        # The provider's clock may be a little ahead of ours.
        {"reader": reader_id, "now": now, "soon": now + CLOCK_SKEW},
    )
    return [(row[0], row[1]) for row in rows]


async def mandate(session: Session | ReadSession, id_: UUID) -> Mandate | None:
    found: Mandate | None = await session.get(Mandate, id_)
    return found


async def add_transition(
    session: Session, subscription_id: UUID, before: str | None, after: str, at: datetime
) -> None:
    await session.execute(
        text(
            """INSERT INTO subscription_transition (subscription_id, from_state, to_state, at)
               VALUES (:id, :before, :after, :at)"""
        ),
        {"id": subscription_id, "before": before, "after": after, "at": at},
    )


async def add_movement(session: Session, values: dict[str, Any]) -> None:
    await session.execute(
        text(
            """INSERT INTO mrr_movement (subscription_id, version, movement, amount_vnd, occurred_on)
               VALUES (:id, :version, :movement, :amount, :day)"""
        ),
        values,
    )


async def paid_before(session: Session, reader_id: UUID) -> bool:
    """Whether this reader has had recurring revenue to their name before."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM mrr_movement m JOIN subscription s ON s.id = m.subscription_id
                              WHERE s.reader_id = :reader)"""
        ),
        {"reader": reader_id},
    )
    return bool(found)


async def subscribed_before(session: Session | ReadSession, reader_id: UUID) -> bool:
    """Whether this reader, or who had their mailbox before, has ever had a subscription: a trial is for who has not."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM subscription WHERE reader_id = :reader)
                 OR EXISTS (SELECT FROM reader WHERE id = :reader AND returned)"""
        ),
        {"reader": reader_id},
    )
    return bool(found)


async def list_for_staff(
    session: Session | ReadSession, agency: str, *, state: str | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    rows = await session.execute(
        text(
            """SELECT s.id, s.state, s.reader_id, r.email AS reader_email, p.code AS plan_code, pp.period,
                      pp.amount_vnd * CASE WHEN p.per_seat THEN s.seats ELSE 1 END AS amount_vnd, s.cancel_at_period_end, s.period_start, s.period_end,
                      s.mrr_vnd, s.created_at,
                      (SELECT max(e.valid_until) FROM entitlement e WHERE e.subscription_id = s.id) AS readable_until
               FROM subscription s JOIN reader r ON r.id = s.reader_id
               JOIN plan_price pp ON pp.id = s.price_id JOIN plan p ON p.id = pp.plan_id
               WHERE s.agency = :agency AND (CAST(:state AS text) IS NULL OR s.state = CAST(:state AS text))
               ORDER BY s.created_at DESC, s.id LIMIT :limit OFFSET :offset"""
        ),
        {"agency": agency, "state": state, "limit": limit, "offset": offset},
    )
    return [dict(row) for row in rows.mappings()]
