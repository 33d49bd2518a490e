"""Every statement about service keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text, update
from sqlmodel import col

from services.identity.keys.models import ServiceKey
from shared.database import ReadSession, Session


async def add(session: Session, key: ServiceKey) -> None:
    session.add(key)
    await session.flush()


async def by_id(session: Session | ReadSession, key_id: str) -> ServiceKey | None:
    return (
        await session.scalars(select(ServiceKey).where(col(ServiceKey.id) == key_id))
    ).one_or_none()


async def lock_of_agency(session: Session, agency: str, key_id: str) -> ServiceKey | None:
    """One of an agency's keys, held until the transaction ends."""
    found = await session.scalars(
        select(ServiceKey)
        .where(col(ServiceKey.agency) == agency, col(ServiceKey.id) == key_id)
        .with_for_update()
    )
    return found.one_or_none()


async def of_agency(session: Session | ReadSession, agency: str) -> Sequence[ServiceKey]:
    """An agency's keys: the working ones first, then the newest."""
    found = await session.scalars(
        select(ServiceKey)
        .where(col(ServiceKey.agency) == agency)
        .order_by(col(ServiceKey.revoked_at).is_not(None), col(ServiceKey.created_at).desc())
    )
    return found.all()


async def count_working(session: Session, agency: str) -> int:
    """Nobody else issues a key for the agency until the transaction ends."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:agency, 2))"), {"agency": agency}
    )
    found = await session.scalars(
        select(func.count())
        .select_from(ServiceKey)
        .where(col(ServiceKey.agency) == agency, col(ServiceKey.revoked_at).is_(None))
    )
    return found.one()


async def write_use(session: Session, key_id: str, now: datetime) -> None:
    await session.execute(
        update(ServiceKey).where(col(ServiceKey.id) == key_id).values(last_used_at=now)
    )
