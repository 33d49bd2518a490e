"""What follows once an order is paid, whoever collected the money: the books, the invoice, the receipt, the right to read."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.billing import metrics
from services.billing.bundles import service as bundles
from services.billing.charges import repository as charges_repository
from services.billing.charges.debts import close_paid
from services.billing.gifts import service as gifts
from services.billing.ledger import rules as accounts
from services.billing.offers import service as offers
from services.billing.orders import repository
from services.billing.orders.codes import new_gift_code
from services.billing.orders.models import Gift, SalesOrder
from services.billing.payments.models import Payment
from services.billing.payments.service import issue_invoice, tell_receipt, tell_trial
from services.billing.plans import repository as plans_repository
from services.billing.plans.repository import Offer
from services.billing.plans.rules import BUNDLE, CONTRIBUTION, vat_kind
from services.billing.plans.service import vat_in
from services.billing.recognition import service as recognition
from services.billing.recognition.changes import post_change
from services.billing.recognition.facts import PaymentFact, stream_of
from services.billing.subscriptions import once
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import rules as subscription_rules
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Subscription
from shared.agencies import Agency, get_agency
from shared.clock import local_date
from shared.database import Session
from shared.ids import new_id
from shared.money import Money

#: The ``provider`` of a payment of nothing: by a coupon; because it is a trial; because it was paid before it was moved here.
NOTHING, TRIAL, MOVED = "coupon", "trial", "moved"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that pays an order: who collected it, under which reference, the account it is taken from, when it came, from when on
    it pays, and what may be charged the next time."""

    provider: str
    reference: str
    debit: str
    paid_at: datetime
    begins_at: datetime
    mandate_id: UUID | None = None


async def settle(session: Session, order: SalesOrder, receipt: Receipt, now: datetime) -> Payment:
    """An order is paid (the caller holds its reader's lock, and the order's): what it is for, the books, the invoice, the receipt,
    the right to read and their events."""
    agency = await get_agency(session, order.agency)
    offer = await plans_repository.offer(session, order.agency, order.price_id)
    assert offer is not None  # a foreign key holds it
    payment = Payment(
        id=new_id(),
        agency=order.agency,
        reader_id=order.reader_id,
        order_id=order.id,
        provider=receipt.provider,
        reference=receipt.reference,
        amount_vnd=order.amount_vnd,
        seats=order.seats,
        paid_at=receipt.paid_at,
    )
    order.state, order.paid_at = "paid", now
    await charges_repository.close_pages(session, order.id, now)
    row, replaced = None, list[UUID]()
    if not order.gift:
        row, replaced = await _begin(session, order, offer, payment, agency, receipt, now)
    session.add(payment)
    await session.flush()
    if row is not None:
        await offers.take(session, order, row)
        await close_paid(session, row, now)
    fact = await booked_fact(session, payment, order, offer, agency, receipt.debit)
    await _book(session, order, fact, replaced, now)
    invoice = None
    if order.amount_vnd:  # nothing is booked of nothing, and no invoice says so
        invoice = await issue_invoice(session, payment, agency, "VND", now)
    if order.trial_days is None:
        await tell_receipt(session, payment, invoice, agency, now)
    else:
        priced = await offers.ordered(session, order, offer)
        await tell_trial(session, payment, priced.amount_vnd, agency, now)
    if row is not None:
        await subscriptions.refresh(session, row, now, at=receipt.paid_at)
    elif offer.kind == BUNDLE:
        await bundles.begin(session, payment, offer)
    elif not order.gift and offer.kind != CONTRIBUTION:
        await once.grant_once(
            session, _granted(order, offer, payment), order.agency, order.reader_id, now
        )
    metrics.after_commit(session, metrics.PAYMENTS.labels(order.agency, "paid").inc)
    return payment


async def _book(
    session: Session, order: SalesOrder, fact: PaymentFact, replaced: list[UUID], now: datetime
) -> None:
    if order.gift:
        gift = Gift(
            id=new_id(),
            agency=order.agency,
            order_id=order.id,
            code=new_gift_code(secrets.randbelow),
            created_at=now,
        )
        session.add(gift)
        await gifts.tell(session, order, gift, now)
        await recognition.post_gift(session, fact, now)
    elif fact.stream == accounts.CONTRIBUTION:
        await recognition.post_contribution(session, fact, now)
    elif order.purpose == "change":
        await post_change(session, fact, replaced, now)
    elif order.amount_vnd:
        await recognition.post_payment(session, fact, now)


