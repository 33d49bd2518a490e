"""What owners and members do with a group: invite, accept, join by a mail domain, leave, end a seat.

Locks: the owner's and the reader's, in the order of their ids, before any row (``subscriptions.repository.lock_reader``). Two who take
the last seat come one after the other; the second one is told that it is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.networks import rules as network_rules
from services.billing.plans.repository import Offer
from services.billing.readers import repository as readers_repository
from services.billing.readers.models import Reader
from services.billing.seats import repository, rights, rules, taking
from services.billing.seats.models import Seat, SeatDomain, SeatInvitation
from services.billing.seats.repository import Member, OpenGroup, Place
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import LIVE, State
from shared.clock import Clock
from shared.database import Database, ReadSession, Session
from shared.errors import ConflictError, FieldError, InvalidInputError, NotFoundError
from shared.ids import new_id
from shared.mail.address import normalise_email

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Group:
    """A group as its owner sees it. ``waiting``: the mail domain whose code was sent."""

    row: Subscription
    offer: Offer
    members: Sequence[Member]
    invitations: Sequence[SeatInvitation]
    domains: Sequence[SeatDomain]
    waiting: SeatDomain | None

    @property
    def live(self) -> bool:
        return State(self.row.state) in LIVE

    @property
    def taken(self) -> int:
        """The owner's seat among them."""
        return 1 + len(self.members)

    @property
    def free(self) -> int:
        return max(self.row.seats - self.taken, 0)


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation as who follows its link sees it; ``state``: open, accepted, withdrawn, expired, full, over, or other (it was sent
    to another mailbox)."""

    invitation: SeatInvitation
    owner_email: str
    offer: Offer
    state: str


class Seats:
    """Each raises :class:`NotFoundError` for what is somebody else's, and :class:`ConflictError` for what cannot be."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def groups(self, reader: Reader) -> list[Group]:
        """The groups that a reader pays for: those that run, and those whose seats are still taken."""
        now = self._clock.now()
        async with self._database.read() as session:
            rows = await subscriptions_repository.of_reader(session, reader.id)
            found = [await self._group(session, row, now) for row in rows if row.seats > 1]
        return [one for one in found if one.live or one.members]

    async def _group(self, session: ReadSession, row: Subscription, now: datetime) -> Group:
        return Group(
            row,
            await rights.offer_at(session, row, now),
            await repository.members(session, row.id),
            await repository.open_invitations(session, row.id),
            await repository.domains(session, row.id),
            next(iter(await repository.waiting_domains(session, row.id, now)), None),
        )

    async def places(self, reader: Reader) -> list[Place]:
        """The seats that a reader has."""
        async with self._database.read() as session:
            return await repository.places(session, reader.id, self._clock.now())

    async def open_groups(self, reader: Reader, address: str = "") -> list[OpenGroup]:
        """Groups that a reader may join by the domain of their mail address, or by the ``address`` that they come from."""
        came_from = network_rules.address_of(address)
        async with self._database.read() as session:
            return await repository.open_groups(
                session, reader, came_from, sorted(LIVE), self._clock.now()
            )

    async def invite(self, owner: Reader, subscription_id: UUID, email: str) -> SeatInvitation:
        """Offer a seat to a mailbox. One that has an invitation is sent none again; one whose time is over is.

        Raises :class:`InvalidInputError` for what is no address.
        """
        address, now = normalise_email(email), self._clock.now()
        if address is None:
            raise InvalidInputError(
                errors=(FieldError("email", "not an e-mail address", "name@example.vn"),)
            )
        async with self._database.transaction() as session:
            row = await held_group(session, owner, subscription_id)
            members = await repository.active(session, row.id)
            there = await readers_repository.by_email(session, owner.agency, address)
            if address == owner.email or (there and there.id in {one.reader_id for one in members}):
                raise ConflictError(slug="seat-has")
            known = await repository.open_invitations(session, row.id)
            found = next((one for one in known if one.email == address), None)
            if found is not None:
                if found.expires_at <= now:
                    await self._send_again(session, owner, row, found, now)
                return found
            if len(known) >= rules.invitations_at_most(row.seats):
                raise ConflictError(slug="seat-invitations")
            sent = await repository.sent_to(session, row.id, address, now - rules.INVITED_FOR)
            if sent >= rules.SENT_AT_MOST:  # withdrawn and written anew is the same letter again
                raise ConflictError(slug="seat-invited-often")
            await _spare_mailboxes(session, row, now)
            found = SeatInvitation(
                id=new_id(),
                agency=owner.agency,
                subscription_id=row.id,
                email=address,
                created_at=now,
                sent_at=now,
                expires_at=now + rules.INVITED_FOR,
            )
            session.add(found)
            await session.flush()
            await _tell_invited(session, owner, row, found, now)
            return found

    async def invite_again(self, owner: Reader, invitation_id: UUID) -> None:
        """Send an invitation once more; it is good for as long again. One that was sent a moment ago is not."""
        async with self._database.transaction() as session:
            row, found = await self._own_invitation(session, owner, invitation_id)
            if found.accepted_at is not None or found.withdrawn_at is not None:
                raise ConflictError(slug="seat-invitation-over")
            now = self._clock.now()
            if now - found.sent_at >= rules.SENT_AGAIN_AFTER:
                await self._send_again(session, owner, row, found, now)

    async def _send_again(
        self,
        session: Session,
        owner: Reader,
        row: Subscription,
        found: SeatInvitation,
        now: datetime,
    ) -> None:
        if found.times_sent >= rules.SENT_AT_MOST:
            raise ConflictError(slug="seat-invited-often")
        await _spare_mailboxes(session, row, now)
        found.sent_at, found.expires_at = now, now + rules.INVITED_FOR
        found.times_sent += 1
        await session.flush()
        await _tell_invited(session, owner, row, found, now)

    async def withdraw(self, owner: Reader, invitation_id: UUID) -> None:
        """Nobody accepts it any more. Nothing changes of one that was withdrawn; one that was accepted is a seat, and ended there."""
        async with self._database.transaction() as session:
            _, found = await self._own_invitation(session, owner, invitation_id, live=False)
            if found.accepted_at is not None:
                raise ConflictError(slug="seat-invitation-over")
            found.withdrawn_at = found.withdrawn_at or self._clock.now()

    async def _own_invitation(
        self, session: Session, owner: Reader, invitation_id: UUID, *, live: bool = True
    ) -> tuple[Subscription, SeatInvitation]:
        found = await repository.invitation(session, owner.agency, invitation_id)
        if found is None:
            raise NotFoundError
        row = await held_group(session, owner, found.subscription_id, live=live)
        found = await repository.invitation(session, owner.agency, invitation_id)
        assert found is not None  # none is ever removed
        return row, found

    async def invited(self, reader: Reader, invitation_id: UUID) -> Invited:
        """What the link of an invitation shows. It is anybody's who has the link, and nobody's to accept but its mailbox's."""
        now = self._clock.now()
        async with self._database.read() as session:
            found = await repository.invitation(session, reader.agency, invitation_id)
            if found is None:
                raise NotFoundError
            row = await subscriptions_repository.by_id(
                session, reader.agency, found.subscription_id
            )
            assert row is not None  # a foreign key holds it
            owner = await readers_repository.by_id(session, reader.agency, row.reader_id)
            assert owner is not None
            full = row.seats <= 1 + await repository.taken(session, row.id)
            offer = await rights.offer_at(session, row, now)
        state = _state(found, reader, now)
        if state == "open":
            state = "over" if State(row.state) not in LIVE else "full" if full else state
        return Invited(found, owner.email, offer, state)

    async def accept(self, reader: Reader, invitation_id: UUID) -> Seat:
        """Take the seat that was offered to the reader's mailbox. Nothing changes when it is accepted again.

        Raises :class:`ConflictError` with the state of the invitation as its slug: ``seat-other`` for another mailbox's, ``seat-withdrawn``,
        ``seat-expired``, ``seat-full`` when others were faster, ``seat-over`` when the plan has ended.
        """
        async with self._database.transaction() as session:
            known = await repository.invitation(session, reader.agency, invitation_id)
            if known is None:
                raise NotFoundError
            row = await taking.lock_group(session, reader.agency, known.subscription_id, reader.id)
            found = await repository.invitation(session, reader.agency, invitation_id)
            assert row is not None and found is not None  # it was there
            now, reader = self._clock.now(), await taking.as_now(session, reader)
            state = _state(found, reader, now)
            if state == "accepted":
                seat = await repository.newest(session, row.id, reader.id)
                if seat is not None and seat.ended_at is None:
                    return seat
            if state != "open":
                raise ConflictError(slug=f"seat-{state}")
            seat = await taking.take(session, row, reader, now, invitation_id=found.id)
            found.accepted_at = now
            return seat

    async def join(self, reader: Reader, subscription_id: UUID, address: str = "") -> Seat:
        """Take a free seat of a group that verified the domain of the reader's mail address, or else of one that has a network with the
        ``address`` that they come from.

        Raises :class:`ConflictError`: ``seat-full``, ``seat-over``, ``seat-ended`` for who was put out of the group.
        """
        async with self._database.transaction() as session:
            row = await taking.lock_group(session, reader.agency, subscription_id, reader.id)
            if row is None:
                raise NotFoundError
            reader, now = await taking.as_now(session, reader), self._clock.now()
            known = {one.domain for one in await repository.domains(session, row.id)}
            by_domain = rules.domain_of(reader.email) in known
            network = None if by_domain else await taking.network_of(session, row, address)
            may = by_domain or network is not None
            if not may or not (await rights.offer_at(session, row, now)).per_seat:
                raise NotFoundError
            before = await repository.newest(session, row.id, reader.id)
            if before is not None and before.ended_by == rights.OWNER:
                raise ConflictError(slug="seat-ended")
            return await taking.take(session, row, reader, now, network_id=network)

    async def end(self, owner: Reader, seat_id: UUID) -> None:
        """The owner ends a member's seat. Nothing changes of one that has ended."""
        await self._end(owner, seat_id, rights.OWNER)

    async def leave(self, member: Reader, seat_id: UUID) -> None:
        """A member leaves. Nothing changes of a seat that has ended."""
        await self._end(member, seat_id, rights.MEMBER)

    async def _end(self, actor: Reader, seat_id: UUID, by: str) -> None:
        async with self._database.transaction() as session:
            await _end_in(session, actor, seat_id, by, self._clock.now())


