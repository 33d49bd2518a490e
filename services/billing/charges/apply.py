"""What providers tell of money, applied: one use case, whoever brings the word (a call's answer, a notification, the sweep, the
reader who comes back). Every fact may come twice, late, and in any order.

Meaning: money that was taken is in the books, whatever state its order or subscription is in; then the state follows. What makes
it true: facts about one reader's money are applied one after the other, a payment is one row by the provider's reference, and what
no order can take is booked as nobody's and shown to finance.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from services.billing import metrics
from services.billing.charges import disputes, foreign, repository, returns
from services.billing.charges.models import Charge
from services.billing.ledger import rules as accounts
from services.billing.ledger.service import Posting, post_new
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.offers import service as offers
from services.billing.orders import repository as orders_repository
from services.billing.orders.models import SalesOrder
from services.billing.orders.settle import NOTHING, TRIAL, Receipt, settle
from services.billing.payments.adapters.port import (
    Captured,
    DisputeMoved,
    Fact,
    Failed,
    MethodGone,
    MethodSaved,
    PageClosed,
    Processing,
    RefundMoved,
)
from services.billing.payments.method import Method
from services.billing.payments.models import Payment
from services.billing.plans import repository as plans_repository
from services.billing.readers import repository as readers_repository
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Mandate, Subscription
from services.billing.subscriptions.rules import RENEWAL, tries_after
from shared.agencies import get_agency
from shared.clock import local_date
from shared.database import Session
from shared.ids import new_id

log = structlog.get_logger(__name__)

#: How often a bank that takes its time is asked.
ASK_AGAIN = timedelta(hours=1)
#: After this many refusals within a day a reader is shown the other ways to pay, and the card is left alone.
REFUSALS_A_DAY = 5
DONE = ("captured", "closed")


async def apply(session: Session, provider: str, fact: Fact, now: datetime) -> bool:
    """Apply a fact in the caller's transaction. False when billing has no part in it, or knew it.

    Raises :class:`currency.ForeignCurrencyError` for a refund or a dispute that is not in the currency of its payment.
    """
    match fact:
        case RefundMoved():
            return await returns.refund_moved(session, provider, fact, now)
        case DisputeMoved():
            return await disputes.dispute_moved(session, provider, fact, now)
        case MethodGone():
            return await _forget(session, provider, fact, now)
        case Captured() | Processing() | Failed() | PageClosed() | MethodSaved():
            found = await _held(session, fact.charge_id)
            return found is not None and await _apply(session, provider, found, fact, now)
        case _:
            return False


async def _held(session: Session, charge_id: UUID | None) -> Charge | None:
    """The charge, locked after its reader; None of a stranger's object."""
    known = await repository.by_id(session, charge_id) if charge_id is not None else None
    if known is None:
        return None
    await subscriptions_repository.lock_reader(session, known.reader_id)
    return await repository.lock(session, known.id)


async def _apply(
    session: Session,
    provider: str,
    charge: Charge,
    fact: Captured | Processing | Failed | PageClosed | MethodSaved,
    now: datetime,
) -> bool:
    if isinstance(fact, Captured):
        return await _captured(session, provider, charge, fact, now)
    if charge.state in (*DONE, "failed"):
        return False
    charge.updated_at = now
    match fact:
        case MethodSaved():
            await _saved(session, provider, charge, fact.method, now)
        case Failed():
            await _failed(session, charge, fact, now)
        case PageClosed():
            charge.state, charge.ask_at = "closed", None
            await _not_collected(session, charge, now)
        case Processing():
            charge.state, charge.ask_at = "processing", now + ASK_AGAIN
            charge.reference = fact.reference or charge.reference
    await session.flush()
    return True


async def _captured(
    session: Session, provider: str, charge: Charge, fact: Captured, now: datetime
) -> bool:
    if await repository.money_known(session, provider, fact.reference):
        return False
    assert charge.order_id is not None  # only orders are paid
    order = await orders_repository.lock(session, charge.order_id)
    if fact.currency != "VND":
        await foreign.take(session, charge, order, fact, now)
        return True
    mandate_id = None
    if fact.method is not None and order.renews and charge.kind == "page":
        # The card that was charged without its holder stays what it is now: they may have given another one meanwhile, or let it go.
        mandate_id = await _keep(session, provider, charge, fact.method, now)
    takes = fact.amount == order.amount_vnd and await _takes(session, order, now)
    if takes or charge.state != "captured":
        charge.reference = (
            fact.reference
        )  # of two payments of one charge, the one that its order took
    charge.state, charge.ask_at, charge.updated_at = "captured", None, now
    await session.flush()
    paid_at = min(fact.captured_at, now)  # the provider's clock may be ahead of ours
    if takes:
        receipt = Receipt(
            provider, fact.reference, accounts.RECEIVABLE, paid_at, paid_at, mandate_id
        )
        await settle(session, order, receipt, now)
    else:
        await _unclaimed(session, charge, fact, paid_at, now)
    return True


