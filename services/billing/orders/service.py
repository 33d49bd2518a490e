"""Orders: what a reader asks for, and what follows once it is paid, whoever collected the money."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.billing import metrics
from services.billing.coupons import service as coupons
from services.billing.orders import repository
from services.billing.orders.codes import new_code, new_gift_code
from services.billing.orders.models import Gift, SalesOrder
from services.billing.payments.models import Payment
from services.billing.payments.repository import lock_reader
from services.billing.payments.service import issue_invoice, tell_receipt
from services.billing.plans import repository as plans_repository
from services.billing.plans.repository import Offer
from services.billing.plans.rules import next_term
from services.billing.plans.service import Plans, vat_in
from services.billing.readers.models import Reader
from services.billing.readers.repository import set_language
from services.billing.recognition import service as recognition
from services.billing.recognition.facts import PaymentFact
from services.billing.subscriptions import once
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import rules as subscription_rules
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.service import Subscriptions
from shared.agencies import Agency, get_agency
from shared.clock import Clock, local_date
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id
from shared.money import Money, accrued

#: How long an order waits for its money. People transfer from their bank's app within minutes; some go to a counter.
OPEN_FOR = timedelta(hours=72)
#: An order that ends sooner than this is not shown again: a fresh one is made.
SHOWN_FOR = timedelta(hours=1)
CLOSED_A_ROUND = 500
#: The ``provider`` of a payment of nothing.
NOTHING = "coupon"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that pays an order: who collected it, under which reference, the account it is taken from."""

    provider: str
    reference: str
    debit: str
    paid_at: datetime


async def settle(session: Session, order: SalesOrder, receipt: Receipt, now: datetime) -> Payment:
    """An order (locked by the caller) is paid: what it is for, the books, the invoice, the receipt, the right to read and
    their events.

    Locks after the order: the reader's terms, the agency's books, the counter of its invoices.
    """
    agency = await get_agency(session, order.agency)
    offer = await plans_repository.offer(session, order.agency, order.price_id)
    assert offer is not None  # a foreign key holds it
    payment = Payment(
        id=new_id(),
        agency=order.agency,
        reader_id=order.reader_id,
        order_id=order.id,
        provider=receipt.provider,
        provider_invoice=receipt.reference,
        amount_vnd=order.amount_vnd,
        paid_at=receipt.paid_at,
    )
    order.state, order.paid_at = "paid", now
    row = None
    if not order.gift:
        row = await _begin(session, order, offer, payment, agency, now)
    session.add(payment)
    await session.flush()
    fact = await _fact(session, payment, order, offer, agency, receipt.debit)
    if order.gift:
        session.add(
            Gift(
                id=new_id(),
                agency=order.agency,
                order_id=order.id,
                code=new_gift_code(secrets.randbelow),
                created_at=now,
            )
        )
        await recognition.post_gift(session, fact, now)
    elif order.amount_vnd:
        await recognition.post_payment(session, fact, now)
    invoice = None
    if order.amount_vnd:  # nothing is booked of nothing, and no invoice says so
        invoice = await issue_invoice(session, payment, agency, "VND", now)
    await tell_receipt(session, payment, invoice, agency, now)
    if row is not None:
        await subscriptions.refresh(session, row, timedelta(0), now)
    elif not order.gift:
        await once.grant_once(
            session, _granted(order, offer, payment), order.agency, order.reader_id, now
        )
    metrics.PAYMENTS.labels(order.agency, "paid").inc()
    return payment


async def _begin(
    session: Session,
    order: SalesOrder,
    offer: Offer,
    payment: Payment,
    agency: Agency,
    now: datetime,
) -> Subscription | None:
    """Write the period that is paid for into the payment; the term it belongs to, None for what is for once."""
    if offer.kind == "period":
        return await _extend(session, payment, order.reader_id, offer, agency, now)
    assert offer.days is not None  # the table says so
    payment.period_start, payment.period_end = now, now + timedelta(days=offer.days)
    return None


async def _extend(
    session: Session,
    payment: Payment,
    reader_id: UUID,
    offer: Offer,
    agency: Agency,
    now: datetime,
) -> Subscription:
    """The reader's next term, paid for by the payment."""
    row = await subscriptions.term_for(session, agency.id, reader_id, offer.price_id, now)
    term = next_term(
        now,
        offer.period,
        agency.zone,
        paid_until=await subscriptions_repository.paid_until(session, row.id),
        anchor_day=row.anchor_day or 0,
        others_until=await subscriptions_repository.others_until(session, row),
    )
    row.price_id, row.anchor_day = offer.price_id, term.anchor_day
    row.term_vnd = payment.amount_vnd
    row.period_start, row.period_end = term.start, term.end
    payment.subscription_id = row.id
    payment.period_start, payment.period_end = term.start, term.end
    return row


