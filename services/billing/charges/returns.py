"""Money that goes back: what providers say of refunds, and what follows for the books and the right to read.

Meaning: the books have a refund once it went through, once, and its reversal when it came back; whoever has all of their money back
reads no more for it, and whoever has not does. What makes it true: what a provider said is remembered (``provider_refund``), so that
words that come twice, late or in any order end in the same state. Locks: the readers, the request, the gift, the payment, the books.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import structlog

from services.billing.charges import foreign, repository
from services.billing.charges.currency import only_dong
from services.billing.charges.debts import close_changes, close_debt
from services.billing.charges.models import ProviderRefund
from services.billing.charges.undone import redo_change, undo_change
from services.billing.orders.models import Gift
from services.billing.payments import repository as payments_repository
from services.billing.payments.adapters.port import RefundMoved, RefundState
from services.billing.payments.models import Payment, Refund
from services.billing.payments.service import MoneyBack, record_refund, record_refund_failed
from services.billing.refunds import repository as refunds_repository
from services.billing.refunds.models import RefundRequest
from services.billing.subscriptions import once
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.rules import RENEWAL
from shared.database import Session
from shared.ids import new_id

log = structlog.get_logger(__name__)


class NotYetError(Exception):
    """It is tried again later: more went back than was paid (one of the refunds before came back, and that was not told yet), or
    somebody else holds who reads for it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A payment whose readers are locked, as are it and the gift that it paid for. ``request``: what was asked back of it, where the
    refund is for that."""

    payment: Payment
    gift: Gift | None
    request: RefundRequest | None = None

    @property
    def unopened(self) -> bool:
        """Of a gift that nobody has redeemed."""
        return self.gift is not None and self.gift.redeemed_at is None

    @property
    def whole(self) -> bool:
        """All of it has gone back."""
        return self.payment.refunded_vnd >= self.payment.amount_vnd


async def hold_readers(session: Session, payment_id: UUID) -> None:
    """Nothing else happens to who paid, nor to who reads for it."""
    for reader_id in await repository.readers_of_payment(session, payment_id):
        await subscriptions_repository.lock_reader(session, reader_id)


async def hold(session: Session, payment_id: UUID, request: RefundRequest | None = None) -> Held:
    """Lock a payment and its gift (the caller holds its readers, and the request).

    Raises :class:`NotYetError` for a gift that was redeemed just now by a reader whom somebody else holds.
    """
    _, term, gift = await refunds_repository.bought(session, payment_id)
    if term is not None:
        owner = await refunds_repository.reader_of_term(session, term)
        if not await subscriptions_repository.try_lock_reader(session, owner):
            raise NotYetError(f"payment {payment_id} is read by {owner} since now")
    return Held(await payments_repository.lock(session, payment_id), gift, request)


async def give_back(session: Session, held: Held, money: MoneyBack, now: datetime) -> Refund:
    """Money of a payment went back: the books, and the right to read where it was all of it."""
    refund = await record_refund(session, held.payment, replace(money, unopened=held.unopened), now)
    if held.payment.subscription_id is not None:
        await close_changes(session, held.payment.subscription_id, now)
    if held.whole:
        await _end_right(session, held, now)
    return refund


async def take_again(
    session: Session, held: Held, refund: Refund, failed_at: datetime, now: datetime
) -> None:
    """Money that went back is with us again: the books, and the right to read that had ended."""
    was_whole = held.whole
    await record_refund_failed(session, held.payment, refund, failed_at, now)
    payment = held.payment
    if payment.subscription_id is not None:
        await close_changes(session, payment.subscription_id, now)
    if not was_whole or held.unopened:
        return
    if payment.subscription_id is not None:
        await redo_change(session, payment, now)
        await subscriptions.take_period_again(session, payment.subscription_id, now)
    elif payment.order_id is not None and payment.period_end is not None:
        await once.grant_again(session, payment.order_id, payment.period_end, now)


async def _end_right(session: Session, held: Held, now: datetime) -> None:
    """What all of a payment bought ends; of a gift that nobody opened the code is worth nothing any more, by the payment's row."""
    payment = held.payment
    if held.unopened or payment.order_id is None:
        return
    if payment.subscription_id is None:
        await once.revoke_once(session, payment.order_id, now)
        return
    row = await subscriptions_repository.lock(session, payment.subscription_id)
    assert payment.period_end is not None  # the table says so
    await undo_change(session, payment, now)
    ended = payment.cut_at or payment.period_end
    await subscriptions.give_back_period(session, row.id, ended, now)
    if row.collection == RENEWAL and row.cancel_at_period_end:
        await close_debt(session, row, now)
        await subscriptions.refresh(session, row, now)


