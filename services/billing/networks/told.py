"""What the paywall is told of a group's networks: whenever the ranges, or what their owner may read, change.

Meaning: who comes from an approved range may read while, and what, the group's owner does. What makes it true: ranges change under the
owner's lock only, and everything that changes a fact of the owner's subscription ends in ``seats.rights.follow``, which comes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.billing.networks import repository
from services.billing.networks.models import SeatNetwork, SeatNetworkTold
from services.billing.networks.rules import open_times
from services.billing.plans.repository import Offer
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import LIVE, Facts, State, stretches
from shared.contracts import new_event
from shared.contracts.billing import NetworksChanged
from shared.database import Session
from shared.outbox import record

PLAN = "plan"


async def follow(
    session: Session, row: Subscription, facts: Facts, offer: Offer, now: datetime
) -> None:
    """Ranges of a group whose plan has ended, or is of another kind now, end with it; what is left is told."""
    found = await repository.open_of(session, row.id)
    if not found and await repository.told(session, row.id) is None:
        return
    periods = await repository.periods(session, row.id)
    begun = [may for begins, may in periods if begins <= now] or [may for _, may in periods]
    if State(row.state) not in LIVE or not begun or not begun[-1]:
        for one in found:
            end(one, PLAN, now)
        await session.flush()
        found = []
    await tell(session, row, facts, offer, found, now)


def end(found: SeatNetwork, by: str, now: datetime, why: str | None = None) -> None:
    """A range is used no more, or its owner waits for it no more."""
    found.ended_at, found.ended_by, found.ended_why = now, by, why
    found.asked_from = None


async def tell(
    session: Session,
    row: Subscription,
    facts: Facts,
    offer: Offer,
    networks: Sequence[SeatNetwork],
    now: datetime,
) -> None:
    """Tell the approved ones of ``networks`` (a group's that have not ended), and when they open what, where that was told otherwise."""
    ranges = sorted(
        (str(one.range.first), str(one.range.last))
        for one in networks
        if one.approved_at is not None and one.range is not None
    )
    known = await repository.told(session, row.id)
    if known is None and not ranges:
        return
    periods = await repository.periods(session, row.id)
    readable = open_times(stretches(facts), periods, now) if ranges else ()
    said = NetworksChanged(
        subscription_id=row.id,
        plan_code=offer.plan_code,
        scope=offer.scope,
        ranges=tuple(ranges),
        readable=readable,
    )
    document = _document(said)
    if known is not None and known.told == document:
        return
    if known is None:
        known = SeatNetworkTold(
            subscription_id=row.id, agency=row.agency, version=1, told=document, told_at=now
        )
        session.add(known)
    else:
        known.version, known.told, known.told_at = known.version + 1, document, now
    event = new_event(said, agency=row.agency, subject=str(row.id), version=known.version, now=now)
    await record(session, event)
    await session.flush()


def _document(said: NetworksChanged) -> dict[str, Any]:
    """What decides whether something is new. Of what is not open at all the plan is of no interest."""
    if not said.ranges:
        return {}
    return {
        "plan_code": said.plan_code,
        "scope": said.scope,
        "ranges": [list(one) for one in said.ranges],
        "readable": [[at.astimezone(UTC).isoformat() for at in one] for one in said.readable],
    }
