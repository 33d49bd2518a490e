"""Rights to read that follow from a subscription: written down, and told with a version that only grows."""

from __future__ import annotations

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


async def rights(
    session: Session, row: Subscription, facts: rules.Facts, offer: Offer, now: datetime
) -> None:
    """Tell every stretch of the subscription's right that is not as it was last told."""
    stored = list(await repository.entitlements(session, row.id))
    told = [
        rules.Right(known.plan_code, known.valid_from, known.valid_until, known.revoked)
        for known in stored
    ]
    for number, word, right in rules.announcements(facts, told, offer.plan_code, now):
        known = stored[number] if number < len(stored) else None
        await _tell(session, row, facts, offer, number, known, (word, right), now)


async def _tell(
    session: Session,
    row: Subscription,
    facts: rules.Facts,
    offer: Offer,
    number: int,
    known: EntitlementRow | None,
    decided: tuple[rules.Announcement, rules.Right],
    now: datetime,
) -> None:
    word, right = decided
    if known is None:
        known = EntitlementRow(
            id=new_id(),
            agency=row.agency,
            reader_id=row.reader_id,
            subscription_id=row.id,
            stretch=number,
            plan_code=right.plan_code,
            scope=offer.scope,
            valid_from=right.valid_from,
            valid_until=right.valid_until,
            version=1,
            updated_at=now,
        )
        session.add(known)
    else:
        known.plan_code, known.scope = right.plan_code, offer.scope
        known.valid_from, known.valid_until = right.valid_from, right.valid_until
        known.revoked = right.revoked
        known.version += 1
        known.updated_at = now
    told = Told(
        known.id, row.agency, known.reader_id, row.id, known.scope, known.version, word, right
    )
    await record(session, event_of(told, facts, now))


@dataclass(frozen=True, slots=True)
class Told:
    """A right to read as it is announced now."""

    entitlement_id: UUID
    agency: str
    reader_id: UUID
    subscription_id: UUID
    scope: str
    version: int
    word: rules.Announcement
    right: rules.Right


def event_of(told: Told, facts: rules.Facts, now: datetime) -> Event[Entitlement]:
    """What is told of a right."""
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
        payload = EntitlementRevoked(**common, reason=_reason(facts))
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


def _reason(facts: rules.Facts) -> str:
    if facts.refunded:
        return "refund"
    return "canceled" if facts.cancels else "unpaid"
