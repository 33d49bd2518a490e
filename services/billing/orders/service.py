"""Orders: what a reader asks for, and what follows once it is paid, whoever collected the money."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.billing import metrics
from services.billing.charges import repository as charges_repository
from services.billing.coupons import service as coupons
from services.billing.orders import repository
from services.billing.orders.codes import new_code, new_gift_code
from services.billing.orders.models import Gift, SalesOrder
from services.billing.payments.models import Payment
from services.billing.payments.service import issue_invoice, tell_receipt, tell_trial
from services.billing.plans import repository as plans_repository
from services.billing.plans.repository import Offer
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
from shared.agencies import Agency, get_agency
from shared.clock import Clock, local_date
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id
from shared.money import Money

#: How long an order waits for its money. People transfer from their bank's app within minutes; some go to a counter.
OPEN_FOR = timedelta(hours=72)
#: An order that ends sooner than this is not shown again: a fresh one is made.
SHOWN_FOR = timedelta(hours=1)
CLOSED_A_ROUND = 500
#: The ``provider`` of a payment of nothing: by a coupon; because it is a trial.
NOTHING, TRIAL = "coupon", "trial"


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
        paid_at=receipt.paid_at,
    )
    order.state, order.paid_at = "paid", now
    await charges_repository.close_pages(session, order.id, now)
    row, replaced = None, list[UUID]()
    if not order.gift:
        row, replaced = await _begin(session, order, offer, payment, agency, receipt, now)
    session.add(payment)
    await session.flush()
    fact = await _fact(session, payment, order, offer, agency, receipt.debit)
    await _book(session, order, fact, replaced, now)
    invoice = None
    if order.amount_vnd:  # nothing is booked of nothing, and no invoice says so
        invoice = await issue_invoice(session, payment, agency, "VND", now)
    if order.trial_days is None:
        await tell_receipt(session, payment, invoice, agency, now)
    else:
        await tell_trial(session, payment, order.list_vnd, agency, now)
    if row is not None:
        await subscriptions.refresh(session, row, now, at=receipt.paid_at)
    elif not order.gift:
        await once.grant_once(
            session, _granted(order, offer, payment), order.agency, order.reader_id, now
        )
    metrics.PAYMENTS.labels(order.agency, "paid").inc()
    return payment


async def _book(
    session: Session, order: SalesOrder, fact: PaymentFact, replaced: list[UUID], now: datetime
) -> None:
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
    elif order.purpose == "change":
        await recognition.post_change(session, fact, replaced, now)
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
    await _extend(session, payment, order, row, offer, agency, at)
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


async def _extend(
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
    await subscriptions.next_period(session, row, offer, agency, at, planned)
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


async def _fact(
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
    vat = await vat_in(session, payment.amount_vnd, local_date(payment.paid_at, agency.zone))
    return PaymentFact(
        payment.id,
        agency,
        f"order:{order.code}",
        Money(payment.amount_vnd - given_back),
        vat - vat_back,
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
    """An order as its reader sees it; ``payment`` once it is paid, ``received_vnd`` what came in so far. ``collecting``: a bank has
    not decided yet; ``failure``: the code of the newest card that was refused, and whether its holder must confirm it."""

    order: SalesOrder
    offer: Offer
    payment: Payment | None
    received_vnd: int
    gift: Gift | None = None
    collecting: bool = False
    failure: tuple[str, bool] | None = None

    @property
    def missing_vnd(self) -> int:
        return max(self.order.amount_vnd - self.received_vnd, 0)


class Orders:
    """Use cases of a reader who pays for one period at a time."""

    def __init__(self, database: Database, clock: Clock, plans: Plans) -> None:
        self._database = database
        self._clock = clock
        self._plans = plans

    async def start(
        self,
        reader: Reader,
        price_id: UUID,
        return_to: str,
        language: str,
        *,
        article: str | None = None,
        gift: bool = False,
        renews: bool = False,
    ) -> SalesOrder:
        """The order to pay: the one that is open for the same thing, or that a part was transferred for; else a new one.

        ``article`` is the newspaper's id of it, where an article is bought; ``renews``: the card that pays it is charged again.
        Raises :class:`NotFoundError` for what is not sold like this, :class:`ConflictError` for a price that is no longer sold, what
        the reader may read already, or while the bank has not decided about another order of theirs.
        """
        offer = await self._plans.offer(reader.agency, price_id)
        if not offer.current:
            raise ConflictError("This price is no longer sold", slug="price-superseded")
        if (offer.kind == "article") is not (article is not None) or (
            (gift or renews) and offer.kind != "period"
        ):
            raise NotFoundError
        now, wanted = self._clock.now(), (price_id, article, gift, renews)
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            await set_language(session, reader.id, language)
            if not gift and await _reads_already(session, reader.id, offer, article, now):
                raise ConflictError("You have a subscription already", slug="already-subscribed")
            order = await repository.open_order(session, reader.id)
            if order is not None:
                asked = (order.price_id, order.article, order.gift, order.renews)
                same = asked == wanted and now < order.expires_at - SHOWN_FOR
                if same or await repository.received_vnd(session, order.id):
                    order.return_to = return_to or order.return_to
                    return order
                await replace_order(session, order, now)
            trial = (
                offer.trial_days
                if renews
                and not await subscriptions_repository.subscribed_before(session, reader.id)
                else None
            )
            order = SalesOrder(
                id=new_id(),
                agency=reader.agency,
                code=await fresh_code(session),
                reader_id=reader.id,
                price_id=price_id,
                article=article,
                gift=gift,
                list_vnd=offer.amount_vnd,
                amount_vnd=0 if trial else offer.amount_vnd,
                trial_days=trial,
                renews=renews,
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
            await subscriptions_repository.lock_reader(session, reader.id)
            before = await repository.open_order(session, reader.id)
            if before is None or before.code != code:
                raise NotFoundError
            begun = await repository.received_vnd(session, before.id)
            if begun or before.gift or before.coupon_id is not None or before.trial_days:
                raise ConflictError(slug="order-takes-no-coupon")
            offer = await plans_repository.offer(session, reader.agency, before.price_id)
            assert offer is not None  # a foreign key holds it
            await replace_order(session, before, now)
            found = await coupons.apply(session, offer, coupon, reader.id, now)
            order = SalesOrder(
                id=new_id(),
                agency=reader.agency,
                code=await fresh_code(session),
                reader_id=reader.id,
                price_id=before.price_id,
                article=before.article,
                list_vnd=before.list_vnd,
                amount_vnd=found.amount_vnd,
                coupon_id=found.coupon_id,
                renews=before.renews,
                language=before.language,
                return_to=before.return_to,
                created_at=now,
                expires_at=now + OPEN_FOR,
            )
            session.add(order)
            await session.flush()
            if not order.amount_vnd and not order.renews:  # what renews waits for its card
                await settle(session, order, Receipt(NOTHING, order.code, "", now, now), now)
            return order

    async def redeem(self, reader: Reader, code: str) -> datetime:
        """Begin a gift's period for this reader, after what they have paid for already; its end.

        Raises :class:`NotFoundError` for no gift of the agency's, :class:`ConflictError` for one that was redeemed or paid back, or a
        reader whose subscription renews by itself.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            found = await repository.lock_gift(session, reader.agency, code)
            if found is None:
                raise NotFoundError
            gift, order = found
            if gift.redeemed_at is not None:
                raise ConflictError(slug="gift-redeemed")
            if await subscriptions.live(session, reader.id) is not None:
                raise ConflictError("You have a subscription already", slug="already-subscribed")
            agency = await get_agency(session, reader.agency)
            offer = await plans_repository.offer(session, order.agency, order.price_id)
            payment = await repository.payment_of(session, order.id)
            assert offer is not None and payment is not None  # it was paid
            if payment.refunded_vnd >= payment.amount_vnd:
                raise ConflictError(slug="gift-returned")
            row = await subscriptions.term_for(session, agency, reader.id, offer, now)
            await _extend(session, payment, order, row, offer, agency, now)
            gift.redeemed_by, gift.redeemed_at = reader.id, now
            await session.flush()
            fact = await _fact(session, payment, order, offer, agency, "")
            await recognition.post_redeemed(session, fact, now)
            await subscriptions.refresh(session, row, now)
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
            collecting = await charges_repository.collecting(session, order.id)
            failure = await charges_repository.last_failure(session, order.id)
        offer = await self._plans.offer(reader.agency, order.price_id)
        return OrderView(order, offer, payment, received, gift, collecting, failure)

    async def state(self, reader: Reader, code: str) -> tuple[str, int, bool]:
        """(state, đồng that came in, whether a card is being charged) of an order of this reader's. Raises :class:`NotFoundError` for anybody else's."""
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


async def _reads_already(
    session: Session, reader_id: UUID, offer: Offer, article: str | None, now: datetime
) -> bool:
    """Whether it would be paid for what is paid for: a period beside what renews, a pass or an article beside any right to it."""
    if await subscriptions.live(session, reader_id) is not None:
        return True
    if offer.kind == "period":
        return False
    opened = {offer.scope, f"article:{article}"}
    rights = await subscriptions_repository.valid_entitlements(session, reader_id, now)
    return any(scope in opened for scope, _ in rights)


async def fresh_code(session: Session) -> str:
    """A code that no order has: of a hundred thousand two would be the same now and then."""
    while await repository.code_known(session, code := new_code(secrets.randbelow)):
        pass
    return code


async def replace_order(session: Session, order: SalesOrder, now: datetime) -> None:
    """Another order takes this one's place: nobody can pay it any more. Raises :class:`ConflictError` while its bank decides."""
    if await charges_repository.processing(session, order.id):
        raise ConflictError("The bank has not decided yet", slug="payment-processing")
    order.state = "closed"
    await charges_repository.close_pages(session, order.id, now)
    await session.flush()
