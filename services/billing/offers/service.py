"""Offers: made and ended by finance, taken by readers one after the other (``lock_reader``).

Meaning: a period costs the cheapest offer that is for its reader when it is ordered, and then what was ordered; an offer is never paid
more often than it has periods, each time that it is taken (a winback may be taken again). What makes it true: the order keeps the offer and
its turn, what is left is counted from the turn's paid orders when one is paid, and both happen under the reader's lock. A coupon and an offer are never in one order: the table refuses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.billing.offers import repository, rules
from services.billing.offers.models import PriceOffer
from services.billing.offers.rules import Kind, Person, Priced, Terms
from services.billing.orders.models import SalesOrder
from services.billing.plans.repository import Offer
from services.billing.subscriptions.models import Subscription
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database, ReadSession, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id


async def priced_sale(
    session: Session | ReadSession, reader_id: UUID, sold: Offer, now: datetime, seats: int = 1
) -> Priced:
    """What a period that this reader buys now costs, for so many readers where each seat is paid for: no offer is of such a price."""
    known = await repository.person(session, reader_id)
    held = await repository.by_ids(session, known.held)
    return rules.price_for(
        sold.cost_vnd(seats), sold.period, await _offered(session, sold, held, now), known, now
    )


async def _offered(
    session: Session | ReadSession, sold: Offer, held: dict[UUID, Terms], now: datetime
) -> list[Terms]:
    """What is offered of a price, and those of ``held`` that are of it."""
    offered = await repository.open_of(session, [sold.price_id], now)
    own = [one for one in held.values() if one.price_id == sold.price_id]
    return list({one.id: one for one in (*offered, *own)}.values())


async def priced_next(
    session: Session | ReadSession,
    row: Subscription,
    sold: Offer,
    due_at: datetime,
    now: datetime,
    seats: int = 1,
) -> Priced:
    """What the next period of a subscription costs at a price that begins at ``due_at``: its own, or another one; ``seats``: as of
    :func:`priced_sale`."""
    offered = await repository.open_of(session, [sold.price_id], now)
    held = None
    if row.offer_id is not None and row.price_id == sold.price_id:
        held = (await repository.by_ids(session, [row.offer_id]))[row.offer_id], row.offer_left
    if held is None and not offered:
        return Priced(sold.cost_vnd(seats), sold.period)
    known = await repository.person(session, row.reader_id)
    return rules.next_price(sold.cost_vnd(seats), sold.period, held, offered, known, due_at)


async def ordered(session: Session | ReadSession, order: SalesOrder, sold: Offer) -> Priced:
    """What an order costs, in the offer's words: ``left`` counts this period where it is not paid yet."""
    if order.offer_id is None:
        return Priced(order.list_vnd, sold.period)
    terms = (await repository.by_ids(session, [order.offer_id]))[order.offer_id]
    if terms.periods is None:
        return Priced(order.list_vnd, sold.period, terms)
    left = terms.periods - await repository.paid_before(session, order)
    return Priced(order.list_vnd, sold.period, terms, max(left, 1))


async def turn_of(session: Session, reader_id: UUID, priced: Priced) -> int:
    """Which time a reader takes the offer of an order that is made now. Orders of which none is paid are of one turn."""
    if priced.terms is None:
        return 1
    before = await repository.turns(session, reader_id, priced.terms.id)
    return before + 1 if priced.terms.kind is Kind.WINBACK and priced.first else max(before, 1)


async def take(session: Session, order: SalesOrder, row: Subscription) -> None:
    """An order is paid: what its subscription keeps of an offer (the caller holds the reader's lock)."""
    if order.offer_id is None:
        row.offer_id = row.offer_left = None
        return
    terms = (await repository.by_ids(session, [order.offer_id]))[order.offer_id]
    row.offer_id = order.offer_id
    row.offer_left = None
    if terms.periods is not None:
        await session.flush()
        used, _ = await repository.used(session, order)
        row.offer_left = max(terms.periods - used, 0)
        await session.flush()
        await repository.set_left(session, order.reader_id, order.offer_id, row.offer_left)


async def keep(session: Session, order_id: UUID, row: Subscription) -> None:
    """A subscription is in the offer at which its last period that is kept was ordered, as far as there are periods left (the caller
    holds the reader's lock)."""
    order = await session.get(SalesOrder, order_id)
    assert order is not None  # a foreign key holds it
    await take(session, order, row)


async def stands(session: Session, order: SalesOrder, now: datetime) -> bool:
    """Whether money may still pay an order at its offer (the caller holds the reader's lock)."""
    if order.offer_id is None:
        return True
    terms = (await repository.by_ids(session, [order.offer_id]))[order.offer_id]
    used, again = await repository.used(session, order)
    if again:
        return False
    known = await repository.person(session, order.reader_id)
    still_open = order.state == "open" or order.purpose != "sale"
    return rules.stands(terms, known, used=used, still_open=still_open, now=now)


@dataclass(frozen=True, slots=True)
class NewOffer:
    """An offer to be made, as :class:`models.PriceOffer` has it."""

    price_id: UUID
    kind: Kind
    amount_vnd: int
    periods: int | None = None
    valid_until: datetime | None = None
    lapsed_days: int | None = None
    again_days: int | None = None
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WinBack:
    """An offer that a letter's link shows: the price it is of, and what it costs."""

    sold: Offer
    priced: Priced


