"""What a subscription owes, or was to be changed for, and nobody is to collect any more."""

from __future__ import annotations

from datetime import datetime

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


async def close_changes(session: Session, row: Subscription, now: datetime) -> None:
    """A change of plan that waits for its money was reckoned with periods that are not the same any more: it is closed, and money
    that comes for it all the same is nobody's."""
    for order_id in await orders_repository.open_changes(session, row.id):
        order = await orders_repository.lock(session, order_id)
        order.state = "closed"
        await charges_repository.close_pages(session, order.id, now)
    await session.flush()
