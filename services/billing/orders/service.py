"""Orders: what a reader asks for, until it is paid (``orders.settle``) or closed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.billing.charges import repository as charges_repository
from services.billing.charges.debts import close_changes
from services.billing.coupons import service as coupons
from services.billing.offers import service as offers
from services.billing.offers.rules import Priced
from services.billing.orders import repository
from services.billing.orders.codes import new_code
from services.billing.orders.models import Gift, SalesOrder
from services.billing.orders.settle import NOTHING, Receipt, booked_fact, extend, settle
from services.billing.payments.models import Payment
from services.billing.plans import repository as plans_repository
from services.billing.plans.repository import Offer
from services.billing.plans.rules import ARTICLE, BUNDLE, CONTRIBUTION, MOST_SEATS, PERIOD
from services.billing.plans.service import Plans
from services.billing.readers.models import Reader
from services.billing.readers.repository import set_language
from services.billing.recognition import service as recognition
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id

#: How long an order waits for its money. People transfer from their bank's app within minutes; some go to a counter.
OPEN_FOR = timedelta(hours=72)
#: An order that ends sooner than this is not shown again: a fresh one is made.
SHOWN_FOR = timedelta(hours=1)
CLOSED_A_ROUND = 500


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as its reader sees it; ``payment`` once it is paid, ``received_vnd`` what came in so far. ``collecting``: a bank has
    not decided yet; ``failure``: the code of the newest card that was refused, and whether its holder must confirm it."""

    order: SalesOrder
    offer: Offer
    payment: Payment | None
    received_vnd: int
    priced: Priced
    gift: Gift | None = None
    collecting: bool = False
    failure: tuple[str, bool] | None = None

    @property
    def missing_vnd(self) -> int:
        return max(self.order.amount_vnd - self.received_vnd, 0)

    @property
    def begun(self) -> bool:
        """Whether only the rest is to be paid: a card would be charged for the whole once more."""
        return self.order.in_parts and self.received_vnd > 0


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
        amount_vnd: int | None = None,
        seats: int | None = None,
    ) -> SalesOrder:
        """The order to pay: the one that is open for the same thing, or that a part was transferred for; else a new one.

        ``article`` is the newspaper's id of it, where an article is bought; ``renews``: the card that pays it is charged again;
        ``amount_vnd``: what the reader gives, of a contribution; ``seats``: for how many readers, where each seat is paid for (None:
        the fewest that are sold). Raises :class:`NotFoundError` for what is not sold like this, :class:`ConflictError` for a price
        that is no longer sold, an amount outside of its limits, what the reader may read already, or while the bank has not decided
        about another order of theirs.
        """
        offer = await self._plans.offer(reader.agency, price_id)
        _check_sold(offer, article, amount_vnd, gift=gift, renews=renews)
        offer = replace(offer, amount_vnd=amount_vnd or offer.amount_vnd)
        chosen, now = seats_of(offer, seats), self._clock.now()
        wanted = (price_id, article, gift, renews, chosen, offer.cost_vnd(chosen))
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            await set_language(session, reader.id, language)
            if not gift and await _reads_already(session, reader.id, offer, article, now):
                raise ConflictError("You have a subscription already", slug="already-subscribed")
            order = await repository.open_order(session, reader.id)
            priced = await _priced(session, reader.id, offer, gift, now, chosen)
            if order is not None:
                asked = (
                    order.price_id,
                    order.article,
                    order.gift,
                    order.renews,
                    order.seats,
                    order.list_vnd,
                )
                kept = order.coupon_id is not None or order.offer_id == priced.offer_id
                same = asked == wanted and kept and now < order.expires_at - SHOWN_FOR
                if same or await repository.received_vnd(session, order.id):
                    order.return_to = return_to or order.return_to
                    return order
                await replace_order(session, order, now)
            order = await _new_order(
                session, reader, offer, priced, language, now, article, gift, renews, chosen
            )
            order.return_to = return_to
            session.add(order)
            return order

    async def discount(self, reader: Reader, code: str, coupon: str) -> SalesOrder:
        """The reader's open order with a coupon: a new order in its place. One of which nothing is left to pay is paid.

        Raises :class:`NotFoundError`, :class:`CouponRefusedError`, and :class:`ConflictError` for an order that is not open,
        that a part was transferred for, that has a coupon or an offer's price, that is for somebody else, or of a contribution.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            before = await repository.open_order(session, reader.id)
            if before is None or before.code != code:
                raise NotFoundError
            begun = await repository.received_vnd(session, before.id)
            offer = await plans_repository.offer(session, reader.agency, before.price_id)
            assert offer is not None  # a foreign key holds it
            reduced = before.coupon_id is not None or before.offer_id is not None
            fits = not (begun or before.gift or reduced or before.trial_days)
            if not fits or offer.kind == CONTRIBUTION:
                raise ConflictError(slug="order-takes-no-coupon")
            await replace_order(session, before, now)
            found = await coupons.apply(session, offer, before.list_vnd, coupon, reader.id, now)
            order = SalesOrder(
                id=new_id(),
                agency=reader.agency,
                code=await fresh_code(session),
                reader_id=reader.id,
                price_id=before.price_id,
                article=before.article,
                seats=before.seats,
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
            await extend(session, payment, order, row, offer, agency, now)
            await close_changes(session, row.id, now)  # their price did not count with the gift
            gift.redeemed_by, gift.redeemed_at = reader.id, now
            await session.flush()
            fact = await booked_fact(session, payment, order, offer, agency, "")
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
            offer = await plans_repository.offer(session, reader.agency, order.price_id)
            assert offer is not None  # a foreign key holds it
            priced = await offers.ordered(session, order, offer)
        return OrderView(order, offer, payment, received, priced, gift, collecting, failure)

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

    async def bought(self, ids: Sequence[UUID]) -> dict[UUID, repository.Bought]:
        """What these orders were for."""
        async with self._database.read() as session:
            return await repository.bought(session, ids)

    async def once_of_reader(self, reader_id: UUID) -> Sequence[repository.Once]:
        """Passes, single articles and given days that a reader reads by now, or is to."""
        async with self._database.read() as session:
            return await repository.once_of_reader(session, reader_id, self._clock.now())

    async def close_expired(self) -> int:
        """Orders whose time is over. Returns how many."""
        now, closed = self._clock.now(), 0
        async with self._database.read() as reading:
            due = await repository.expired(reading, now, CLOSED_A_ROUND)
        for reader_id, id_ in due:
            async with self._database.transaction() as session:
                await subscriptions_repository.lock_reader(session, reader_id)
                closed += await repository.close_expired(session, id_, now)
        return closed


async def _priced(
    session: Session, reader_id: UUID, offer: Offer, gift: bool, now: datetime, seats: int
) -> Priced:
    """What is asked for it; an offer is for the reader's own periods."""
    if gift or offer.kind != PERIOD:
        return Priced(offer.cost_vnd(seats), offer.period)
    return await offers.priced_sale(session, reader_id, offer, now, seats)


