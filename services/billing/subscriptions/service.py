"""Subscriptions: state, right to read and recurring revenue follow from facts; who changes a fact calls :func:`refresh`.

Meaning: what is paid for is readable, once; what is not paid for within the grace is not, and nothing of it is collected any more.
What makes it true: everything about one reader happens one after the other (:func:`repository.lock_reader`), money is booked
whatever the state, and the state is derived anew afterwards. Locks: the reader, then rows, then the agency's books.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from services.billing.offers import service as offers
from services.billing.plans import service as plans
from services.billing.plans.repository import Offer
from services.billing.plans.rules import anchor_of, end_of_period, monthly
from services.billing.readers.models import Reader
from services.billing.seats import rights as seats
from services.billing.subscriptions import announce, repository, rules
from services.billing.subscriptions.models import Subscription
from shared.agencies import Agency, get_agency
from shared.clock import Clock, local_date
from shared.contracts.envelope import Event, Payload
from shared.database import Database, ReadSession, Session
from shared.errors import NotFoundError
from shared.ids import new_id
from shared.metrics.record import mrr_event
from shared.money import Money
from shared.outbox import record

log = structlog.get_logger(__name__)


async def facts_of(session: Session | ReadSession, row: Subscription) -> rules.Facts:
    """What is known of a subscription now."""
    return await _facts(session, row, await repository.periods(session, row.id))


async def _facts(
    session: Session | ReadSession, row: Subscription, periods: Sequence[repository.Period]
) -> rules.Facts:
    owed = await repository.owed(session, row.id) if row.collection == rules.RENEWAL else None
    return rules.Facts(
        row.collection,
        tuple(one.paid for one in periods if not one.returned),
        await repository.dunning(session, row.agency),
        cancels=row.cancel_at_period_end,
        owed=rules.Owed(owed[1], owed[2]) if owed else None,
        paused_until=row.paused_until,
        grace_spent=row.grace_spent,
        # Who wishes to go on after all has it as if nothing had been given back.
        refunded=row.cancel_at_period_end == (row.collection == rules.RENEWAL)
        and rules.newest_returned([(one.starts_at, one.ends_at, one.returned) for one in periods]),
    )


async def refresh(
    session: Session, row: Subscription, now: datetime, *, at: datetime | None = None
) -> rules.Facts:
    """Derive state, right to read and MRR anew, and tell what changed (the caller holds the reader's lock).

    ``at``: when it happened, where that was before now; a movement of MRR belongs to its day.
    """
    await session.flush()
    periods = await repository.periods(session, row.id)
    facts = await _facts(session, row, periods)
    before, after = rules.State(row.state), rules.derive_state(facts, now)
    if not rules.may_become(before, after):
        # Money is booked whatever happens: the invariants show it, nothing is rolled back for it.
        log.error("subscription_forbidden_transition", id=str(row.id), before=before, after=after)
    row.version += 1
    row.updated_at = now
    due = rules.next_step(facts, now) is not rules.Step.NONE
    row.review_at = now if due else rules.review_at(facts, now)
    if before != after:
        row.state = after
        await repository.add_transition(session, row.id, before, after, now)
    offer = await plans.offer(session, row.agency, row.price_id)
    assert offer is not None  # a foreign key holds it
    await announce.rights(session, row, facts, offer, now)
    paid_for = rules.seats_at(
        [(one.starts_at, one.ends_at, one.seats, one.returned) for one in periods], now
    )
    if max(row.seats, paid_for) > 1:
        over = before in rules.LIVE and after not in rules.LIVE
        await seats.follow(session, row, facts, offer, paid_for, now, over=over)
    await _move_mrr(session, row, facts, offer, now, at or now)
    await session.flush()
    return facts


async def _move_mrr(
    session: Session,
    row: Subscription,
    facts: rules.Facts,
    offer: Offer,
    now: datetime,
    at: datetime,
) -> None:
    agency = await get_agency(session, row.agency)
    day = local_date(at, agency.zone)
    wanted = 0
    if rules.recurs(rules.State(row.state), facts, now):
        net = row.value_vnd - await plans.vat_in(session, row.value_vnd, day)
        wanted = monthly(net, offer.period)
    returning = row.mrr_vnd == 0 and await repository.paid_before(session, row.reader_id)
    movement = rules.mrr_movement(row.mrr_vnd, wanted, returning=returning)
    if movement is None:
        return
    change = wanted - row.mrr_vnd
    row.mrr_vnd = wanted
    await repository.add_movement(
        session,
        {
            "id": row.id,
            "version": row.version,
            "movement": movement,
            "amount": change,
            "day": day,
        },
    )
    await record(session, mrr_told(row.agency, row.id, row.version, movement, change, day, now))


def mrr_told(
    agency: str,
    id_: UUID,
    version: int,
    movement: rules.Movement,
    change_vnd: int,
    day: date,
    now: datetime,
) -> Event[Payload]:
    """What the metrics layer hears of a movement of a subscription's MRR."""
    return mrr_event(
        agency=agency,
        source_reference=f"billing:mrr:{id_}:{version}",
        segment="online",
        stream="subscription",
        movement=movement,
        amount=Money(change_vnd),
        occurred_on=day,
        now=now,
    )


async def begin(
    session: Session,
    *,
    agency: Agency,
    reader_id: UUID,
    offer: Offer,
    collection: str,
    mandate_id: UUID | None,
    now: datetime,
) -> Subscription:
    """A new subscription that nothing is paid for yet."""
    row = Subscription(
        id=new_id(),
        agency=agency.id,
        reader_id=reader_id,
        price_id=offer.price_id,
        collection=collection,
        mandate_id=mandate_id,
        grace_spent=await repository.grace_spent(session, reader_id, rules.ON_ITS_WAY),
        anchor_day=1,
        state=rules.State.INCOMPLETE,
        period_start=now,
        period_end=now + timedelta(days=1),
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    await repository.add_transition(session, row.id, None, row.state, now)
    return row


async def term_for(
    session: Session, agency: Agency, reader_id: UUID, offer: Offer, now: datetime
) -> Subscription:
    """The reader's term, locked; a new one, which nothing is paid for yet, where there is none."""
    return await repository.term_of_reader(session, reader_id) or await begin(
        session,
        agency=agency,
        reader_id=reader_id,
        offer=offer,
        collection=rules.TERM,
        mandate_id=None,
        now=now,
    )


async def next_period(
    session: Session,
    row: Subscription,
    offer: Offer,
    agency: Agency,
    at: datetime,
    planned: tuple[datetime, datetime] | None,
    *,
    in_place: bool = False,
) -> None:
    """Write the period that money which came at ``at`` pays for into the subscription (see :func:`rules.next_start`); ``in_place`` of
    what was cut for it: it begins at once, or after what else the reader has paid."""
    facts = await facts_of(session, row)
    others = await repository.others_until(session, row.reader_id, row.id)
    start = max(at, others or at) if in_place else rules.next_start(facts, at, others, planned)
    row.anchor_day = (
        anchor_of(row.anchor_day, start, agency.zone)
        if start == facts.paid_until
        else start.astimezone(agency.zone).day
    )
    if row.price_id != offer.price_id:
        row.offer_id = row.offer_left = None  # an offer is of one price
    row.price_id, row.next_price_id, row.next_seats = offer.price_id, None, None
    row.period_start = start
    row.period_end = end_of_period(start, offer.period, agency.zone, row.anchor_day)
    if row.paused_until is not None and row.paused_until <= start:
        row.paused_until = None


async def give_back_period(
    session: Session, subscription_id: UUID, ended: datetime, now: datetime
) -> None:
    """A period that was to last until ``ended`` went back whole (the caller holds the reader's lock): what is paid for ends with the
    last one that is kept."""
    row = await repository.lock(session, subscription_id)
    kept = [one for one in await repository.periods(session, row.id) if not one.returned]
    if row.collection == rules.RENEWAL and all(one.ends_at <= ended for one in kept):
        # Who took the money of the newest period back is not charged for another.
        row.canceled_by_refund = row.canceled_by_refund or not row.cancel_at_period_end
        row.cancel_at_period_end = True
    await follow_kept(session, row, now)


async def take_period_again(session: Session, subscription_id: UUID, now: datetime) -> None:
    """The money of a period that had gone back whole is with us after all (the caller holds the reader's lock): it is read again, and
    renews as before where nobody but the refund had ended that."""
    row = await repository.lock(session, subscription_id)
    if row.canceled_by_refund and not await _newest_returned(session, row):
        row.cancel_at_period_end = row.canceled_by_refund = False
    await follow_kept(session, row, now)


async def _newest_returned(session: Session, row: Subscription) -> bool:
    periods = await repository.periods(session, row.id)
    return rules.newest_returned([(one.starts_at, one.ends_at, one.returned) for one in periods])


async def follow_kept(session: Session, row: Subscription, now: datetime) -> None:
    """The subscription's period, price, offer and anchor are those of the last period that is kept."""
    kept = await repository.last_kept(session, row.id)
    agreed, seats = (row.next_price_id or row.price_id, row.next_seats or row.seats), 0
    if kept is not None:
        if row.price_id != kept[0]:
            row.offer_id = row.offer_left = None  # an offer is of one price
        row.price_id, row.period_start, row.period_end, row.value_vnd, seats, order_id = kept
        if row.offer_id is None:
            await offers.keep(session, order_id, row)
        agency = await get_agency(session, row.agency)
        row.anchor_day = max(at.astimezone(agency.zone).day for at in kept[1:3])
        row.next_price_id = row.next_seats = None
    await refresh(session, row, now)
    renews = kept is not None and row.collection == rules.RENEWAL
    if renews and not agreed == (row.price_id, seats) == (row.price_id, row.seats):
        # Who goes on after all pays what was agreed to last; the row is for as many as its newest period, also one that was given back.
        row.next_price_id, row.next_seats = agreed
        await session.flush()


class Subscriptions:
    """What readers and staff ask about subscriptions."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def of_reader(self, reader_id: UUID) -> Sequence[Subscription]:
        async with self._database.read() as session:
            return await repository.of_reader(session, reader_id)

    async def own(self, reader: Reader, id_: UUID) -> Subscription:
        """One of this reader's. Raises :class:`NotFoundError` for anybody else's."""
        async with self._database.read() as session:
            row = await repository.by_id(session, reader.agency, id_)
        if row is None or row.reader_id != reader.id:
            raise NotFoundError
        return row

    async def facts(self, row: Subscription) -> rules.Facts:
        """What is known of a subscription now."""
        async with self._database.read() as session:
            return await facts_of(session, row)

    async def live_of_reader(self, reader_id: UUID) -> Subscription | None:
        """The subscription that makes a second one a mistake, if there is one."""
        async with self._database.read() as session:
            return await live(session, reader_id)

    async def term_until(self, reader_id: UUID) -> datetime | None:
        """Until when the reader has paid for what does not renew; None when there is none."""
        ends = [
            row.period_end
            for row in await self.of_reader(reader_id)
            if rules.State(row.state) in rules.LIVE
            and not rules.renews(row.state, row.collection, cancels=row.cancel_at_period_end)
        ]
        return max(ends, default=None)

    async def term(self, reader: Reader, id_: UUID) -> Subscription:
        """A term of this reader's. Raises :class:`NotFoundError` for anything else."""
        row = await self.own(reader, id_)
        if row.collection != rules.TERM:
            raise NotFoundError
        return row

    async def rights(self, reader_id: UUID) -> list[tuple[str, datetime]]:
        """(scope, until) of what a reader may read now."""
        async with self._database.read() as session:
            return await repository.valid_entitlements(session, reader_id, self._clock.now())

    async def list_for_staff(
        self, agency: str, *, state: str | None, limit: int, offset: int
    ) -> list[dict[str, Any]]:
        async with self._database.read() as session:
            await get_agency(session, agency)
            return await repository.list_for_staff(
                session, agency, state=state, limit=limit, offset=offset
            )


async def live(
    session: Session | ReadSession, reader_id: UUID, *, besides: UUID | None = None
) -> Subscription | None:
    """The reader's subscription that goes on collecting by itself: a second one (or ``besides``) would be paid twice."""
    return next(
        (
            row
            for row in await repository.of_reader(session, reader_id)
            if row.id != besides
            and rules.renews(row.state, row.collection, cancels=row.cancel_at_period_end)
        ),
        None,
    )