async def _takes(session: Session, order: SalesOrder, now: datetime) -> bool:
    """Whether money may still pay an order: one that was closed meanwhile may, unless its reader was erased, it would be a second subscription, a second
    trial, an offer more often than it is good for, or its price counted with what is not left any more."""
    if order.state == "paid" or (order.purpose == "change" and order.state != "open"):
        return False
    erased = await readers_repository.is_erased(session, order.reader_id)
    if erased or not await orders_repository.price_stands(session, order):
        return False
    if not await offers.stands(session, order, now):
        return False
    if order.trial_days is not None and await subscriptions_repository.subscribed_before(
        session, order.reader_id
    ):
        order.state = "closed"
        return False
    if not order.renews or order.gift:
        return True
    return await subscriptions.live(session, order.reader_id, besides=order.subscription_id) is None


async def _unclaimed(
    session: Session, charge: Charge, fact: Captured, paid_at: datetime, now: datetime
) -> None:
    """Money that no order takes: booked as nobody's, and shown to finance until it is given back."""
    payment = Payment(
        id=new_id(),
        agency=charge.agency,
        reader_id=charge.reader_id,
        surplus_of=charge.order_id,
        provider=charge.provider,
        reference=fact.reference,
        amount_vnd=fact.amount,
        paid_at=paid_at,
    )
    session.add(payment)
    await session.flush()
    agency = await get_agency(session, charge.agency)
    posting = Posting(
        charge.agency,
        f"{charge.provider}:unclaimed:{fact.reference}",
        accounts.UNCLAIMED,
        payment.id,
        local_date(paid_at, agency.zone),
        paid_at,
        accounts.unclaimed_lines(accounts.RECEIVABLE, fact.amount),
    )
    await post_new(session, posting, now)
    metrics.after_commit(session, metrics.PAYMENTS.labels(charge.agency, "unclaimed").inc)
    log.warning("payment_unclaimed", agency=charge.agency, payment=str(payment.id))


async def _keep(
    session: Session, provider: str, charge: Charge, method: Method, now: datetime
) -> UUID:
    """The means of payment that may be charged from now on; of who was erased it is let go at once."""
    erased = await readers_repository.is_erased(session, charge.reader_id)
    if not erased:
        await repository.save_customer(session, provider, charge.reader_id, method.customer)
    id_ = await repository.keep_mandate(
        session,
        Mandate(
            id=new_id(),
            agency=charge.agency,
            reader_id=charge.reader_id,
            provider=provider,
            customer=method.customer,
            method=method.id,
            label="" if erased else method.label,
            expires_on=None if erased else method.expires_on,
            created_at=now,
        ),
    )
    if erased:
        await repository.revoke_mandate(session, id_, now)
    return id_


async def _saved(
    session: Session, provider: str, charge: Charge, method: Method, now: datetime
) -> None:
    """A card was given: for an order of which nothing is to be paid, or in the place of another one."""
    mandate_id = await _keep(session, provider, charge, method, now)
    charge.state, charge.ask_at = "captured", None
    await session.flush()
    if charge.order_id is not None:
        order = await orders_repository.lock(session, charge.order_id)
        if order.amount_vnd == 0 and await _takes(session, order, now):
            word = TRIAL if order.trial_days is not None else NOTHING
            receipt = Receipt(word, order.code, "", now, now, mandate_id)
            await settle(session, order, receipt, now)
        return
    assert charge.subscription_id is not None  # the table says so
    row = await subscriptions_repository.lock(session, charge.subscription_id)
    if await readers_repository.is_erased(session, row.reader_id):
        return
    row.mandate_id = mandate_id
    await _tell_new_card(session, charge, row, now)
    await collect_again(session, row, now)
    await subscriptions.refresh(session, row, now)


async def _tell_new_card(
    session: Session, charge: Charge, row: Subscription, now: datetime
) -> None:
    offer = await plans_repository.offer(session, row.agency, row.price_id)
    assert (
        offer is not None and row.mandate_id is not None
    )  # a foreign key holds it; it was just given
    card = await subscriptions_repository.mandate(session, row.mandate_id)
    assert card is not None  # a foreign key holds it
    sold = letter_rules.Sold(offer.name_vi, offer.name_en, offer.period)
    told = letter_rules.new_card(charge.id, row.id, sold, card.label, card.expires_on)
    await letters.write(session, row.agency, row.reader_id, told, now)


