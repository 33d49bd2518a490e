"""Money that a provider took in another currency than the agency's: kept apart from the books, until a person has given it back.

It is never booked as đồng, its charge is over, and the card is not tried again for the same period.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from services.billing.charges import repository
from services.billing.charges.models import Charge, ForeignMoney
from services.billing.orders.models import SalesOrder
from services.billing.payments.adapters.port import Captured, RefundMoved, RefundState
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from shared.database import Session
from shared.ids import new_id

log = structlog.get_logger(__name__)


async def take(
    session: Session, charge: Charge, order: SalesOrder, fact: Captured, now: datetime
) -> None:
    """Remember what was taken (the caller holds the reader's lock, the charge's and the order's); finance sees it."""
    charge.reference = fact.reference
    charge.state, charge.ask_at, charge.updated_at = "captured", None, now
    session.add(
        ForeignMoney(
            id=new_id(),
            agency=charge.agency,
            charge_id=charge.id,
            provider=charge.provider,
            reference=fact.reference,
            amount=fact.amount,
            currency=fact.currency,
            captured_at=min(fact.captured_at, now),
        )
    )
    await session.flush()
    log.error("payment_in_another_currency", agency=charge.agency, charge=str(charge.id))
    if order.purpose != "renewal" or order.state != "open" or order.subscription_id is None:
        return
    dunning = await subscriptions_repository.dunning(session, order.agency)
    order.tries = max(order.tries, len(dunning.retries) + 1)
    row = await subscriptions_repository.lock(session, order.subscription_id)
    await subscriptions.refresh(session, row, now)


async def given_back(session: Session, provider: str, fact: RefundMoved) -> bool:
    """A refund of such money: it waits no more once all of it went back. False for what is none of it, and for what was known."""
    row = await repository.lock_foreign(session, provider, fact.reference)
    if row is None or fact.state is not RefundState.SUCCEEDED or fact.currency != row.currency:
        return False
    if fact.id in row.refunds:
        return False
    row.refunds = [*row.refunds, fact.id]
    row.returned = min(row.returned + fact.amount, row.amount)
    await session.flush()
    return True