async def refund_moved(session: Session, provider: str, fact: RefundMoved, now: datetime) -> bool:
    """Apply what a provider says of a refund. False for a payment that is not ours, and for what was known.

    Raises :class:`currency.ForeignCurrencyError`, :class:`NotYetError`.
    """
    known = await payments_repository.by_reference(session, provider, fact.reference)
    if known is None:
        return await foreign.given_back(session, provider, fact)
    only_dong(fact.amount, fact.currency, f"back of payment {known.id}")
    await hold_readers(session, known.id)
    request = await refunds_repository.lock_sent(session, known.id, fact.id, fact.request_id)
    held = await hold(session, known.id, request)
    row = await repository.told_refund(session, provider, fact.id)
    if row is None:
        row = _remembered(held.payment, fact, now)
        session.add(row)
    if request is not None and request.provider_refund is None:
        request.provider_refund = fact.id
    return await _follow(session, held, row, fact, now)


def _remembered(payment: Payment, fact: RefundMoved, now: datetime) -> ProviderRefund:
    return ProviderRefund(
        id=new_id(),
        agency=payment.agency,
        payment_id=payment.id,
        provider=payment.provider,
        provider_refund=fact.id,
        amount_vnd=fact.amount,
        told_at=now,
    )


async def _follow(
    session: Session, held: Held, row: ProviderRefund, fact: RefundMoved, now: datetime
) -> bool:
    at, news = min(fact.moved_at, now), False
    if fact.state is RefundState.SUCCEEDED and row.succeeded_at is None:
        room = fact.amount <= held.payment.amount_vnd - held.payment.refunded_vnd
        if not room and row.failed_at is None:
            raise NotYetError(f"{fact.amount} back of payment {row.payment_id}")
        news, row.succeeded_at = True, at
        if not room:  # it came back, and meanwhile the money went another time: nothing is left of it to be booked
            return news
        await session.flush()
        _paid(held.request, row, at)
        await session.flush()
        refund = await give_back(session, held, MoneyBack(fact.id, fact.amount, at), now)
        if row.failed_at is not None:  # it came back, and that was told first
            await take_again(session, held, refund, row.failed_at, now)
    elif fact.state is RefundState.FAILED and row.failed_at is None:
        news, row.failed_at = True, at
        _failed(held.request, at)
        await session.flush()
        if row.succeeded_at is not None:
            refund = await payments_repository.refund_of(session, held.payment, fact.id)
            await take_again(session, held, refund, at, now)
        log.warning("refund_failed", agency=row.agency, payment=str(row.payment_id))
    await session.flush()
    return news


def _paid(request: RefundRequest | None, row: ProviderRefund, at: datetime) -> None:
    """Of one that came back, which was told first, only when it had gone through is written down."""
    if request is None:
        return
    request.paid_at, request.ask_at = at, None
    if row.failed_at is None:
        request.state, request.failed_at = "paid", None


def _failed(request: RefundRequest | None, at: datetime) -> None:
    if request is not None and request.state in ("sent", "paid"):
        request.state, request.failed_at, request.ask_at = "failed", at, None
