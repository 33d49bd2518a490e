"""A company's or a school's networks: its owner asks for a range, staff approve it, its readers take seats by it.

Nobody can prove a range by themselves, so a person approves it, with what they know it by. Locks: the owner (of a seat also its reader, in
the order of their ids), then rows, then the agency's ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from services.billing import metrics
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.networks import repository, rules, told
from services.billing.networks.models import SeatNetwork
from services.billing.plans.repository import Offer
from services.billing.readers.models import Reader
from services.billing.seats import repository as seats_repository
from services.billing.seats import rights, taking
from services.billing.seats.repository import Member
from services.billing.seats.service import held_group
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import LIVE, State
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database, ReadSession, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id

OWNER, STAFF = "owner", "staff"
DAY = timedelta(days=1)
SHOWN = 30
LISTED = 200
#: Seats that are ended in one round of the clock.
ROUND = 200


@dataclass(frozen=True, slots=True)
class GroupNetworks:
    """A group's networks as its owner sees them."""

    row: Subscription
    offer: Offer
    networks: Sequence[SeatNetwork]
    members: Sequence[Member]

    @property
    def live(self) -> bool:
        return State(self.row.state) in LIVE

    @property
    def by_network(self) -> list[Member]:
        """Whose seats hang on one."""
        return [one for one in self.members if one.seen_at is not None]

    @property
    def taken(self) -> int:
        """The owner's seat among them."""
        return 1 + len(self.members)


@dataclass(frozen=True, slots=True)
class Queue:
    """An agency's ranges as its staff see them."""

    waiting: Sequence[repository.Asked]
    approved: Sequence[repository.Asked]
    ended: Sequence[repository.Asked]