async def _begin(
    session: Session,
    order: SalesOrder,
    offer: Offer,
    payment: Payment,
    agency: Agency,
    receipt: Receipt,
    now: datetime,
) -> tuple[Subscription | None, list[UUID]]:
    """Write the period that is paid for into the payment; the subscription it belongs to (None of what is for once), and the
    payments that it takes the place of."""
    at, replaced = receipt.begins_at, list[UUID]()
    if offer.kind == CONTRIBUTION:
        return None, replaced  # nothing to read
    if offer.kind != "period":
        assert offer.days is not None  # the table says so
        payment.period_start, payment.period_end = at, at + timedelta(days=offer.days)
        return None, replaced
    row = await _subscription(session, order, order.reader_id, offer, agency, now)
    if receipt.mandate_id is not None and row.collection == subscription_rules.RENEWAL:
        row.mandate_id = receipt.mandate_id
    if order.purpose == "change":
        replaced = await _cut(session, row, at)
        row.anchor_day = at.astimezone(agency.zone).day
        row.paused_until = None  # who begins another plan now does not wait for the end of a pause
    await extend(session, payment, order, row, offer, agency, at)
    return row, replaced


async def _subscription(
    session: Session,
    order: SalesOrder,
    reader_id: UUID,
    offer: Offer,
    agency: Agency,
    now: datetime,
) -> Subscription:
    """The subscription that an order pays for, locked; a new one where it begins one."""
    if order.subscription_id is not None:
        return await subscriptions_repository.lock(session, order.subscription_id)
    if not order.renews:
        return await subscriptions.term_for(session, agency, reader_id, offer, now)
    return await subscriptions.begin(
        session,
        agency=agency,
        reader_id=reader_id,
        offer=offer,
        collection=subscription_rules.RENEWAL,
        mandate_id=None,
        now=now,
    )


async def extend(
    session: Session,
    payment: Payment,
    order: SalesOrder,
    row: Subscription,
    offer: Offer,
    agency: Agency,
    at: datetime,
) -> None:
    """The subscription's next period, paid for by the payment."""
    planned = (order.starts_at, order.expires_at) if order.starts_at is not None else None
    in_place = order.purpose == "change"
    await subscriptions.next_period(session, row, offer, agency, at, planned, in_place=in_place)
    if order.trial_days is not None:
        row.period_end = row.period_start + timedelta(days=order.trial_days)
    row.value_vnd = order.amount_vnd + order.credit_vnd
    payment.subscription_id = row.id
    payment.period_start, payment.period_end = row.period_start, row.period_end


async def _cut(session: Session, row: Subscription, at: datetime) -> list[UUID]:
    """What is paid for ends at ``at``: another plan takes its place. The payments that are replaced."""
    current = await subscriptions_repository.current_payments(session, row.id, at)
    ids = [one[0] for one in current]
    await repository.cut_periods(session, ids, at)
    return ids


async def booked_fact(
    session: Session,
    payment: Payment,
    order: SalesOrder,
    offer: Offer,
    agency: Agency,
    debit: str,
) -> PaymentFact:
    start, end = payment.period_start, payment.period_end
    # Of a gift a part may have gone back before it is redeemed.
    given_back, vat_back = await recognition.given_back(session, payment.id)
    if offer.kind == "article" and start is not None:
        # An article is earned when it is opened, not while it may be read again.
        end = start + timedelta(days=1)
    paid_on = local_date(payment.paid_at, agency.zone)
    vat = await vat_in(session, payment.amount_vnd, paid_on, vat_kind(offer.kind))
    return PaymentFact(
        payment.id,
        agency,
        f"order:{order.code}",
        Money(payment.amount_vnd - given_back),
        vat - vat_back,
        payment.paid_at,
        start,
        end,
        stream_of(offer.kind),
        debit=debit,
    )


def _granted(order: SalesOrder, offer: Offer, payment: Payment) -> once.OnceRight:
    assert payment.period_start is not None and payment.period_end is not None
    scope = f"article:{order.article}" if offer.kind == "article" else offer.scope
    return once.OnceRight(
        order.id, offer.plan_code, scope, payment.period_start, payment.period_end
    )
