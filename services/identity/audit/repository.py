"""Writes and reads the audit trail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from services.identity.audit.models import AuditEntry, Kind
from shared.database import ReadSession, Session


async def record(
    session: Session,
    kind: Kind,
    *,
    at: datetime,
    network: str,
    actor_id: UUID | None = None,
    account_id: UUID | None = None,
    agency: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """One entry, in the transaction of what it tells of. No passwords, tokens or keys in ``detail``."""
    session.add(
        AuditEntry(
            at=at,
            kind=kind,
            actor_id=actor_id,
            account_id=account_id,
            agency=agency,
            network=network,
            detail=detail or {},
        )
    )
    await session.flush()


async def recent(session: ReadSession, agency: str, limit: int = 30) -> Sequence[AuditEntry]:
    """The newest entries of one agency."""
    found = await session.scalars(
        select(AuditEntry)
        .where(col(AuditEntry.agency) == agency)
        .order_by(col(AuditEntry.id).desc())
        .limit(limit)
    )
    return found.all()
