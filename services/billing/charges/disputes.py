"""Disputes: a card holder's bank takes a payment back, until it has decided.

What is booked follows from everything that was said so far, whatever came first: the money and the fees when they were taken, a
refund of kind ``dispute`` when it was lost, their opposites when it was won. Won is the last word.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from services.billing.charges import repository, returns
from services.billing.charges.currency import only_dong
from services.billing.charges.debts import close_changes, close_debt
from services.billing.charges.models import Dispute
from services.billing.charges.returns import Held
from services.billing.ledger import rules as accounts
from services.billing.ledger.service import Posting, post_new
from services.billing.payments import repository as payments_repository
from services.billing.payments.adapters.port import DisputeMoved, DisputeState
from services.billing.payments.models import Payment
from services.billing.payments.service import DISPUTE, MoneyBack
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.rules import RENEWAL
from shared.agencies import get_agency
from shared.clock import local_date
from shared.database import Session
from shared.ids import new_id

log = structlog.get_logger(__name__)

OPEN, LOST, WON = (
    state.value for state in (DisputeState.OPEN, DisputeState.LOST, DisputeState.WON)
)
RANK = {OPEN: 0, LOST: 1, WON: 2}


async def dispute_moved(session: Session, provider: str, fact: DisputeMoved, now: datetime) -> bool:
    """Apply what a provider says of a dispute. False for a payment that is not ours.

    Raises :class:`currency.ForeignCurrencyError`.
    """
    known = await payments_repository.by_reference(session, provider, fact.reference)
    if known is None:
        return False
    only_dong(fact.amount, fact.currency, f"disputed of payment {known.id}")
    await returns.hold_readers(session, known.id)
    held = await returns.hold(session, known.id)
    row = await repository.told_dispute(session, provider, fact.id)
    if row is None:
        row = _new(held.payment, fact, now)
        session.add(row)
        await session.flush()
        await _stop_charging(session, held.payment, now)
        log.warning("payment_disputed", agency=row.agency, payment=str(row.payment_id))
    row.was_lost = row.was_lost or fact.state is DisputeState.LOST
    if RANK[fact.state.value] > RANK[row.state]:
        row.state, row.decided_at = fact.state.value, now
    await _withdraw(session, row, fact, now)
    await _decide(session, held, row, now)
    await session.flush()
    return True


def _new(payment: Payment, fact: DisputeMoved, now: datetime) -> Dispute:
    return Dispute(
        id=new_id(),
        agency=payment.agency,
        payment_id=payment.id,
        provider=payment.provider,
        provider_dispute=fact.id,
        amount_vnd=fact.amount,
        opened_at=min(fact.opened_at, now),
    )


async def _stop_charging(session: Session, payment: Payment, now: datetime) -> None:
    """Nothing more is taken from who disputes what was taken: the means that paid is not charged again, the subscription does not
    renew, and what it owes is closed. Once: who wishes it again afterwards has it again."""
    revoked = await repository.mandate_of_payment(session, payment)
    rows = set(await repository.revoke_mandate(session, revoked, now)) if revoked else set()
    own = payment.subscription_id
    for id_ in sorted(rows | ({own} if own is not None else set())):
        row = await subscriptions_repository.lock(session, id_)
        if id_ == own and row.collection == RENEWAL:
            row.cancel_at_period_end, row.canceled_by_refund = True, False
            row.next_price_id = row.next_seats = row.paused_until = None
            await close_debt(session, row, now)
        if id_ == own:
            await close_changes(session, row.id, now)
        await subscriptions.refresh(session, row, now)


async def _withdraw(session: Session, row: Dispute, fact: DisputeMoved, now: datetime) -> None:
    """The money and the fees that were taken; a fee says that they were, also where the money is back already."""
    taken = fact.withdrawn or fact.fee > 0
    if row.withdrawn_at is None and taken:
        row.withdrawn_at, row.fee_vnd = now, fact.fee
        lines = accounts.dispute_withdrawn_lines(row.amount_vnd, row.fee_vnd)
        await _post(
            session, row, "withdrawn", accounts.DISPUTE_WITHDRAWN, lines, row.opened_at, now
        )
    elif row.withdrawn_at is not None and fact.fee > row.fee_vnd:
        lines = accounts.dispute_fee_lines(fact.fee - row.fee_vnd)
        row.fee_vnd = fact.fee
        await _post(session, row, f"fee-{row.fee_vnd}", accounts.DISPUTE_WITHDRAWN, lines, now, now)
    await session.flush()


async def _decide(session: Session, held: Held, row: Dispute, now: datetime) -> None:
    """What the bank decided, of money that was taken. Of a payment that was partly given back before, no more than is left is lost by
    its reader; the rest stays in dispute in the books, for finance to see."""
    if row.withdrawn_at is None:
        return
    left = held.payment.amount_vnd - held.payment.refunded_vnd
    if row.was_lost and row.refund_id is None and left > 0:
        money = MoneyBack(
            row.provider_dispute,
            min(row.amount_vnd, left),
            now,
            credit=accounts.DISPUTED,
            kind=DISPUTE,
        )
        row.refund_id = (await returns.give_back(session, held, money, now)).id
    if row.state != WON:
        return
    if row.refund_id is not None:
        refund = await payments_repository.refund_of(session, held.payment, row.provider_dispute)
        if refund.failed_at is None:
            await returns.take_again(session, held, refund, now, now)
    if row.reinstated_at is None:
        row.reinstated_at = now
        lines = accounts.dispute_reinstated_lines(row.amount_vnd)
        await _post(session, row, "reinstated", accounts.DISPUTE_REINSTATED, lines, now, now)


async def _post(
    session: Session,
    row: Dispute,
    step: str,
    kind: str,
    lines: tuple[accounts.Line, ...],
    at: datetime,
    now: datetime,
) -> None:
    agency = await get_agency(session, row.agency)
    posting = Posting(
        row.agency,
        f"{row.provider}:dispute:{row.provider_dispute}:{step}",
        kind,
        row.id,
        local_date(at, agency.zone),
        at,
        lines,
    )
    await post_new(session, posting, now)
