"""Whether money may pay an order by itself: what is known of that when it comes."""

from __future__ import annotations

from datetime import datetime

from services.billing.offers import service as offers
from services.billing.orders.models import SalesOrder
from services.billing.plans import repository as plans_repository
from services.billing.plans.rules import CONTRIBUTION
from services.billing.subscriptions import service as subscriptions
from services.billing.transfers.rules import OrderFacts
from shared.database import ReadSession, Session


async def doubles(session: Session | ReadSession, order: SalesOrder) -> bool:
    """Whether the order's reader has another subscription that renews by itself: they would pay twice for the same days. What is given
    to somebody else, or to the newsroom, is for no days of theirs."""
    other = await subscriptions.live(session, order.reader_id, besides=order.subscription_id)
    if order.gift or other is None:
        return False
    offer = await plans_repository.offer(session, order.agency, order.price_id)
    return offer is None or offer.kind != CONTRIBUTION


async def facts_of(session: Session, order: SalesOrder, now: datetime) -> OrderFacts:
    """What decides whether money pays a locked order (the caller holds its reader's lock)."""
    return OrderFacts(
        order.state,
        order.expires_at,
        await doubles(session, order),
        not await offers.stands(session, order, now),
        order.purpose == "change",
    )
