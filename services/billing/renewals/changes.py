"""Another plan, period or number of seats for a subscription: shown to the đồng before it is confirmed.

What costs more than what is left of the period begins at once, and what is left is taken off its price; everything else begins
when the period that is paid for ends: of what renews by itself with the next one; of a term, which does not, with the next term,
which is an order of its own (``orders.service``). No credit is lost, and no day is paid for twice.

A change that costs something is an order, paid by the card that renews the plan, on the provider's page or by bank transfer. What
is taken off is fixed in the order while it waits; whatever else happens to what it counted with closes it (``charges.debts``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.billing.charges.apply import charge_mandate, tired
from services.billing.offers import service as offers
from services.billing.offers.rules import Priced
from services.billing.orders import repository as orders_repository
from services.billing.orders.models import SalesOrder
from services.billing.orders.service import SHOWN_FOR, fresh_code, replace_order, seats_of
from services.billing.plans import repository as plans_repository
from services.billing.plans.repository import Offer
from services.billing.plans.rules import anchor_of, end_of_period
from services.billing.plans.service import PRESS_SUBSCRIPTION, vat_row_of
from services.billing.readers.models import Reader
from services.billing.recognition.service import unearned_net
from services.billing.refunds import repository as refunds_repository
from services.billing.renewals.rules import credit_of
from services.billing.seats import repository as seats_repository
from services.billing.seats.rights import offer_at
from services.billing.subscriptions import repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import RENEWAL, State
from shared.agencies import Agency, get_agency
from shared.clock import Clock, local_date
from shared.database import Database, ReadSession, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id

#: How long a confirmed change waits for its money.
OPEN_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do now. ``at_once``: it takes the place of what is paid for, for ``pay_vnd`` (the price less ``credit_vnd``,
    what is left of that), and begins now, or when that would have; else it begins with the next period, and nothing is paid before.
    ``renews``: by itself; else it is a term, and what does not begin at once is the next one, from ``follows_at`` on. ``seats``: readers that it is for, before
    and after; ``priced``: what the new plan costs this reader, and ``renewal`` what its next period will; ``gives_up``: the offer
    whose rest goes with the old plan."""

    subscription_id: UUID
    before: Offer
    after: Offer
    seats: tuple[int, int]
    renews: bool
    at_once: bool
    credit_vnd: int
    pay_vnd: int
    starts_at: datetime
    ends_at: datetime
    follows_at: datetime
    priced: Priced
    renewal: Priced
    gives_up: Priced | None

    @property
    def before_vnd(self) -> int:
        return self.before.cost_vnd(self.seats[0])

    @property
    def after_vnd(self) -> int:
        return self.after.cost_vnd(self.seats[1])


@dataclass(frozen=True, slots=True)
class Confirmed:
    """``order``: what is to be paid for it, None where it begins with the next period; ``charge_id``: the card's charge for it."""

    order: SalesOrder | None
    charge_id: UUID | None