async def _fact(
    session: Session,
    payment: Payment,
    order: SalesOrder,
    offer: Offer,
    agency: Agency,
    debit: str,
) -> PaymentFact:
    start, end = payment.period_start, payment.period_end
    given_back = payment.refunded_vnd  # of a gift a part may have gone back before it is redeemed
    if offer.kind == "article" and start is not None:
        # An article is earned when it is opened, not while it may be read again.
        end = start + timedelta(days=1)
    vat = await vat_in(session, payment.amount_vnd, local_date(payment.paid_at, agency.zone))
    return PaymentFact(
        payment.id,
        agency,
        f"order:{order.code}",
        Money(payment.amount_vnd - given_back),
        vat - (accrued(vat, given_back, payment.amount_vnd) if given_back else 0),
        payment.paid_at,
        start,
        end,
        debit=debit,
    )


def _granted(order: SalesOrder, offer: Offer, payment: Payment) -> once.OnceRight:
    assert payment.period_start is not None and payment.period_end is not None
    scope = f"article:{order.article}" if offer.kind == "article" else offer.scope
    return once.OnceRight(
        order.id, offer.plan_code, scope, payment.period_start, payment.period_end
    )


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as its reader sees it; ``payment`` once it is paid, ``received_vnd`` what came in so far."""

    order: SalesOrder
    offer: Offer
    payment: Payment | None
    received_vnd: int
    gift: Gift | None = None

    @property
    def missing_vnd(self) -> int:
        return max(self.order.amount_vnd - self.received_vnd, 0)


class Orders:
    """Use cases of a reader who pays for one period at a time."""

    def __init__(
        self, database: Database, clock: Clock, plans: Plans, subscriptions_: Subscriptions
    ) -> None:
        self._database = database
        self._clock = clock
        self._plans = plans
        self._subscriptions = subscriptions_

    async def start(
        self,
        reader: Reader,
        price_id: UUID,
        return_to: str,
        language: str,
        *,
        article: str | None = None,
        gift: bool = False,
    ) -> SalesOrder:
        """The order to pay: the one that is open for the same thing, or that a part was transferred for; else a new one.

        ``article`` is the newspaper's id of it, where an article is bought. Raises :class:`NotFoundError` for what is not
        sold like this, :class:`ConflictError` for a price that is no longer sold or what the reader may read already.
        """
        offer = await self._plans.offer(reader.agency, price_id)
        if not offer.current:
            raise ConflictError("This price is no longer sold", slug="price-superseded")
        if (offer.kind == "article") is not (article is not None) or (
            gift and offer.kind != "period"
        ):
            raise NotFoundError
        if not gift and await self._reads_already(reader, offer, article):
            raise ConflictError("You have a subscription already", slug="already-subscribed")
        now, wanted = self._clock.now(), (price_id, article, gift)
        async with self._database.transaction() as session:
            await lock_reader(session, reader.id)
            await set_language(session, reader.id, language)
            order = await repository.open_order(session, reader.id)
            if order is not None:
                asked = (order.price_id, order.article, order.gift)
                same = asked == wanted and now < order.expires_at - SHOWN_FOR
                if same or await repository.received_vnd(session, order.id):
                    order.return_to = return_to or order.return_to
                    return order
                order.state = "closed"
                await session.flush()
            order = SalesOrder(
                id=new_id(),
                agency=reader.agency,
                code=await _fresh_code(session),
                reader_id=reader.id,
                price_id=price_id,
                article=article,
                gift=gift,
                list_vnd=offer.amount_vnd,
                amount_vnd=offer.amount_vnd,
                language=language,
                return_to=return_to,
                created_at=now,
                expires_at=now + OPEN_FOR,
            )
            session.add(order)
            return order

    async def discount(self, reader: Reader, code: str, coupon: str) -> SalesOrder:
        """The reader's open order with a coupon: a new order in its place. One of which nothing is left to pay is paid.

        Raises :class:`NotFoundError`, :class:`CouponRefusedError`, and :class:`ConflictError` for an order that is not open,
        that a part was transferred for, that has a coupon, or that is for somebody else.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            await lock_reader(session, reader.id)
            before = await repository.open_order(session, reader.id)
            if before is None or before.code != code:
                raise NotFoundError
            begun = await repository.received_vnd(session, before.id)
            if begun or before.gift or before.coupon_id is not None:
                raise ConflictError(slug="order-takes-no-coupon")
            offer = await plans_repository.offer(session, reader.agency, before.price_id)
            assert offer is not None  # a foreign key holds it
            before.state = "closed"
            await session.flush()
            found = await coupons.apply(session, offer, coupon, reader.id, now)
            order = SalesOrder(
                id=new_id(),
                agency=reader.agency,
                code=await _fresh_code(session),
                reader_id=reader.id,
                price_id=before.price_id,
                article=before.article,
                list_vnd=before.list_vnd,
                amount_vnd=found.amount_vnd,
                coupon_id=found.coupon_id,
                language=before.language,
                return_to=before.return_to,
                created_at=now,
                expires_at=now + OPEN_FOR,
            )
            session.add(order)
            await session.flush()
            if not order.amount_vnd:
                await settle(session, order, Receipt(NOTHING, order.code, "", now), now)
            return order

    async def _reads_already(self, reader: Reader, offer: Offer, article: str | None) -> bool:
        """Whether it would be paid for what is paid for: a term beside what renews, a pass or an article beside any right to it."""
        if await self._subscriptions.live_of_reader(reader.id) is not None:
            return True
        if offer.kind == "period":
            return False
        opened = {offer.scope, f"article:{article}"}
        return any(scope in opened for scope, _ in await self._subscriptions.rights(reader.id))

    async def redeem(self, reader: Reader, code: str) -> datetime:
        """Begin a gift's period for this reader, after what they have paid for already; its end.

        Raises :class:`NotFoundError` for no gift of the agency's, :class:`ConflictError` for one that was redeemed or paid back, or a
        reader whose subscription renews by itself.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            found = await repository.lock_gift(session, reader.agency, code)
            if found is None:
                raise NotFoundError
            gift, order = found
            if gift.redeemed_at is not None:
                raise ConflictError(slug="gift-redeemed")
            if await blocked(session, reader.id):
                raise ConflictError("You have a subscription already", slug="already-subscribed")
            agency = await get_agency(session, reader.agency)
            offer = await plans_repository.offer(session, order.agency, order.price_id)
            payment = await repository.payment_of(session, order.id)
            assert offer is not None and payment is not None  # it was paid
            if payment.refunded_vnd >= payment.amount_vnd:
                raise ConflictError(slug="gift-returned")
            row = await _extend(session, payment, reader.id, offer, agency, now)
            gift.redeemed_by, gift.redeemed_at = reader.id, now
            await session.flush()
            fact = await _fact(session, payment, order, offer, agency, "")
            await recognition.post_redeemed(session, fact, now)
            await subscriptions.refresh(session, row, timedelta(0), now)
            return row.period_end

    async def view(self, reader: Reader, code: str) -> OrderView:
        """An order of this reader's. Raises :class:`NotFoundError` for anybody else's."""
        async with self._database.read() as session:
            order = await repository.by_code(session, reader.agency, code)
            if order is None or order.reader_id != reader.id:
                raise NotFoundError
            payment = await repository.payment_of(session, order.id)
            received = await repository.received_vnd(session, order.id)
            gift = await repository.gift_of(session, order.id) if order.gift else None
        offer = await self._plans.offer(reader.agency, order.price_id)
        return OrderView(order, offer, payment, received, gift)

    async def state(self, reader: Reader, code: str) -> tuple[str, int]:
        """(state, đồng that came in) of an order of this reader's. Raises :class:`NotFoundError` for anybody else's."""
        async with self._database.read() as session:
            found = await repository.state(session, reader.agency, reader.id, code)
        if found is None:
            raise NotFoundError
        return found

    async def open_of_reader(self, reader: Reader) -> SalesOrder | None:
        """The order that this reader has not paid yet."""
        async with self._database.read() as session:
            order = await repository.shown_order(session, reader.id)
        return order if order is not None and self._clock.now() < order.expires_at else None

    async def presents(self, reader: Reader) -> frozenset[UUID]:
        """The orders of this reader's that are for somebody else."""
        async with self._database.read() as session:
            return await repository.presents(session, reader.id)

    async def close_expired(self) -> int:
        """Orders whose time is over. Returns how many."""
        async with self._database.transaction() as session:
            return await repository.close_expired(session, self._clock.now(), CLOSED_A_ROUND)


async def _fresh_code(session: Session) -> str:
    """A code that no order has: of a hundred thousand two would be the same now and then."""
    while await repository.code_known(session, code := new_code(secrets.randbelow)):
        pass
    return code


async def blocked(session: Session, reader_id: UUID) -> bool:
    """Whether the reader's subscription renews by itself, so that a term beside it would be paid twice."""
    rows = await subscriptions_repository.of_reader(session, reader_id)
    return any(
        subscription_rules.renews(row.state, row.collection, cancels=row.cancel_at_period_end)
        for row in rows
    )
