"""Every SQL statement about subscriptions and entitlements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from services.billing.subscriptions.models import EntitlementRow, Subscription
from services.billing.subscriptions.rules import CLOCK_SKEW
from shared.database import ReadSession, Session

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 7))")


async def lock(session: Session, provider: str, provider_id: str) -> None:
    """One at a time for each of the provider's subscriptions, also before our row exists."""
    await session.execute(_LOCK, {"key": f"subscription:{provider}:{provider_id}"})


async def by_provider_id(session: Session, provider: str, provider_id: str) -> Subscription | None:
    found: Subscription | None = await session.scalar(
        select(Subscription)
        .where(
            Subscription.provider == provider,  # type: ignore[arg-type]
            Subscription.provider_id == provider_id,  # type: ignore[arg-type]
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def term_of_reader(session: Session, reader_id: UUID) -> Subscription | None:
    """The reader's subscription that is paid for one period at a time, locked (the caller holds :func:`lock_terms`)."""
    found: Subscription | None = await session.scalar(
        select(Subscription)
        .where(Subscription.reader_id == reader_id, Subscription.collection == "term")  # type: ignore[arg-type]
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def lock_terms(session: Session, reader_id: UUID) -> None:
    """One at a time pays for a reader's terms, also before there is one."""
    await lock(session, "term", str(reader_id))


async def by_id(session: Session | ReadSession, agency: str, id_: UUID) -> Subscription | None:
    found: Subscription | None = await session.scalar(
        select(Subscription).where(
            Subscription.id == id_,  # type: ignore[arg-type]
            Subscription.agency == agency,  # type: ignore[arg-type]
        )
    )
    return found


async def of_reader(session: Session | ReadSession, reader_id: UUID) -> Sequence[Subscription]:
    return (
        await session.scalars(
            select(Subscription)
            .where(Subscription.reader_id == reader_id)  # type: ignore[arg-type]
            .order_by(Subscription.created_at.desc())  # type: ignore[attr-defined]
        )
    ).all()


async def due_for_review(session: Session, now: datetime, limit: int) -> Sequence[Subscription]:
    return (
        await session.scalars(
            select(Subscription)
            .where(Subscription.review_at <= now)  # type: ignore[operator, arg-type]
            .order_by(Subscription.review_at)  # type: ignore[arg-type]
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    ).all()


async def paid_periods(session: Session, subscription_id: UUID) -> list[tuple[Any, Any, bool]]:
    """(start, end, given back whole) of every payment of a subscription."""
    rows = await session.execute(
        text(
            """SELECT period_start, period_end, refunded_vnd >= greatest(amount_vnd, 1) FROM payment
               WHERE subscription_id = :id ORDER BY period_start"""
        ),
        {"id": subscription_id},
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def last_kept(
    session: Session, subscription_id: UUID
) -> tuple[UUID, datetime, datetime, int] | None:
    """(price, start, end, what was paid) of a term's last period that was not given back whole."""
    rows = await session.execute(
        text(
            """SELECT o.price_id, p.period_start, p.period_end, p.amount_vnd FROM payment p JOIN sales_order o ON o.id = p.order_id
               WHERE p.subscription_id = :id AND p.refunded_vnd < greatest(p.amount_vnd, 1)
               ORDER BY p.period_end DESC LIMIT 1"""
        ),
        {"id": subscription_id},
    )
    row = rows.one_or_none()
    return (row[0], row[1], row[2], row[3]) if row else None


async def once_right(session: Session, order_id: UUID) -> EntitlementRow | None:
    """The right that an order for once gave, locked."""
    found: EntitlementRow | None = await session.scalar(
        select(EntitlementRow)
        .where(EntitlementRow.order_id == order_id)  # type: ignore[arg-type]
        .with_for_update()
    )
    return found


async def paid_until(session: Session, subscription_id: UUID) -> datetime | None:
    """The end of the last period that was paid for and not given back."""
    found: datetime | None = await session.scalar(
        text(
            """SELECT max(period_end) FROM payment
               WHERE subscription_id = :id AND refunded_vnd < greatest(amount_vnd, 1)"""
        ),
        {"id": subscription_id},
    )
    return found


async def others_until(session: Session, row: Subscription) -> datetime | None:
    """Until when the reader may read by their other subscriptions to the same agency."""
    found: datetime | None = await session.scalar(
        text(
            """SELECT max(valid_until) FROM entitlement
               WHERE reader_id = :reader AND agency = :agency AND subscription_id <> :id AND NOT revoked"""
        ),
        {"reader": row.reader_id, "agency": row.agency, "id": row.id},
    )
    return found


async def entitlement(session: Session, subscription_id: UUID) -> EntitlementRow | None:
    found: EntitlementRow | None = await session.scalar(
        select(EntitlementRow)
        .where(EntitlementRow.subscription_id == subscription_id)  # type: ignore[arg-type]
        .with_for_update()
    )
    return found


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


async def paid_before(session: Session, reader_id: UUID, subscription_id: UUID) -> bool:
    """Whether this reader has had recurring revenue to their name before."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM mrr_movement m JOIN subscription s ON s.id = m.subscription_id
                              WHERE s.reader_id = :reader)"""
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
                      pp.amount_vnd, s.cancel_at_period_end, s.period_start, s.period_end, s.ended_at,
                      s.mrr_vnd, s.created_at, e.valid_until AS readable_until
               FROM subscription s JOIN reader r ON r.id = s.reader_id
               JOIN plan_price pp ON pp.id = s.price_id JOIN plan p ON p.id = pp.plan_id
               LEFT JOIN entitlement e ON e.subscription_id = s.id
               WHERE s.agency = :agency AND (CAST(:state AS text) IS NULL OR s.state = CAST(:state AS text))
               ORDER BY s.created_at DESC, s.id LIMIT :limit OFFSET :offset"""
        ),
        {"agency": agency, "state": state, "limit": limit, "offset": offset},
    )
    return [dict(row) for row in rows.mappings()]