class Offers:
    """Use cases of finance, and what pages show."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def listing(self, agency: str) -> list[dict[str, Any]]:
        """Every offer, how many readers took it and how many stayed at the price itself."""
        async with self._database.read() as session:
            await get_agency(session, agency)
            return await repository.listing(session, agency)

    async def make(self, agency: str, new: NewOffer) -> UUID:
        """An offer from now on, in the place of the price's offer of the same kind: who is in that one stays in it.

        Raises :class:`NotFoundError` for another agency's price, :class:`ConflictError` for one that is not sold, is paid for each
        seat, or is not higher, ``IntegrityError`` for what the table refuses.
        """
        now, id_ = self._clock.now(), new_id()
        async with self._database.transaction() as session:
            price = await repository.lock_price(session, agency, new.price_id)
            if price is None:
                raise NotFoundError
            if not price[2] or price[0] == "once":
                raise ConflictError(slug="price-superseded")
            if price[3]:
                raise ConflictError(slug="offer-per-seat")
            if new.amount_vnd >= price[1]:
                raise ConflictError(slug="offer-not-lower")
            before = await repository.current(session, new.price_id, new.kind)
            if before is not None:
                before.ended_at = now
                await session.flush()
            session.add(
                PriceOffer(
                    id=id_,
                    agency=agency,
                    price_id=new.price_id,
                    kind=new.kind,
                    amount_vnd=new.amount_vnd,
                    periods=new.periods,
                    valid_from=now,
                    valid_until=new.valid_until,
                    lapsed_days=new.lapsed_days,
                    again_days=new.again_days,
                    domains=list(new.domains),
                    created_at=now,
                )
            )
            await session.flush()
            await audit.record(
                session,
                audit.Action.OFFER_MADE,
                agency=agency,
                at=now,
                subject=f"offer/{id_}",
                label=new.kind,
                before=_told(before) if before else None,
                after={
                    "price": str(new.price_id),
                    "amount_vnd": new.amount_vnd,
                    "periods": new.periods,
                    "valid_until": new.valid_until and new.valid_until.isoformat(),
                },
            )
        return id_

    async def end(self, agency: str, id_: UUID) -> None:
        """Nobody begins it from now on; who is in it stays in it. Raises :class:`NotFoundError`, :class:`ConflictError` where it has
        ended."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            found = await repository.lock(session, agency, id_)
            if found is None:
                raise NotFoundError
            if found.ended_at is not None:
                raise ConflictError(slug="offer-ended")
            found.ended_at = now
            await session.flush()
            await audit.record(
                session,
                audit.Action.OFFER_ENDED,
                agency=agency,
                at=now,
                subject=f"offer/{id_}",
                label=found.kind,
                after={"ended_at": now.isoformat()},
            )

    async def prices(self, sold: Sequence[Offer], reader_id: UUID | None) -> dict[UUID, Priced]:
        """What each price costs this reader now, by its id; without a reader: somebody who may be new."""
        now, periods = self._clock.now(), [one for one in sold if one.kind == "period"]
        async with self._database.read() as session:
            known = await repository.person(session, reader_id) if reader_id else Person()
            held = await repository.by_ids(session, known.held)
            offered = await repository.open_of(session, [one.price_id for one in periods], now)
        whole = {one.id: one for one in (*offered, *held.values())}.values()
        return {
            one.price_id: rules.price_for(
                one.amount_vnd,
                one.period,
                [terms for terms in whole if terms.price_id == one.price_id],
                known,
                now,
            )
            for one in periods
        }

    async def students(self, sold: Sequence[Offer]) -> dict[UUID, Terms]:
        """What students pay of these prices, by the price's id."""
        async with self._database.read() as session:
            offered = await repository.open_of(
                session, [one.price_id for one in sold], self._clock.now()
            )
        return {one.price_id: one for one in offered if one.kind is Kind.STUDENT}

    async def priced(self, reader_id: UUID, sold: Offer, seats: int = 1) -> Priced:
        """What a period costs this reader now."""
        async with self._database.read() as session:
            return await priced_sale(session, reader_id, sold, self._clock.now(), seats)

    async def priced_order(self, order: SalesOrder, sold: Offer) -> Priced:
        """What an order costs, in the offer's words."""
        async with self._database.read() as session:
            return await ordered(session, order, sold)

    async def win_back(
        self, reader_id: UUID, offer_id: UUID, sold: Sequence[Offer]
    ) -> WinBack | None:
        """The offer of a letter's link while it is for this reader; None when it is not any more."""
        now = self._clock.now()
        async with self._database.read() as session:
            terms = (await repository.by_ids(session, [offer_id])).get(offer_id)
            known = await repository.person(session, reader_id)
        of = next((one for one in sold if terms and one.price_id == terms.price_id), None)
        if terms is None or of is None:
            return None
        if not terms.open_at(now) or not rules.is_for(terms, known, now):
            return None
        return WinBack(of, rules.price_for(of.amount_vnd, of.period, [terms], known, now))


async def still_wins_back(session: Session, reader_id: UUID, offer_id: UUID, now: datetime) -> bool:
    """Whether a letter about a winback may still be sent: it is for its reader, who wants to hear of offers."""
    terms = (await repository.by_ids(session, [offer_id])).get(offer_id)
    known = await repository.person(session, reader_id)
    wanted = await repository.consents(session, reader_id)
    return wanted and terms is not None and terms.open_at(now) and rules.is_for(terms, known, now)


def _told(row: PriceOffer) -> dict[str, Any]:
    return {"amount_vnd": row.amount_vnd, "periods": row.periods}
