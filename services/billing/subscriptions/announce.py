"""Rights to read that follow from a subscription: written down, and told with a version that only grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.billing.plans.repository import Offer
from services.billing.subscriptions import repository, rules
from services.billing.subscriptions.models import EntitlementRow, Subscription
from shared.contracts import Event, new_event
from shared.contracts.billing import (
    Entitlement,
    EntitlementChanged,
    EntitlementGranted,
    EntitlementRevoked,
)
from shared.database import Session
from shared.ids import new_id
from shared.outbox import record


@dataclass(frozen=True, slots=True)
class Source:
    """What gives a right to whom: a subscription, or a seat of one. ``reason``: why it is revoked, where it is."""

    agency: str
    reader_id: UUID
    plan_code: str
    scope: str
    reason: str
    subscription_id: UUID | None = None
    seat_id: UUID | None = None


async def rights(
    session: Session, row: Subscription, facts: rules.Facts, offer: Offer, now: datetime
) -> None:
    """Tell every stretch of the subscription's right that is not as it was last told."""
    stored = await repository.entitlements(session, row.id)
    source = Source(row.agency, row.reader_id, offer.plan_code, offer.scope, reason(facts), row.id)
    await tell(session, source, stored, rules.stretches(facts), now)


async def tell(
    session: Session,
    source: Source,
    stored: Sequence[EntitlementRow],
    wanted: Sequence[tuple[datetime, datetime]],
    now: datetime,
) -> None:
    """Tell the stretches that are wanted of a right, where they are not as they were last told (``stored``, in their order)."""
    told = [
        rules.Right(known.plan_code, known.valid_from, known.valid_until, known.revoked)
        for known in stored
    ]
    for number, word, right in rules.announcements(wanted, told, source.plan_code, now):
        known = stored[number] if number < len(stored) else None
        await _tell(session, source, number, known, (word, right), now)


async def _tell(
    session: Session,
    source: Source,
    number: int,
    known: EntitlementRow | None,
    decided: tuple[rules.Announcement, rules.Right],
    now: datetime,
) -> None:
    word, right = decided
    if known is None:
        known = EntitlementRow(
            id=new_id(),
            agency=source.agency,
            reader_id=source.reader_id,
            subscription_id=source.subscription_id,
            seat_id=source.seat_id,
            stretch=number,
            plan_code=right.plan_code,
            scope=source.scope,
            valid_from=right.valid_from,
            valid_until=right.valid_until,
            version=1,
            updated_at=now,
        )
        session.add(known)
    else:
        known.plan_code, known.scope = right.plan_code, source.scope
        known.valid_from, known.valid_until = right.valid_from, right.valid_until
        known.revoked = right.revoked
        known.version += 1
        known.updated_at = now
    told = Told(
        known.id,
        source.agency,
        known.reader_id,
        source.subscription_id,
        known.scope,
        known.version,
        word,
        right,
    )
    await record(session, event_of(told, source.reason, now))


@dataclass(frozen=True, slots=True)
class Told:
    """A right to read as it is announced now."""

    entitlement_id: UUID
    agency: str
    reader_id: UUID
    subscription_id: UUID | None
    scope: str
    version: int
    word: rules.Announcement
    right: rules.Right


def event_of(told: Told, why: str, now: datetime) -> Event[Entitlement]:
    """What is told of a right; ``why`` it is revoked, where it is."""
    common: dict[str, Any] = {
        "entitlement_id": told.entitlement_id,
        "reader_id": told.reader_id,
        "plan_code": told.right.plan_code,
        "scope": told.scope,
        "valid_from": told.right.valid_from,
        "valid_until": told.right.valid_until,
        "subscription_id": told.subscription_id,
    }
    payload: Entitlement
    if told.word == "revoked":
        payload = EntitlementRevoked(**common, reason=why)
    elif told.word == "granted":
        payload = EntitlementGranted(**common)
    else:
        payload = EntitlementChanged(**common)
    return new_event(
        payload,
        agency=told.agency,
        subject=str(told.entitlement_id),
        version=told.version,
        now=now,
    )


def reason(facts: rules.Facts) -> str:
    """Why a right that follows from a subscription is revoked, where it is."""
    if facts.refunded:
        return "refund"
    return "canceled" if facts.cancels else "unpaid"
