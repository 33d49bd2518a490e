"""What a subscription owes, or was offered, and nobody is to collect any more."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.billing.charges import repository as charges_repository
from services.billing.orders import repository as orders_repository
from services.billing.subscriptions import repository
from services.billing.subscriptions.models import Subscription
from shared.database import Session


async def close_debt(session: Session, row: Subscription, now: datetime) -> None:
    """Nothing of the next period is collected any more; money that comes all the same is booked when it does."""
    owed = await repository.owed(session, row.id)
    if owed is None:
        return
    order = await orders_repository.lock(session, owed[0])
    order.state = "closed"
    await charges_repository.close_pages(session, order.id, now)
    await session.flush()


async def close_changes(session: Session, subscription_id: UUID, now: datetime) -> None:
    """Other plans that were offered to whoever has this subscription, for what is left of a period: their price counted with all that
    its reader had paid, which is not so any more. One whose money is on its way is booked when it comes, and a person looks."""
    for id_ in await orders_repository.changes_beside(session, subscription_id):
        order = await orders_repository.lock(session, id_)
        order.state = "closed"
        await charges_repository.close_pages(session, id_, now)
    await session.flush()


async def close_paid(session: Session, row: Subscription, now: datetime) -> None:
    """A period was paid for: the order of a renewal that begins in it, and changes that counted with what was left before, are
    closed."""
    await close_changes(session, row.id, now)
    owed = await repository.owed(session, row.id)
    if owed is None:
        return
    order = await orders_repository.lock(session, owed[0])
    if order.starts_at is not None and order.starts_at < row.period_end:
        await close_debt(session, row, now)