class Networks:
    """Each raises :class:`NotFoundError` for what is somebody else's, and :class:`ConflictError` for what cannot be."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def of_group(self, owner: Reader, subscription_id: UUID) -> GroupNetworks:
        """What the owner's page shows."""
        async with self._database.read() as session:
            row = await subscriptions_repository.by_id(session, owner.agency, subscription_id)
            if row is None or row.reader_id != owner.id or row.seats <= 1:
                raise NotFoundError
            offer = await self._company(session, row)
            return GroupNetworks(
                row,
                offer,
                await repository.shown_of(session, row.id, SHOWN),
                await seats_repository.members(session, row.id),
            )

    async def _company(self, session: Session | ReadSession, row: Subscription) -> Offer:
        """What a group reads by, where that is paid for by the seat: a family has neither mail domains nor networks."""
        offer = await rights.offer_at(session, row, self._clock.now())
        if not offer.per_seat:
            raise NotFoundError
        return offer

    async def ask(
        self, owner: Reader, subscription_id: UUID, typed: str, address: str
    ) -> SeatNetwork:
        """Ask staff for a range; ``address``: where the owner asks from. The same one asked for again is the one that waits.

        Raises :class:`rules.RefusedRangeError` for what is none, :class:`ConflictError`: ``network-known`` (it is the group's already),
        ``network-taken`` (another group has an address of it), ``network-many``, ``network-often``, ``seat-over``.
        """
        wanted = rules.parse(typed[: rules.MOST_TYPED])
        came_from = rules.address_of(address)
        async with self._database.transaction() as session:
            row, now = await held_group(session, owner, subscription_id), self._clock.now()
            await self._company(session, row)
            known = await repository.open_of(session, row.id)
            for one in known:
                if one.range == wanted and one.approved_at is None:
                    return one
                if one.range is not None and _overlap(one.range, wanted):
                    raise ConflictError(slug="network-known")
            if len(known) >= rules.RANGES_AT_MOST:
                raise ConflictError(slug="network-many")
            if await repository.asked_since(session, row.id, now - DAY) >= rules.ASKED_A_DAY:
                raise ConflictError(slug="network-often")
            if await repository.taken_by(session, row.agency, wanted) is not None:
                raise ConflictError(slug="network-taken")
            found = SeatNetwork(
                id=new_id(),
                agency=row.agency,
                subscription_id=row.id,
                first_ip=wanted.first,
                last_ip=wanted.last,
                asked_at=now,
                asked_from=str(came_from) if came_from is not None else None,
                asked_within=came_from is not None and came_from in wanted,
            )
            session.add(found)
            await session.flush()
            return found

    async def end(self, owner: Reader, network_id: UUID) -> None:
        """The owner's group has the range no more, or waits for it no more. Nothing changes of one that has ended."""
        async with self._database.transaction() as session:
            known = await repository.by_id(session, owner.agency, network_id)
            if known is None:
                raise NotFoundError
            row = await held_group(session, owner, known.subscription_id, live=False)
            found = await repository.by_id(session, owner.agency, network_id)
            assert found is not None  # none is ever removed
            if found.ended_at is None:
                told.end(found, OWNER, self._clock.now())
                await self._tell(session, row)

    async def _tell(self, session: Session, row: Subscription) -> None:
        await session.flush()
        now, left = self._clock.now(), await repository.open_of(session, row.id)
        facts = await subscriptions.facts_of(session, row)
        offer = await rights.offer_at(session, row, now)
        await told.tell(session, row, facts, offer, left, now)

    # What staff do.

    async def queue(self, agency: str) -> Queue:
        async with self._database.read() as session:
            await get_agency(session, agency)
            states: tuple[Literal["waiting", "approved", "ended"], ...] = (
                "waiting",
                "approved",
                "ended",
            )
            return Queue(
                *[await repository.listing(session, agency, one, LISTED) for one in states]
            )

    async def approve(self, agency: str, network_id: UUID, evidence: str, by: str) -> None:
        """The range is the group's from now on; ``evidence``: what staff know it by, ``by``: their name.

        Raises :class:`ConflictError`: ``network-over`` (ended, or approved by somebody else), ``network-taken`` (another group has an
        address of it by now).
        """
        async with self._database.transaction() as session:
            row, found = await _locked(session, agency, network_id)
            if found.state != "waiting":
                raise ConflictError(slug="network-over")
            await self._company(session, row)
            asked = found.range
            assert asked is not None  # the row waits
            await repository.lock_agency(session, agency)
            if await repository.taken_by(session, agency, asked, found.id) is not None:
                raise ConflictError(slug="network-taken")
            now = self._clock.now()
            before = {"state": "waiting", "asked_from_within": found.asked_within}
            found.approved_at, found.approved_by, found.evidence = now, by, evidence
            found.asked_from = None
            try:
                await session.flush()
            except IntegrityError as error:  # the table's own guard
                raise ConflictError(slug="network-taken") from error
            await self._tell(session, row)
            await self._record(
                session, row, found, audit.Action.NETWORK_APPROVED, before, evidence, now
            )

    async def refuse(self, agency: str, network_id: UUID, why: str) -> None:
        """The group does not get the range; its owner reads why. Raises :class:`ConflictError` (``network-over``) where it does not wait."""
        await self._end(agency, network_id, why, "waiting", audit.Action.NETWORK_REFUSED)

    async def stop(self, agency: str, network_id: UUID, why: str) -> None:
        """The group has the range no more; its owner reads why. Raises :class:`ConflictError` (``network-over``) where it has not."""
        await self._end(agency, network_id, why, "approved", audit.Action.NETWORK_ENDED)

    async def _end(
        self, agency: str, network_id: UUID, why: str, state: str, action: audit.Action
    ) -> None:
        async with self._database.transaction() as session:
            row, found = await _locked(session, agency, network_id)
            if found.state != state:
                raise ConflictError(slug="network-over")
            now, before = self._clock.now(), {"state": state}
            told.end(found, STAFF, now, why)
            await self._tell(session, row)
            await self._record(session, row, found, action, before, why, now)

    async def _record(
        self,
        session: Session,
        row: Subscription,
        found: SeatNetwork,
        action: audit.Action,
        before: Mapping[str, object],
        why: str,
        now: datetime,
    ) -> None:
        """The entry of the audit trail, and the letter to the owner: of an approval without what staff know it by."""
        state, range_ = found.state, str(found.range)
        await audit.record(
            session,
            action,
            agency=row.agency,
            at=now,
            subject=f"reader/{row.reader_id}",
            label=f"network {range_}",
            before=before,
            after={"range": range_, "state": state, "why": why},
        )
        offer = await rights.offer_at(session, row, now)
        sold = letter_rules.Sold(offer.name_vi, offer.name_en, offer.period)
        said = "" if state == "approved" else why
        draft = letter_rules.network_decided(found.id, row.id, sold, range_, state, said)
        await letters.write(session, row.agency, row.reader_id, draft, now)

    # What readers on the network do.

    async def seen(self, reader: Reader, address: str) -> None:
        """A reader came from this address: what seats of theirs hang on its network are kept for as long again. Written once a day."""
        came_from, now = rules.address_of(address), self._clock.now()
        if came_from is None:
            return
        before, at = now - rules.SEEN_AGAIN_AFTER, str(came_from)
        async with self._database.read() as session:
            found = await repository.seats_seen(session, reader.id, at, before)
        for seat_id, subscription_id in found:
            async with self._database.transaction() as session:
                row = await taking.lock_group(session, reader.agency, subscription_id, reader.id)
                seat = await seats_repository.by_id(session, reader.agency, seat_id)
                if row is None or seat is None or seat.ended_at is not None or not seat.seen_at:
                    continue
                if await repository.covering(session, row.id, at) is not None:
                    seat.seen_at = max(seat.seen_at, self._clock.now())

    async def run_due(self) -> int:
        """End the seats whose readers were not seen on a network of their group for so long; how many."""
        async with self._database.read() as session:
            limit = self._clock.now() - rules.SEEN_FOR
            due = await repository.seats_gone(session, limit, ROUND)
        ended = 0
        for seat_id, agency in due:
            async with self._database.transaction() as session:
                ended += await self._lapse(session, agency, seat_id)
        return ended

    async def _lapse(self, session: Session, agency: str, seat_id: UUID) -> bool:
        known = await seats_repository.by_id(session, agency, seat_id)
        assert known is not None  # none is ever removed
        row = await taking.lock_group(session, agency, known.subscription_id, known.reader_id)
        seat = await seats_repository.by_id(session, agency, seat_id)
        assert row is not None and seat is not None
        now = self._clock.now()
        if seat.ended_at is not None or seat.seen_at is None or rules.gone_at(seat.seen_at) > now:
            return False  # they left, were invited, or came back a moment ago
        await taking.free(session, row, seat, rights.NETWORK, now)
        return True

    async def measure(self) -> None:
        """How many ranges wait, by agency."""
        async with self._database.read() as session:
            for agency, count in await repository.waiting(session):
                metrics.NETWORKS_WAITING.labels(agency).set(count)


def _overlap(one: rules.AddressRange, other: rules.AddressRange) -> bool:
    return one.first in other or other.first in one


async def _locked(
    session: Session, agency: str, network_id: UUID
) -> tuple[Subscription, SeatNetwork]:
    """A range of an agency, its group's owner locked."""
    known = await repository.by_id(session, agency, network_id)
    if known is None:
        raise NotFoundError
    group = await subscriptions_repository.by_id(session, agency, known.subscription_id)
    assert group is not None  # a foreign key holds it
    await subscriptions_repository.lock_reader(session, group.reader_id)
    row = await subscriptions_repository.lock(session, group.id)
    found = await repository.by_id(session, agency, network_id)
    assert found is not None  # none is ever removed
    return row, found
