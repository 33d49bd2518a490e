"""Every SQL statement about given days."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.given.models import GivenDays
from shared.database import Session


async def by_id(session: Session, agency: str, reader_id: UUID, id_: UUID) -> GivenDays | None:
    found: GivenDays | None = await session.scalar(
        select(GivenDays).where(
            col(GivenDays.id) == id_,
            col(GivenDays.agency) == agency,
            col(GivenDays.reader_id) == reader_id,
        )
    )
    return found


async def given_since(session: Session, reader_id: UUID, since: datetime) -> int:
    """Days that a reader was given since then, but for those that were taken back."""
    found = await session.scalar(
        text(
            """SELECT coalesce(sum(g.days), 0) FROM given_days g WHERE g.reader_id = :reader AND g.given_at > :since
               AND NOT EXISTS (SELECT FROM given_days_ended e WHERE e.given_id = g.id)"""
        ),
        {"reader": reader_id, "since": since},
    )
    return int(found or 0)


async def has_ended(session: Session, id_: UUID) -> bool:
    found = await session.scalar(
        text("SELECT EXISTS (SELECT FROM given_days_ended WHERE given_id = :id)"), {"id": id_}
    )
    return bool(found)


async def runs_until(session: Session, reader_id: UUID, now: datetime) -> datetime | None:
    """Until when a reader reads everything by what is paid for or was given already."""
    found: datetime | None = await session.scalar(
        text(
            """SELECT max(until) FROM (
                   SELECT coalesce(p.cut_at, p.period_end) AS until FROM payment p JOIN subscription s ON s.id = p.subscription_id
                   WHERE s.reader_id = :reader AND p.refunded_vnd < greatest(p.amount_vnd, 1)
                   UNION ALL SELECT e.valid_until FROM entitlement e WHERE e.reader_id = :reader
                     AND e.subscription_id IS NULL AND e.scope = 'site' AND NOT e.revoked) AS rights WHERE until > :now"""
        ),
        {"reader": reader_id, "now": now},
    )
    return found
