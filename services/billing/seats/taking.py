"""How a seat is taken, and freed again: under the owner's lock and the reader's, in the order of their ids."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.billing.networks import repository as networks
from services.billing.networks.rules import address_of
from services.billing.plans import repository as plans_repository
from services.billing.readers import repository as readers_repository
from services.billing.readers.models import Reader
from services.billing.seats import repository, rights
from services.billing.seats.models import Seat
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import LIVE, State
from shared.database import Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id


async def lock_group(
    session: Session, agency: str, subscription_id: UUID, reader_id: UUID
) -> Subscription | None:
    """A group's owner and a reader, locked in the order of their ids, and its subscription."""
    known = await subscriptions_repository.by_id(session, agency, subscription_id)
    if known is None:
        return None
    for one in sorted({known.reader_id, reader_id}):
        await subscriptions_repository.lock_reader(session, one)
    return await subscriptions_repository.lock(session, subscription_id)


async def as_now(session: Session, reader: Reader) -> Reader:
    """A reader (locked by the caller) with the address they have now, which may have changed since they asked."""
    found = await readers_repository.by_id(session, reader.agency, reader.id)
    if found is None:
        raise NotFoundError
    return found


async def network_of(session: Session, row: Subscription, address: str) -> UUID | None:
    """The approved network of a group that has this address of a visitor."""
    found = address_of(address)
    return None if found is None else await networks.covering(session, row.id, str(found))


async def take(
    session: Session,
    row: Subscription,
    reader: Reader,
    now: datetime,
    *,
    invitation_id: UUID | None = None,
    network_id: UUID | None = None,
) -> Seat:
    """A seat (the caller holds the owner's and the reader's lock). Who has one has that; it hangs on the network that it was taken from no
    more where they are invited, or have an address of the group's mail domain by now."""
    if State(row.state) not in LIVE:
        raise ConflictError(slug="seat-over")
    if reader.id == row.reader_id:
        raise ConflictError(slug="seat-own")
    members = await repository.active(session, row.id)
    known = next((one for one in members if one.reader_id == reader.id), None)
    if known is not None:
        if network_id is None:
            known.network_id = known.seen_at = None
            known.invitation_id = known.invitation_id or invitation_id
            await session.flush()
        return known
    agreed = (row.seats, row.next_seats, await repository.ordered_seats(session, row.id))
    number = len(members) + 2
    if number > min(one for one in agreed if one is not None):
        raise ConflictError(slug="seat-full")
    seat = Seat(
        id=new_id(),
        agency=row.agency,
        subscription_id=row.id,
        reader_id=reader.id,
        number=number,
        joined_at=now,
        invitation_id=invitation_id,
        network_id=network_id,
        seen_at=now if network_id is not None else None,
    )
    session.add(seat)
    await session.flush()
    await subscriptions.refresh(session, row, now)
    return seat


async def free(session: Session, row: Subscription, seat: Seat, by: str, now: datetime) -> None:
    """A seat ends, and those behind it move up (the caller holds the owner's and the reader's lock)."""
    facts = await subscriptions.facts_of(session, row)
    offer = await plans_repository.offer(session, row.agency, row.price_id)
    assert offer is not None  # a foreign key holds it
    await rights.end(session, row, facts, offer, seat, by, now)
    await rights.move_up(session, row)
    await subscriptions.refresh(session, row, now)
