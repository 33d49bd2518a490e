"""Notifications of card providers, applied from the inbox."""

from __future__ import annotations

from services.billing.charges import repository
from services.billing.charges.apply import apply
from services.billing.payments.adapters.port import (
    DisputeMoved,
    Fact,
    Look,
    PaymentProvider,
    PayoutMoved,
    RefundMoved,
)
from services.billing.settlements.service import payout_moved
from services.billing.webhooks.repository import Claimed
from services.billing.webhooks.service import Handler, Looked, LookFirstError
from shared.clock import Clock
from shared.database import Session


def handler(provider: PaymentProvider, clock: Clock) -> Handler:
    """What applies the notifications of a provider."""

    async def handle(session: Session, event: Claimed, looked: Looked) -> bool:
        fact = provider.interpret(event.payload)
        if isinstance(fact, Look):
            fact = _looked(fact, looked)
        if isinstance(fact, RefundMoved | DisputeMoved) and not await repository.money_known(
            session, provider.name, fact.reference
        ):
            # Money of a payment that nobody told us of: it is applied first, if it is ours.
            payment = _looked(Look("payment", fact.reference), looked)
            if not await apply(session, provider.name, payment, clock.now()):
                return False
        if isinstance(fact, PayoutMoved):
            return await payout_moved(session, provider.name, fact, clock.now())
        return await apply(session, provider.name, fact, clock.now())

    def _looked(wanted: Look, looked: Looked) -> Fact:
        if wanted not in looked:
            raise LookFirstError(wanted, provider.look)
        return looked[wanted]

    return handle
