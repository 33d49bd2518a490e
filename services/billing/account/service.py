"""What a reader's subscriptions are to them: the plan, how long they read, what comes next, what is owed and by which card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from services.billing.charges import repository as charges_repository
from services.billing.offers import service as offers
from services.billing.offers.rules import Priced
from services.billing.orders import repository as orders_repository
from services.billing.orders.models import SalesOrder
from services.billing.plans import repository as plans_repository
from services.billing.plans.repository import Offer
from services.billing.readers import repository as readers_repository
from services.billing.readers.models import Reader
from services.billing.renewals.wishes import PAUSE_AT_MOST
from services.billing.subscriptions import repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Mandate, Subscription
from services.billing.subscriptions.rules import LIVE, RENEWAL, TERM, Facts, State
from shared.clock import Clock, local_date
from shared.database import Database, ReadSession
from shared.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class OwnSubscription:
    """One subscription as its reader sees it. ``next``: what is collected the next time, and ``priced`` what it costs; ``owed``: the order of the next period
    while it is being collected; ``change``: another plan that was confirmed and waits for its money; ``charging``: the outcome of a
    charge is not known yet."""

    row: Subscription
    offer: Offer
    next: Offer
    priced: Priced
    facts: Facts
    card: Mandate | None
    owed: SalesOrder | None
    change: SalesOrder | None
    charging: bool
    begins_at: datetime | None
    #: Until when one reads if nothing is paid any more; None while nothing is read.
    reads_until: datetime | None

    @property
    def price_vnd(self) -> int:
        """What the running period costs, for all its seats."""
        return self.offer.cost_vnd(self.row.seats)

    @property
    def state(self) -> State:
        return State(self.row.state)

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def renews(self) -> bool:
        """Whether it goes on by itself."""
        return self.live and self.row.collection == RENEWAL and self.facts.goes_on

    @property
    def rises(self) -> bool:
        """Whether the next period costs more than the offer's price that is paid now."""
        at_offer = self.row.offer_id is not None and self.row.next_price_id is None
        return at_offer and self.renews and self.priced.amount_vnd > self.row.value_vnd > 0

    @property
    def in_debt(self) -> bool:
        """Whether a try to collect the next period was refused."""
        return self.owed is not None and self.owed.tries > 0 and not self.charging

    @property
    def changeable(self) -> bool:
        """Whether another plan may be chosen now: of what renews, and of a term."""
        runs = self.state in (State.ACTIVE, State.TRIALING)
        goes = self.renews or self.row.collection == TERM
        return goes and runs and self.owed is None and not self.charging

    @property
    def may_pause(self) -> bool:
        runs = self.state is State.ACTIVE and self.row.paused_until is None
        return self.renews and runs and self.owed is None

    def pause_days(self, zone: ZoneInfo) -> tuple[date, date]:
        """The first and the last day on which a pause may end."""
        end = self.row.period_end
        return (
            local_date(end, zone) + timedelta(days=1),
            local_date(end + PAUSE_AT_MOST, zone),
        )


def others(own: OwnSubscription, sold: Sequence[Offer]) -> list[Offer]:
    """What a subscription may be changed to. Of what is paid for by the seat also the plan itself: the number may change."""
    return [
        offer
        for offer in sold
        if offer.kind == "period"
        and (
            offer.per_seat
            or (
                offer.price_id != own.next.price_id
                and (offer.plan_id, offer.period) != (own.offer.plan_id, own.offer.period)
            )
        )
    ]


class Accounts:
    """Reads the subscriptions of a reader."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def of_reader(self, reader_id: UUID) -> list[OwnSubscription]:
        """The newest first."""
        async with self._database.read() as session:
            rows = await repository.of_reader(session, reader_id)
            return [await self._own(session, row) for row in rows]

    async def one(self, agency: str, reader_id: UUID, id_: UUID) -> OwnSubscription:
        """Raises :class:`NotFoundError` for anybody else's."""
        async with self._database.read() as session:
            row = await repository.by_id(session, agency, id_)
            if row is None or row.reader_id != reader_id:
                raise NotFoundError
            return await self._own(session, row)

    async def reader(self, agency: str, reader_id: UUID) -> Reader:
        """Who a link of ours names. Raises :class:`NotFoundError` for who is no reader any more, or was erased."""
        async with self._database.read() as session:
            found = await readers_repository.by_id(session, agency, reader_id)
        if found is None or found.erased_at is not None:
            raise NotFoundError
        return found

    async def order(self, agency: str, reader_id: UUID, code: str) -> SalesOrder:
        """Raises :class:`NotFoundError` for anybody else's."""
        async with self._database.read() as session:
            found = await orders_repository.by_code(session, agency, code)
        if found is None or found.reader_id != reader_id:
            raise NotFoundError
        return found

    async def is_new(self, reader_id: UUID) -> bool:
        """Whether a trial is for them: they have never had a subscription."""
        async with self._database.read() as session:
            return not await repository.subscribed_before(session, reader_id)

    async def charging(self, order_id: UUID) -> UUID | None:
        """The charge of a card for an order of which the provider has not been asked yet, or has not answered."""
        async with self._database.read() as session:
            return await charges_repository.mandate_charge_of(session, order_id)

    async def page_state(self, charge_id: UUID, reader_id: UUID) -> str:
        """The state of a page that this reader comes back from; empty where it is not theirs."""
        async with self._database.read() as session:
            charge = await charges_repository.by_id(session, charge_id)
        return charge.state if charge is not None and charge.reader_id == reader_id else ""

    async def _own(self, session: ReadSession, row: Subscription) -> OwnSubscription:
        offer = await plans_repository.offer(session, row.agency, row.price_id)
        assert offer is not None  # a foreign key holds it
        following = offer
        if row.next_price_id is not None:
            following = (
                await plans_repository.offer(session, row.agency, row.next_price_id) or offer
            )
        owed = await repository.owed(session, row.id)
        changes = await orders_repository.open_changes(session, row.id)
        now = self._clock.now()
        facts = await subscriptions.facts_of(session, row)
        seats = row.next_seats or row.seats
        if row.collection == RENEWAL:
            due_at = facts.due_at or row.period_end
            priced = await offers.priced_next(session, row, following, due_at, now, seats)
        else:
            priced = await offers.priced_sale(session, row.reader_id, following, now, seats)
        order = await orders_repository.by_id(session, owed[0]) if owed else None
        change = await orders_repository.by_id(session, changes[0]) if changes else None
        if change is not None and change.expires_at <= now:
            change = None
        charging = owed is not None and owed[2]
        if change is not None:
            charging = charging or await charges_repository.collecting(session, change.id)
        until = facts.readable_until if State(row.state) is not State.PAUSED else None
        return OwnSubscription(
            row,
            offer,
            following,
            priced,
            facts,
            await repository.mandate(session, row.mandate_id) if row.mandate_id else None,
            order,
            change,
            charging,
            facts.begins_at(now),
            until if until is not None and until > now else None,
        )