class Changes:
    """Use cases of a reader who wants another plan."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def preview(
        self, reader: Reader, subscription_id: UUID, price_id: UUID, seats: int | None = None
    ) -> Preview:
        """``seats``: for how many readers, where each seat is paid for (None: as many as now, or the fewest that are sold).

        Raises :class:`NotFoundError`, and :class:`ConflictError` for what is not sold, is the plan already, has fewer seats than are
        taken, or cannot be changed now."""
        async with self._database.read() as session:
            row = await repository.by_id(session, reader.agency, subscription_id)
            if row is None or row.reader_id != reader.id:
                raise NotFoundError
            return await _preview(session, row, price_id, seats, self._clock.now())

    async def confirm(
        self,
        reader: Reader,
        subscription_id: UUID,
        price_id: UUID,
        pay_vnd: int,
        language: str,
        seats: int | None = None,
        *,
        by_card: bool = True,
    ) -> Confirmed:
        """Change as previewed, paid ``by_card`` at once where the subscription has one; the order that waits already where it is the same, or a part of its money has come. Raises as
        :meth:`preview` does, and :class:`ConflictError` (``price-changed``) when it would cost another amount than ``pay_vnd`` by now, or
        is of a term and does not begin at once."""
        async with self._database.transaction() as session:
            await repository.lock_reader(session, reader.id)
            row = await repository.by_id(session, reader.agency, subscription_id)
            if row is None or row.reader_id != reader.id:
                raise NotFoundError
            row = await repository.lock(session, row.id)
            now = self._clock.now()
            found = await _preview(session, row, price_id, seats, now)
            if found.pay_vnd != pay_vnd or not (found.at_once or found.renews):
                raise ConflictError("The amount has changed", slug="price-changed")
            if not found.at_once:
                row.next_price_id, row.next_seats = price_id, found.seats[1]
                await subscriptions.refresh(session, row, now)
                return Confirmed(None, None)
            order = await _waiting(session, row, found, now)
            if order is None:
                order = await _order(session, row, found, language, now)
            elif await orders_repository.received_vnd(session, order.id):
                return Confirmed(order, None)
            charge_id = (
                await charge_mandate(session, order, row.mandate_id, now)
                if by_card and row.mandate_id is not None and not await tired(session, row, now)
                else None
            )
            return Confirmed(order, charge_id)

    async def keep(self, reader: Reader, subscription_id: UUID) -> None:
        """Stay with the plan: a change that was to come with the next period does not. Raises :class:`NotFoundError`."""
        async with self._database.transaction() as session:
            await repository.lock_reader(session, reader.id)
            row = await repository.by_id(session, reader.agency, subscription_id)
            if row is None or row.reader_id != reader.id:
                raise NotFoundError
            row = await repository.lock(session, row.id)
            row.next_price_id = row.next_seats = None
            await subscriptions.refresh(session, row, self._clock.now())


async def _waiting(
    session: Session, row: Subscription, found: Preview, now: datetime
) -> SalesOrder | None:
    """The order that waits for what is wished once more: whoever has its code pays it. One of which a part was paid waits for the rest,
    whatever else is wished; any other one is closed. Raises :class:`ConflictError` while a bank decides."""
    for id_ in await orders_repository.open_changes(session, row.id):
        order = await orders_repository.lock(session, id_)
        if await orders_repository.received_vnd(session, id_):
            return order
        asked = (order.price_id, order.seats, order.amount_vnd, order.credit_vnd, order.offer_id)
        wished = (found.after.price_id, found.seats[1], found.pay_vnd, found.credit_vnd)
        if asked == (*wished, found.priced.offer_id) and now < order.expires_at - SHOWN_FOR:
            return order
        await replace_order(session, order, now)
    return None


async def _order(
    session: Session, row: Subscription, found: Preview, language: str, now: datetime
) -> SalesOrder:
    order = SalesOrder(
        id=new_id(),
        agency=row.agency,
        code=await fresh_code(session),
        reader_id=row.reader_id,
        price_id=found.after.price_id,
        seats=found.seats[1],
        list_vnd=found.after_vnd,
        credit_vnd=found.credit_vnd,
        amount_vnd=found.pay_vnd,
        offer_id=found.priced.offer_id,
        offer_turn=await offers.turn_of(session, row.reader_id, found.priced),
        purpose="change",
        renews=found.renews,
        subscription_id=row.id,
        language=language,
        created_at=now,
        expires_at=await _expires_at(session, row, now),
    )
    session.add(order)
    await session.flush()
    return order


async def _expires_at(session: Session, row: Subscription, now: datetime) -> datetime:
    """Until when a change waits: of what renews no longer than until the next period is collected."""
    facts, until = await subscriptions.facts_of(session, row), now + OPEN_FOR
    if facts.due_at is None or facts.due_at - facts.dunning.ahead <= now:
        return until
    return min(until, facts.due_at - facts.dunning.ahead)


async def _preview(
    session: Session | ReadSession,
    row: Subscription,
    price_id: UUID,
    seats: int | None,
    now: datetime,
) -> Preview:
    after = await plans_repository.offer(session, row.agency, price_id)
    if after is None or after.kind != "period":
        raise NotFoundError
    if not after.current:
        raise ConflictError("This price is no longer sold", slug="price-superseded")
    renews = row.collection == RENEWAL
    # Of a term another plan may be paid for, to follow.
    own = None if renews else await offer_at(session, row, now)
    before = own or await plans_repository.offer(session, row.agency, row.price_id)
    assert before is not None  # a foreign key holds it
    wanted = await _seats(session, row, (before, after), seats)
    if (after.plan_id, after.period, wanted) == (before.plan_id, before.period, row.seats):
        raise ConflictError("This is your plan", slug="same-plan")
    await _check_changeable(session, row, now)
    agency = await get_agency(session, row.agency)
    place = await _place(session, row, agency, now)
    later = max(row.period_end, row.paused_until or row.period_end)
    if not renews and place.followed is not None:
        later = max(later, place.followed)  # the next term follows all that is paid for
    priced = await _price(session, row, after, later, now, wanted)
    stays = await _price(session, row, before, later, now, row.seats)
    at_once = place.free and priced.amount_vnd > place.credit_vnd
    starts_at = place.begins_at if at_once else later
    anchor = starts_at.astimezone(agency.zone).day
    if starts_at == row.period_end:
        anchor = anchor_of(row.anchor_day, starts_at, agency.zone)
    ends_at = end_of_period(starts_at, after.period, agency.zone, anchor)
    return Preview(
        row.id,
        before,
        after,
        (row.seats, wanted),
        renews,
        at_once,
        place.credit_vnd if at_once else 0,
        priced.amount_vnd - place.credit_vnd if at_once else 0,
        starts_at,
        ends_at,
        later,
        priced,
        await _price(session, row, after, ends_at, now, wanted),
        stays if stays.left else None,
    )


async def _check_changeable(
    session: Session | ReadSession, row: Subscription, now: datetime
) -> None:
    """Raises :class:`ConflictError` for what cannot be changed now."""
    if row.cancel_at_period_end or State(row.state) not in (State.ACTIVE, State.TRIALING):
        raise ConflictError("Only what runs can be changed", slug="not-active")
    if await repository.being_collected(session, row.id):
        raise ConflictError("A payment is being collected", slug="payment-processing")
    if await refunds_repository.under_way(session, row.id, now):
        raise ConflictError("Money of this plan is on its way back", slug="refund-under-way")


@dataclass(frozen=True, slots=True)
class _Place:
    """What another plan would take the place of: ``credit_vnd`` is left of it, and when the other one would begin. ``free``: nothing
    keeps it from that. ``followed``: the end of what else its reader has paid, where that follows a period that runs."""

    free: bool
    credit_vnd: int
    begins_at: datetime
    followed: datetime | None


async def _place(
    session: Session | ReadSession, row: Subscription, agency: Agency, now: datetime
) -> _Place:
    """A trial, and days that nothing was paid for, would be lost: they are read to their end. Where something else that is paid for
    follows, another plan that begins now would reach into it."""
    facts = await subscriptions.facts_of(session, row)
    others = await repository.others_until(session, row.reader_id, row.id)
    followed = others if facts.runs_at(now) and others is not None and others > now else None
    current = await repository.current_payments(session, row.id, now)
    left = [await _credit(session, one[0], one[1], agency, now) for one in current]
    paid = all(
        amount_vnd or credit for (_, _, amount_vnd), credit in zip(current, left, strict=True)
    )
    free = State(row.state) is State.ACTIVE and paid and followed is None
    return _Place(free, sum(left), max(now, others or now), followed)


async def _price(
    session: Session | ReadSession,
    row: Subscription,
    sold: Offer,
    due_at: datetime,
    now: datetime,
    seats: int,
) -> Priced:
    """What a period costs this reader: of what renews one that begins at ``due_at``; of a term one that is bought now."""
    if row.collection == RENEWAL:
        return await offers.priced_next(session, row, sold, due_at, now, seats)
    return await offers.priced_sale(session, row.reader_id, sold, now, seats)


async def _seats(
    session: Session | ReadSession,
    row: Subscription,
    offers: tuple[Offer, Offer],
    chosen: int | None,
) -> int:
    """For how many readers the plan is to be. Fewer than read by it now it cannot be for."""
    before, after = offers
    if chosen is None and after.per_seat:
        chosen = max(row.seats if before.per_seat else after.seats, after.seats)
    wanted = seats_of(after, chosen)
    if wanted < 1 + await seats_repository.taken(session, row.id):
        raise ConflictError("More seats than that are taken. End some first.", slug="seats-taken")
    return wanted


async def _credit(
    session: Session | ReadSession,
    payment_id: UUID,
    paid_at: datetime,
    agency: Agency,
    now: datetime,
) -> int:
    """What is left of a period, tax included, in whole đồng."""
    left = await unearned_net(
        session, [payment_id], local_date(now, agency.zone) + timedelta(days=1)
    )
    tax = await vat_row_of(session, PRESS_SUBSCRIPTION, local_date(paid_at, agency.zone))
    return credit_of(left, tax.rate_basis_points)
