"""Every statement about invitations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlmodel import col

from services.identity.invitations.models import Invitation, Purpose
from shared.database import ReadSession, Session


async def hold_count(session: Session, agency: str) -> None:
    """Two who invite for one agency cannot pass each other. Before :func:`hold_address`, where both are needed."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:agency, 3))"), {"agency": agency}
    )


async def hold_address(session: Session, agency: str, email: str) -> None:
    """Two invitations of one address by one agency cannot pass each other."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"),
        {"name": f"{agency} {email}"},
    )


async def add(session: Session, invitation: Invitation) -> None:
    session.add(invitation)
    await session.flush()


async def by_token(
    session: Session | ReadSession, token_hash: bytes, *, hold: bool = False
) -> Invitation | None:
    query = select(Invitation).where(col(Invitation.token_hash) == token_hash)
    if hold:
        query = query.with_for_update().execution_options(populate_existing=True)
    return (await session.scalars(query)).one_or_none()


async def withdraw_open(
    session: Session, agency: str, email: str, purpose: Purpose, now: datetime
) -> None:
    """A new link voids the one before it."""
    await session.execute(
        update(Invitation)
        .where(
            col(Invitation.agency) == agency,
            col(Invitation.email) == email,
            col(Invitation.purpose) == purpose,
            col(Invitation.accepted_at).is_(None),
            col(Invitation.withdrawn_at).is_(None),
        )
        .values(withdrawn_at=now)
    )


async def lock_of_agency(session: Session, agency: str, invitation_id: UUID) -> Invitation | None:
    found = await session.scalars(
        select(Invitation)
        .where(col(Invitation.agency) == agency, col(Invitation.id) == invitation_id)
        .with_for_update()
    )
    return found.one_or_none()


async def open_of_agency(
    session: Session | ReadSession, agency: str, now: datetime
) -> Sequence[Invitation]:
    """Invitations to join that may still be accepted, the newest first."""
    found = await session.scalars(
        select(Invitation)
        .where(
            col(Invitation.agency) == agency,
            col(Invitation.purpose) == Purpose.JOIN,
            col(Invitation.accepted_at).is_(None),
            col(Invitation.withdrawn_at).is_(None),
            col(Invitation.expires_at) > now,
        )
        .order_by(col(Invitation.created_at).desc())
    )
    return found.all()


async def sent_since(session: Session | ReadSession, agency: str, since: datetime) -> int:
    found = await session.scalars(
        select(func.count())
        .select_from(Invitation)
        .where(col(Invitation.agency) == agency, col(Invitation.created_at) > since)
    )
    return found.one()
