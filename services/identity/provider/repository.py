"""Every statement about accounts at the provider and browsers on their way."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlmodel import col

from services.identity.provider.models import ExternalSubject, ProviderVisit
from shared.database import ReadSession, Session


async def account_of_subject(
    session: Session | ReadSession, issuer: str, subject: str
) -> UUID | None:
    found = await session.execute(
        select(col(ExternalSubject.account_id)).where(
            col(ExternalSubject.issuer) == issuer, col(ExternalSubject.subject) == subject
        )
    )
    return found.scalar_one_or_none()


async def subject_of_account(
    session: Session | ReadSession, account_id: UUID, issuer: str
) -> ExternalSubject | None:
    found = await session.scalars(
        select(ExternalSubject).where(
            col(ExternalSubject.account_id) == account_id, col(ExternalSubject.issuer) == issuer
        )
    )
    return found.one_or_none()


async def has_subject(session: Session | ReadSession, account_id: UUID) -> bool:
    found = await session.scalars(
        select(exists().where(col(ExternalSubject.account_id) == account_id))
    )
    return bool(found.one())


async def add_subject(session: Session, row: ExternalSubject) -> None:
    """Raises ``IntegrityError`` when it opens another account, or the account has another one of this issuer."""
    session.add(row)
    await session.flush()


async def forget_subjects(session: Session, account_id: UUID) -> bool:
    """Whether there was one."""
    gone = await session.execute(
        delete(ExternalSubject)
        .where(col(ExternalSubject.account_id) == account_id)
        .returning(col(ExternalSubject.subject))
    )
    return bool(gone.scalars().all())


async def add_visit(session: Session, visit: ProviderVisit) -> None:
    session.add(visit)
    await session.flush()


async def take_visit(
    session: Session, state_hash: bytes, browser_hash: bytes, now: datetime
) -> ProviderVisit | None:
    """The visit that this browser was sent on, gone with this statement: an answer counts once.

    From another browser it stays: who only knows the address must not end somebody else's sign-in.
    """
    found = await session.scalars(
        delete(ProviderVisit)
        .where(
            col(ProviderVisit.state_hash) == state_hash,
            col(ProviderVisit.browser_hash) == browser_hash,
            col(ProviderVisit.expires_at) > now,
        )
        .returning(ProviderVisit)
    )
    return found.one_or_none()


async def purge_visits(session: Session, now: datetime) -> None:
    await session.execute(delete(ProviderVisit).where(col(ProviderVisit.expires_at) <= now))