async def leave_in(session: Session, member: Reader, seat_id: UUID, now: datetime) -> None:
    """:meth:`Seats.leave` in the caller's transaction, who holds the owner's lock and the member's."""
    await _end_in(session, member, seat_id, rights.MEMBER, now)


async def _end_in(session: Session, actor: Reader, seat_id: UUID, by: str, now: datetime) -> None:
    known = await repository.by_id(session, actor.agency, seat_id)
    if known is None:
        raise NotFoundError
    row = await taking.lock_group(session, actor.agency, known.subscription_id, known.reader_id)
    seat = await repository.by_id(session, actor.agency, seat_id)
    assert row is not None and seat is not None  # they were there
    if actor.id != (row.reader_id if by == rights.OWNER else seat.reader_id):
        raise NotFoundError
    if seat.ended_at is not None:
        return
    await taking.free(session, row, seat, by, now)


def _state(found: SeatInvitation, reader: Reader, now: datetime) -> str:
    if found.email != reader.email:
        return "other"
    if found.accepted_at is not None:
        return "accepted"
    if found.withdrawn_at is not None:
        return "withdrawn"
    return "expired" if found.expires_at <= now else "open"


async def held_group(
    session: Session, owner: Reader, subscription_id: UUID, *, live: bool = True
) -> Subscription:
    """The owner's group, both locked. Raises :class:`NotFoundError` for anybody else's, and what is no group; :class:`ConflictError`
    (``seat-over``) for one whose plan has ended, where it is to be ``live``."""
    await subscriptions_repository.lock_reader(session, owner.id)
    known = await subscriptions_repository.by_id(session, owner.agency, subscription_id)
    if known is None or known.reader_id != owner.id:
        raise NotFoundError
    row = await subscriptions_repository.lock(session, known.id)
    if row.seats <= 1:
        raise NotFoundError
    if live and State(row.state) not in LIVE:
        raise ConflictError(slug="seat-over")
    return row


async def _spare_mailboxes(session: Session, row: Subscription, now: datetime) -> None:
    """Raises :class:`ConflictError` where a group has sent so many letters that strangers' mailboxes are to be spared."""
    if await repository.sent_since(session, row.id, now - DAY) >= rules.letters_a_day(row.seats):
        raise ConflictError(slug="seat-letters")


async def _tell_invited(
    session: Session, owner: Reader, row: Subscription, found: SeatInvitation, now: datetime
) -> None:
    offer = await rights.offer_at(session, row, now)
    sold = letter_rules.Sold(offer.name_vi, offer.name_en, offer.period)
    sent = (found.id, found.times_sent, found.expires_at)
    told = letter_rules.invited(sent, sold, owner.email, found.email)
    await letters.write(session, owner.agency, owner.id, told, now)
