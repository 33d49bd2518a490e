"""The one transaction in which a provider's subscription becomes ours."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.billing.charges import repository as charges_repository
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.moving import repository, rules
from services.billing.moving.models import MovedSubscription
from services.billing.moving.rules import Reason
from services.billing.orders.models import SalesOrder
from services.billing.orders.service import fresh_code
from services.billing.orders.settle import MOVED
from services.billing.payments.models import Payment
from services.billing.payments.running import Running
from services.billing.plans.repository import Offer
from services.billing.plans.rules import anchor_of
from services.billing.plans.service import vat_in
from services.billing.readers import repository as readers_repository
from services.billing.recognition.facts import PaymentFact
from services.billing.recognition.opening import post_opening
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Mandate, Subscription
from services.billing.subscriptions.rules import RENEWAL
from shared.agencies import get_agency
from shared.clock import local_date
from shared.database import Session
from shared.ids import new_id
from shared.money import Money


async def take(
    session: Session, id_: UUID, found: Running, offer: Offer, now: datetime
) -> int | Reason | None:
    """Mandate, subscription, paid period, deferred revenue, right to read and MRR, in the caller's transaction.

    Returns the net đồng that are deferred here from now on; a :class:`Reason` where it is left to a person; None where another run
    has done it.
    """
    known = await repository.by_id(session, id_)
    assert known is not None  # rows stay
    await subscriptions_repository.lock_reader(session, known.reader_id)
    row = await repository.lock(session, id_)
    if row.state != "begun":
        return None
    if await subscriptions.live(session, row.reader_id) is not None:
        row.state, row.reason, row.look_at = "left", Reason.SUBSCRIBED.name, None
        return Reason.SUBSCRIBED
    agency = await get_agency(session, row.agency)
    own = await subscriptions.begin(
        session,
        agency=agency,
        reader_id=row.reader_id,
        offer=offer,
        collection=RENEWAL,
        mandate_id=await _mandate(session, row, found, now),
        now=now,
    )
    own.period_start, own.period_end = found.starts_at, found.ends_at
    anchor = found.anchor_at.astimezone(agency.zone).day
    own.anchor_day = anchor_of(anchor, found.ends_at, agency.zone)
    own.value_vnd = offer.amount_vnd
    own.cancel_at_period_end = row.ends
    payment = await _paid(session, row, found, offer, own.id, now)
    vat_vnd = await vat_in(session, offer.amount_vnd, local_date(payment.paid_at, agency.zone))
    fact = PaymentFact(
        payment.id,
        agency,
        f"{row.provider}:moved:{row.external_id}",
        Money(offer.amount_vnd),
        vat_vnd,
        payment.paid_at,
        found.starts_at,
        found.ends_at,
    )
    left_vnd = await post_opening(session, fact, now)
    began = min(max(found.began_at, now - rules.DATED_BACK), now)
    await subscriptions.refresh(session, own, now, at=began)
    if row.tells:
        await _tell(session, own, found, offer, now)
    row.state, row.reason, row.subscription_id = "moved", "", own.id
    row.period_end, row.moved_at = found.ends_at, now
    row.look_at = rules.look_after(found, now)
    await session.flush()
    return left_vnd


async def _tell(
    session: Session, own: Subscription, found: Running, offer: Offer, now: datetime
) -> None:
    card = found.method.label if own.mandate_id is not None and found.method else None
    told = letter_rules.moved(
        own.id,
        letter_rules.Sold(offer.name_vi, offer.name_en, offer.period),
        offer.amount_vnd,
        found.ends_at,
        card,
        renews=not own.cancel_at_period_end,
    )
    await letters.write(session, own.agency, own.reader_id, told, now)


async def _mandate(
    session: Session, row: MovedSubscription, found: Running, now: datetime
) -> UUID | None:
    """What the provider charged is charged from now on by us; nothing where it is gone, or another reader's: then the reader is asked."""
    await charges_repository.save_customer(session, row.provider, row.reader_id, found.customer)
    method = found.method
    if method is None or await repository.others_mandate(
        session, row.provider, method.id, row.reader_id
    ):
        return None
    return await charges_repository.keep_mandate(
        session,
        Mandate(
            id=new_id(),
            agency=row.agency,
            reader_id=row.reader_id,
            provider=row.provider,
            customer=method.customer,
            method=method.id,
            label=method.label,
            expires_on=method.expires_on,
            created_at=now,
        ),
    )


async def _paid(
    session: Session,
    row: MovedSubscription,
    found: Running,
    offer: Offer,
    subscription_id: UUID,
    now: datetime,
) -> Payment:
    """The period that the provider was paid for: of an order of which nothing was left to pay here. No money of it is ours to book, to
    invoice or to give back."""
    order = SalesOrder(
        id=new_id(),
        agency=row.agency,
        code=await fresh_code(session),
        reader_id=row.reader_id,
        price_id=offer.price_id,
        seats=offer.seats,
        list_vnd=offer.amount_vnd,
        credit_vnd=offer.amount_vnd,
        amount_vnd=0,
        renews=True,
        state="paid",
        language=await readers_repository.language_of(session, row.reader_id),
        created_at=now,
        expires_at=max(found.ends_at, now + rules.AGAIN),
        paid_at=now,
    )
    session.add(order)
    await session.flush()
    payment = Payment(
        id=new_id(),
        agency=row.agency,
        subscription_id=subscription_id,
        reader_id=row.reader_id,
        order_id=order.id,
        provider=MOVED,
        reference=f"{row.provider}:{row.external_id}",
        amount_vnd=0,
        seats=order.seats,
        period_start=found.starts_at,
        period_end=found.ends_at,
        paid_at=min(found.starts_at, now),
    )
    session.add(payment)
    await session.flush()
    return payment
