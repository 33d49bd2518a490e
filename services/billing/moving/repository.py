"""Every SQL statement about subscriptions that are taken over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.moving.models import MovedSubscription
from shared.database import ReadSession, Session


async def by_external(
    session: Session | ReadSession, provider: str, external_id: str
) -> MovedSubscription | None:
    found: MovedSubscription | None = await session.scalar(
        select(MovedSubscription).where(
            col(MovedSubscription.provider) == provider,
            col(MovedSubscription.external_id) == external_id,
        )
    )
    return found


async def by_id(session: Session | ReadSession, id_: UUID) -> MovedSubscription | None:
    found: MovedSubscription | None = await session.get(MovedSubscription, id_)
    return found


async def lock(session: Session, id_: UUID) -> MovedSubscription:
    """A move, locked (the caller holds its reader's lock)."""
    found: MovedSubscription = (
        await session.scalars(
            select(MovedSubscription)
            .where(col(MovedSubscription.id) == id_)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()
    return found


async def begun(session: Session | ReadSession, agency: str) -> Sequence[UUID]:
    """Moves that were begun and have not come to an end, the oldest first."""
    return (
        await session.scalars(
            select(MovedSubscription.id)  # type: ignore[call-overload]
            .where(col(MovedSubscription.agency) == agency, col(MovedSubscription.state) == "begun")
            .order_by(col(MovedSubscription.begun_at), col(MovedSubscription.id))
        )
    ).all()


async def is_moving(session: Session, reader_id: UUID) -> bool:
    """Whether another subscription of this reader's is on its way."""
    found = await session.scalar(
        text(
            "SELECT EXISTS (SELECT FROM moved_subscription WHERE reader_id = :id AND state = 'begun')"
        ),
        {"id": reader_id},
    )
    return bool(found)


async def claim(session: Session, now: datetime, lease: timedelta) -> UUID | None:
    """A move at which the provider is to be asked; nobody else takes it for the time of the lease."""
    found: UUID | None = await session.scalar(
        text(
            """UPDATE moved_subscription SET look_at = :again WHERE id =
                 (SELECT id FROM moved_subscription WHERE look_at <= :now ORDER BY look_at, id
                  LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id"""
        ),
        {"now": now, "again": now + lease},
    )
    return found


async def others_mandate(session: Session, provider: str, method: str, reader_id: UUID) -> bool:
    """Whether a means of payment was given by another reader."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM mandate WHERE provider = :provider AND method = :method
                 AND reader_id <> :reader)"""
        ),
        {"provider": provider, "method": method, "reader": reader_id},
    )
    return bool(found)


async def price_of(session: Session, plan_id: UUID, period: str, amount_vnd: int) -> UUID | None:
    """A price of a plan with this amount: the one that is sold now before those that were, or that are somebody's own."""
    found: UUID | None = await session.scalar(
        text(
            """SELECT id FROM plan_price WHERE plan_id = :plan AND period = :period AND amount_vnd = :amount
               ORDER BY superseded_at IS NOT NULL, created_at, id LIMIT 1"""
        ),
        {"plan": plan_id, "period": period, "amount": amount_vnd},
    )
    return found


async def add_own_price(
    session: Session,
    id_: UUID,
    *,
    agency: str,
    plan_id: UUID,
    period: str,
    amount_vnd: int,
    now: datetime,
) -> None:
    """A price that is not sold: what readers go on to pay who had agreed to it elsewhere."""
    await session.execute(
        text(
            """INSERT INTO plan_price (id, agency, plan_id, period, amount_vnd, created_at, superseded_at)
               VALUES (:id, :agency, :plan, :period, :amount, :now, :now)"""
        ),
        {
            "id": id_,
            "agency": agency,
            "plan": plan_id,
            "period": period,
            "amount": amount_vnd,
            "now": now,
        },
    )


async def reader_of(session: ReadSession, agency: str, email: str) -> UUID | None:
    found: UUID | None = await session.scalar(
        text("SELECT id FROM reader WHERE agency = :agency AND email = :email"),
        {"agency": agency, "email": email},
    )
    return found