async def collect_again(session: Session, row: Subscription, now: datetime) -> None:
    """What a subscription owes is tried at once with the card that it has now (the caller holds the reader's lock)."""
    owed = await subscriptions_repository.owed(session, row.id)
    if owed is None or owed[2] or row.mandate_id is None:
        return
    order = await orders_repository.lock(session, owed[0])
    await charge_mandate(session, order, row.mandate_id, now, by_reader=True)


async def tired(session: Session, row: Subscription, now: datetime) -> bool:
    """Whether a subscription's card was refused so often within a day that it is not tried again because its reader asks."""
    if row.mandate_id is None:
        return False
    since = now - timedelta(days=1)
    refused = await repository.refused_since(session, row.reader_id, row.mandate_id, since)
    return refused >= REFUSALS_A_DAY


async def charge_mandate(
    session: Session,
    order: SalesOrder,
    mandate_id: UUID,
    now: datetime,
    *,
    by_reader: bool = False,
) -> UUID:
    """A try to collect an order from a card; the worker asks the provider. ``by_reader``: beside the tries of the clock."""
    mandate = await subscriptions_repository.mandate(session, mandate_id)
    assert mandate is not None  # a foreign key holds it
    charge = Charge(
        id=new_id(),
        agency=order.agency,
        reader_id=order.reader_id,
        order_id=order.id,
        provider=mandate.provider,
        kind="mandate",
        mandate_id=mandate_id,
        amount_vnd=order.amount_vnd,
        language=order.language,
        by_reader=by_reader,
        ask_at=now,
        created_at=now,
        updated_at=now,
    )
    session.add(charge)
    await session.flush()
    return charge.id


async def _forget(session: Session, provider: str, fact: MethodGone, now: datetime) -> bool:
    """A card or a customer is gone at the provider: nothing of theirs is charged any more."""
    gone = await repository.gone_mandates(session, provider, fact.method, fact.customer)
    for reader_id, mandate_id in gone:  # in one order everywhere
        await subscriptions_repository.lock_reader(session, reader_id)
        for id_ in await repository.revoke_mandate(session, mandate_id, now, gone=True):
            row = await subscriptions_repository.lock(session, id_)
            await subscriptions.refresh(session, row, now)
    if fact.customer:
        await repository.forget_customer(session, provider, fact.customer)
    return bool(gone)


async def _not_collected(session: Session, charge: Charge, now: datetime) -> None:
    """A card was not charged after all: whether what it was for is still wanted is for the clock to say."""
    if charge.kind != "mandate" or charge.order_id is None:
        return
    order = await orders_repository.lock(session, charge.order_id)
    if order.subscription_id is not None:
        row = await subscriptions_repository.lock(session, order.subscription_id)
        await subscriptions.refresh(session, row, now)


async def _failed(session: Session, charge: Charge, fact: Failed, now: datetime) -> None:
    charge.state, charge.ask_at = "failed", None
    charge.failure, charge.needs_holder = fact.code, fact.needs_holder
    charge.reference = fact.reference or charge.reference
    await session.flush()
    if fact.method_gone and charge.mandate_id is not None:
        await repository.revoke_mandate(session, charge.mandate_id, now, gone=True)
    if charge.order_id is None:
        return
    order = await orders_repository.lock(session, charge.order_id)
    metrics.after_commit(session, metrics.PAYMENTS.labels(charge.agency, "failed").inc)
    if order.state != "open" or order.subscription_id is None or order.purpose != "renewal":
        return
    row = await subscriptions_repository.lock(session, order.subscription_id)
    await session.refresh(row)
    if charge.kind == "mandate" and not charge.by_reader:
        await count_refused(session, order, now)
    await tell_failed(session, row, order, charge.needs_holder, now)


async def count_refused(session: Session, order: SalesOrder, now: datetime) -> None:
    """One more try to collect a renewal was refused."""
    assert order.starts_at is not None  # the table says so
    dunning = await subscriptions_repository.dunning(session, order.agency)
    order.tries = tries_after(order.tries, order.starts_at, dunning, now)


async def tell_failed(
    session: Session, row: Subscription, order: SalesOrder, needs_holder: bool, now: datetime
) -> None:
    """A renewal could not be collected: the state follows, and the reader is told how to pay."""
    facts = await subscriptions.refresh(session, row, now)
    offer = await plans_repository.offer(session, order.agency, order.price_id)
    until = facts.lapses_at
    if offer is None or until is None or row.collection != RENEWAL:
        return
    reads_until = facts.readable_until if not facts.pauses else None
    told = letter_rules.payment_failed(
        row.id,
        letter_rules.Sold(offer.name_vi, offer.name_en, offer.period),
        (order.id, order.amount_vnd, order.tries),
        reads_until if reads_until is not None and reads_until > now else None,
        until,
        needs_holder=needs_holder,
    )
    await letters.write(session, row.agency, row.reader_id, told, now)
