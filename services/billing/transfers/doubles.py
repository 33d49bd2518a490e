"""Whether money for an order would be paid twice for the same days."""

from __future__ import annotations

from services.billing.orders.models import SalesOrder
from services.billing.plans import repository as plans_repository
from services.billing.plans.rules import CONTRIBUTION
from services.billing.subscriptions import service as subscriptions
from shared.database import ReadSession, Session


async def doubles(session: Session | ReadSession, order: SalesOrder) -> bool:
    """Whether the order's reader has another subscription that renews by itself: they would pay twice for the same days. What is given
    to somebody else, or to the newsroom, is for no days of theirs."""
    other = await subscriptions.live(session, order.reader_id, besides=order.subscription_id)
    if order.gift or other is None:
        return False
    offer = await plans_repository.offer(session, order.agency, order.price_id)
    return offer is None or offer.kind != CONTRIBUTION
