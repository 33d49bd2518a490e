"""The clock of subscriptions: the order of the next period, tries to collect it, and the end of what nobody paid.

Nothing here talks to a provider: a try is a row that the worker's charging slots take (``charges.service``).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from services.billing.charges import repository as charges_repository
from services.billing.charges.apply import charge_mandate, count_refused, tell_failed
from services.billing.charges.debts import close_debt
from services.billing.offers import service as offers
from services.billing.orders import repository as orders_repository
from services.billing.orders.models import SalesOrder
from services.billing.orders.service import fresh_code, replace_order
from services.billing.plans import repository as plans_repository
from services.billing.readers import repository as readers_repository
from services.billing.subscriptions import repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import Facts, Step, next_step
from shared.clock import Clock
from shared.database import Database, Session
from shared.faults import fault_point
from shared.ids import new_id

log = structlog.get_logger(__name__)

REVIEWS_A_ROUND = 200
#: A subscription whose review failed is looked at again after this long; the others do not wait for it.
AGAIN_AFTER = timedelta(minutes=1)


class Renewals:
    """Use cases of the clock."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_due(self) -> int:
        """Everything whose date has come, each in a transaction of its own. Returns how many."""
        total = 0
        while True:
            async with self._database.read() as reading:
                due = await repository.due_for_review(reading, self._clock.now(), REVIEWS_A_ROUND)
            moved = [await self._review(reader_id, id_) for reader_id, id_ in due]
            total += len(due)
            if len(due) < REVIEWS_A_ROUND or not any(moved):
                return total

    async def _review(self, reader_id: UUID, id_: UUID) -> bool:
        """Whether it is not due any more."""
        try:
            async with self._database.transaction() as session:
                await repository.lock_reader(session, reader_id)
                row = await repository.lock(session, id_)
                now = self._clock.now()
                if row.review_at is None or row.review_at > now:
                    return True  # another process was faster
                await review(session, row, now)
                await fault_point("renewal.before_commit")
            return True
        except Exception:  # whatever it is: nobody else's renewal is to wait for it
            log.exception("review_failed", subscription=str(id_))
        return await self._put_off(reader_id, id_)

    async def _put_off(self, reader_id: UUID, id_: UUID) -> bool:
        try:
            async with self._database.transaction() as session:
                await repository.lock_reader(session, reader_id)
                row = await repository.lock(session, id_)
                row.review_at = self._clock.now() + AGAIN_AFTER
            return True
        except Exception:  # somebody holds this reader: the next round comes back to it
            log.exception("review_not_put_off", subscription=str(id_))
            return False


async def review(session: Session, row: Subscription, now: datetime) -> None:
    """What is due of a subscription (the caller holds its reader's lock and the row's)."""
    at, facts = row.review_at, await subscriptions.facts_of(session, row)
    step = next_step(facts, now)
    if step is Step.CLOSE:
        await close_debt(session, row, now)
    elif step is Step.RENEW:
        if not await _changes_are_over(session, row, now):
            await subscriptions.refresh(session, row, now, at=at)
            row.review_at = now + AGAIN_AFTER
            return
        order = await _order(session, row, facts, now)
        await _collect(session, row, order, now)
    elif step is Step.RETRY:
        owed = await repository.owed(session, row.id)
        assert owed is not None  # the rule says so
        order = await orders_repository.lock(session, owed[0])
        await _collect(session, row, order, now)
    await subscriptions.refresh(session, row, now, at=at)


async def _changes_are_over(session: Session, row: Subscription, now: datetime) -> bool:
    """What was offered for the rest of the period is closed when the next one is collected; False while it may be paid already."""
    for id_ in await orders_repository.open_changes(session, row.id):
        if await charges_repository.collecting(session, id_):
            return False
        await replace_order(session, await orders_repository.lock(session, id_), now)
    return True


async def _collect(session: Session, row: Subscription, order: SalesOrder, now: datetime) -> None:
    """A try: from the card, or where there is none by asking the reader."""
    if row.mandate_id is not None:
        await charge_mandate(session, order, row.mandate_id, now)
        return
    await count_refused(session, order, now)
    await tell_failed(session, row, order, needs_holder=True, now=now)


async def _order(session: Session, row: Subscription, facts: Facts, now: datetime) -> SalesOrder:
    """The order of the next period, at the price that the reader has agreed to, or at an offer of it."""
    price_id, seats = row.next_price_id or row.price_id, row.next_seats or row.seats
    offer = await plans_repository.offer(session, row.agency, price_id)
    assert offer is not None and facts.due_at is not None  # a foreign key holds it; it is due
    priced = await offers.priced_next(session, row, offer, facts.due_at, now, seats)
    order = SalesOrder(
        id=new_id(),
        agency=row.agency,
        code=await fresh_code(session),
        reader_id=row.reader_id,
        price_id=price_id,
        seats=seats,
        list_vnd=priced.full_vnd,
        amount_vnd=priced.amount_vnd,
        offer_id=priced.offer_id,
        offer_turn=await offers.turn_of(session, row.reader_id, priced),
        purpose="renewal",
        renews=True,
        subscription_id=row.id,
        starts_at=facts.due_at,
        language=await readers_repository.language_of(session, row.reader_id),
        created_at=now,
        expires_at=facts.lapses_at or now,
    )
    session.add(order)
    await session.flush()
    return order
