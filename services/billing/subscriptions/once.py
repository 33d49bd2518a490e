"""Rights to read that no subscription gives: a pass, an article, an article of a bundle, days that staff gave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.billing.subscriptions import repository
from services.billing.subscriptions.models import EntitlementRow
from shared.contracts import new_event
from shared.contracts.billing import EntitlementGranted, EntitlementRevoked
from shared.database import Session
from shared.ids import new_id
from shared.outbox import record


@dataclass(frozen=True, slots=True)
class OnceRight:
    """A right to read that an order for once gives, days that were given do, or a use of a bundle does."""

    order_id: UUID | None
    plan_code: str
    scope: str
    valid_from: datetime
    valid_until: datetime
    given_id: UUID | None = None
    use_id: UUID | None = None


async def grant_once(
    session: Session, right: OnceRight, agency: str, reader_id: UUID, now: datetime
) -> None:
    """Write down and tell a right that no subscription gives."""
    row = EntitlementRow(
        id=new_id(),
        agency=agency,
        reader_id=reader_id,
        order_id=right.order_id,
        given_id=right.given_id,
        use_id=right.use_id,
        plan_code=right.plan_code,
        scope=right.scope,
        valid_from=right.valid_from,
        valid_until=right.valid_until,
        version=1,
        updated_at=now,
    )
    session.add(row)
    payload = EntitlementGranted(
        entitlement_id=row.id,
        reader_id=reader_id,
        plan_code=row.plan_code,
        scope=row.scope,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
    )
    event = new_event(payload, agency=agency, subject=str(row.id), version=row.version, now=now)
    await record(session, event)
    await session.flush()


async def grant_again(
    session: Session, order_id: UUID, valid_until: datetime, now: datetime
) -> None:
    """The money of an order for once did not go back after all: its rights are as they were."""
    for row, until in await repository.once_rights(session, order_id):
        if row.revoked:
            await _grant_again(session, row, until or valid_until, now)


async def _grant_again(
    session: Session, row: EntitlementRow, valid_until: datetime, now: datetime
) -> None:
    row.revoked, row.valid_until = False, valid_until
    row.version += 1
    row.updated_at = now
    payload = EntitlementGranted(
        entitlement_id=row.id,
        reader_id=row.reader_id,
        plan_code=row.plan_code,
        scope=row.scope,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
    )
    event = new_event(payload, agency=row.agency, subject=str(row.id), version=row.version, now=now)
    await record(session, event)
    await session.flush()


async def revoke_once(session: Session, order_id: UUID, now: datetime) -> None:
    """The money of an order for once went back: its rights end now, where they have not ended yet; of a bundle those of all its
    articles."""
    for row, _ in await repository.once_rights(session, order_id):
        if not row.revoked:
            await _revoke(session, row, "refund", now)


async def revoke_given(session: Session, given_id: UUID, now: datetime) -> None:
    """Days that were given are taken back: their right ends now."""
    row = await repository.given_right(session, given_id)
    if row is not None and not row.revoked:
        await _revoke(session, row, "taken back", now)


async def _revoke(session: Session, row: EntitlementRow, reason: str, now: datetime) -> None:
    row.revoked = True
    row.valid_until = max(min(row.valid_until, now), row.valid_from)
    row.version += 1
    row.updated_at = now
    payload = EntitlementRevoked(
        entitlement_id=row.id,
        reader_id=row.reader_id,
        plan_code=row.plan_code,
        scope=row.scope,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        reason=reason,
    )
    event = new_event(payload, agency=row.agency, subject=str(row.id), version=row.version, now=now)
    await record(session, event)
    await session.flush()