async def _reads_already(
    session: Session, reader_id: UUID, offer: Offer, article: str | None, now: datetime
) -> bool:
    """Whether it would be paid for what is paid for: a period or a bundle beside what renews, a pass or an article beside any right
    to it. Who gives does not pay for anything."""
    if offer.kind == CONTRIBUTION:
        return False
    if await subscriptions.live(session, reader_id) is not None:
        return True
    if offer.kind in (PERIOD, BUNDLE):
        return False
    opened = (offer.scope, f"article:{article}")
    return await subscriptions_repository.opens(session, reader_id, opened, now)


def _check_sold(
    offer: Offer, article: str | None, amount_vnd: int | None, *, gift: bool, renews: bool
) -> None:
    """Raises as :meth:`Orders.start` does."""
    if not offer.current:
        raise ConflictError("This price is no longer sold", slug="price-superseded")
    fits = (
        (offer.kind == ARTICLE) is (article is not None)
        and (offer.kind == CONTRIBUTION) is (amount_vnd is not None)
        and (offer.kind == PERIOD or not (gift or renews))
        and not (gift and offer.per_seat)
    )
    if not fits:
        raise NotFoundError
    if amount_vnd is not None and not (offer.least_vnd or 0) <= amount_vnd <= (offer.most_vnd or 0):
        raise ConflictError(slug="contribution-amount")


def seats_of(offer: Offer, chosen: int | None) -> int:
    """For how many readers an offer is bought. Raises :class:`ConflictError` (``seats-number``) for a number that is not sold."""
    seats = offer.seats if chosen is None or not offer.per_seat else chosen
    if not offer.seats <= seats <= MOST_SEATS:
        raise ConflictError("So many seats are not sold in this plan.", slug="seats-number")
    return seats


async def fresh_code(session: Session) -> str:
    """A code that no order has: of a hundred thousand two would be the same now and then."""
    while await repository.code_known(session, code := new_code(secrets.randbelow)):
        pass
    return code


async def _new_order(
    session: Session,
    reader: Reader,
    offer: Offer,
    priced: Priced,
    language: str,
    now: datetime,
    article: str | None,
    gift: bool,
    renews: bool,
    seats: int,
) -> SalesOrder:
    """A sale; a trial for who has never subscribed, where the price has one and a card renews it."""
    trial = (
        offer.trial_days
        if renews and not await subscriptions_repository.subscribed_before(session, reader.id)
        else None
    )
    return SalesOrder(
        id=new_id(),
        agency=reader.agency,
        code=await fresh_code(session),
        reader_id=reader.id,
        price_id=offer.price_id,
        article=article,
        gift=gift,
        seats=seats,
        list_vnd=priced.full_vnd,
        amount_vnd=0 if trial else priced.amount_vnd,
        offer_id=priced.offer_id,
        offer_turn=await offers.turn_of(session, reader.id, priced),
        trial_days=trial,
        renews=renews,
        language=language,
        created_at=now,
        expires_at=now + OPEN_FOR,
    )


async def replace_order(session: Session, order: SalesOrder, now: datetime) -> None:
    """Another order takes this one's place: nobody can pay it any more. Raises :class:`ConflictError` while a card is charged for it,
    or its bank decides."""
    if await charges_repository.collecting(session, order.id):
        raise ConflictError("The bank has not decided yet", slug="payment-processing")
    order.state = "closed"
    await charges_repository.close_pages(session, order.id, now)
    await session.flush()
