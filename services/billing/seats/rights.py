"""What readers of a group may read: written down, and told, whenever the facts of the owner's subscription change.

Meaning: a member reads when the owner does, from joining to leaving, in periods that are paid for their seat too; never more seats are
taken than are paid for. What makes it true: a seat's rows change under its owner's lock only (``subscriptions.repository.lock_reader``),
and everything that changes a fact of the owner's subscription ends in ``subscriptions.service.refresh``, which comes here; the
database refuses a seat beyond those of the subscription's row.
"""

from __future__ import annotations

from datetime import datetime

from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.networks import told as networks
from services.billing.plans import repository as plans_repository
from services.billing.plans.repository import Offer
from services.billing.seats import repository
from services.billing.seats.models import Seat
from services.billing.seats.rules import held
from services.billing.subscriptions import announce
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import Facts, stretches
from shared.database import ReadSession, Session

OWNER, MEMBER, PLAN, NETWORK = "owner", "member", "plan", "network"


async def follow(
    session: Session,
    row: Subscription,
    facts: Facts,
    offer: Offer,
    paid_for: int,
    now: datetime,
    *,
    over: bool,
) -> None:
    """Members read as the owner does. Seats beyond those that are ``paid_for`` end, the newest ones; ``over``: the plan has just
    ended, of which members are told."""
    if paid_for > row.seats:
        row.seats = paid_for
        await session.flush()
    for seat in await repository.active(session, row.id):
        if seat.number > paid_for:
            await end(session, row, facts, offer, seat, PLAN, now)
            continue
        await tell(session, row, facts, offer, seat, now)
        if over:
            sold = await _sold(session, row, seat, now)
            ended = letter_rules.group_ended(seat.id, row.id, sold, facts.paid_until or now)
            await letters.write(session, row.agency, seat.reader_id, ended, now)
    await session.flush()
    row.seats = paid_for
    await networks.follow(session, row, facts, offer, now)


async def end(
    session: Session,
    row: Subscription,
    facts: Facts,
    offer: Offer,
    seat: Seat,
    by: str,
    now: datetime,
) -> None:
    """A seat is free again, and who had it reads by it no more."""
    seat.ended_at, seat.ended_by = max(now, seat.joined_at), by
    await session.flush()
    await tell(session, row, facts, offer, seat, now)
    if by != MEMBER:
        sold = await _sold(session, row, seat, now)
        told = letter_rules.seat_ended(seat.id, sold, by)
        await letters.write(session, row.agency, seat.reader_id, told, now)


async def move_up(session: Session, row: Subscription) -> None:
    """The seats behind one that ended have the numbers before theirs."""
    for number, seat in enumerate(await repository.active(session, row.id), start=2):
        if seat.number != number:
            seat.number = number
            await session.flush()


async def tell(
    session: Session, row: Subscription, facts: Facts, offer: Offer, seat: Seat, now: datetime
) -> None:
    """Tell every stretch of a seat's right that is not as it was last told."""
    source = announce.Source(
        row.agency,
        seat.reader_id,
        offer.plan_code,
        offer.scope,
        "seat ended" if seat.ended_at is not None else announce.reason(facts),
        seat_id=seat.id,
    )
    wanted = held(stretches(facts, seat.number), seat.joined_at, seat.ended_at)
    await announce.tell(
        session, source, await repository.entitlements(session, seat.id), wanted, now
    )


async def offer_at(
    session: Session | ReadSession, row: Subscription, now: datetime, seats: int = 1
) -> Offer:
    """What a group reads by now, or (``seats``) read by when it was for so many: another plan may be paid for, to follow."""
    price = await repository.price_at(session, row.id, seats, now)
    offer = await plans_repository.offer(session, row.agency, price or row.price_id)
    assert offer is not None  # a foreign key holds it
    return offer


async def _sold(
    session: Session, row: Subscription, seat: Seat, now: datetime
) -> letter_rules.Sold:
    offer = await offer_at(session, row, now, seat.number)
    return letter_rules.Sold(offer.name_vi, offer.name_en, offer.period)
