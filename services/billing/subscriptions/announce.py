"""Rights to read that follow from a subscription: written down, and told with a version that only grows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.billing.plans.repository import Offer
from services.billing.subscriptions import repository, rules
from services.billing.subscriptions.models import EntitlementRow, Subscription
from shared.contracts import new_event
from shared.contracts.billing import EntitlementChanged, EntitlementGranted, EntitlementRevoked
from shared.database import Session
from shared.ids import new_id
from shared.outbox import record


async def rights(
    session: Session, row: Subscription, facts: rules.Facts, offer: Offer, now: datetime
) -> None:
    """Tell every stretch of the subscription's right that is not as it was last told."""
    wanted = rules.stretches(facts)
    stored = list(await repository.entitlements(session, row.id))
    for number in range(max(len(wanted), len(stored))):
        known = stored[number] if number < len(stored) else None
        before = (
            rules.Right(known.plan_code, known.valid_from, known.valid_until, known.revoked)
            if known
            else None
        )
        stretch = wanted[number] if number < len(wanted) else None
        decided = rules.next_right(before, stretch, offer.plan_code, now)
        if decided is not None:
            await _tell(session, row, facts, offer, number, known, decided, now)


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
    common: dict[str, Any] = {
        "entitlement_id": known.id,
        "reader_id": known.reader_id,
        "plan_code": known.plan_code,
        "scope": known.scope,
        "valid_from": known.valid_from,
        "valid_until": known.valid_until,
        "subscription_id": row.id,
    }
    payload: EntitlementGranted | EntitlementChanged | EntitlementRevoked
    if word == "revoked":
        payload = EntitlementRevoked(**common, reason=_reason(facts))
    elif word == "granted":
        payload = EntitlementGranted(**common)
    else:
        payload = EntitlementChanged(**common)
    event = new_event(
        payload, agency=row.agency, subject=str(known.id), version=known.version, now=now
    )
    await record(session, event)


def _reason(facts: rules.Facts) -> str:
    if facts.refunded:
        return "refund"
    return "canceled" if facts.cancels else "unpaid"
