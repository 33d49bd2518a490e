"""Every statement about sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, select, true, update
from sqlmodel import col

from services.identity.accounts.models import Account
from services.identity.factors.models import TotpFactor
from services.identity.sessions.models import StaffSession
from shared.database import ReadSession, Session


async def add(session: Session, staff_session: StaffSession) -> None:
    session.add(staff_session)
    await session.flush()


async def find(
    session: Session | ReadSession, token_hash: bytes
) -> tuple[StaffSession, Account, bool] | None:
    """A session that was not ended, its account, and whether that has an authenticator app."""
    has_totp = exists().where(col(TotpFactor.account_id) == col(StaffSession.account_id))
    found = await session.execute(
        select(StaffSession, Account, has_totp)
        .join(Account, col(Account.id) == col(StaffSession.account_id))
        .where(col(StaffSession.token_hash) == token_hash, col(StaffSession.ended_at).is_(None))
    )
    row = found.one_or_none()
    return None if row is None else (row[0], row[1], row[2])


async def lock(session: Session, session_id: UUID) -> StaffSession | None:
    """A session that was not ended, held until the transaction ends."""
    found = await session.scalars(
        select(StaffSession)
        .where(col(StaffSession.id) == session_id, col(StaffSession.ended_at).is_(None))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.one_or_none()


async def touch(session: Session, session_id: UUID, now: datetime) -> None:
    """Write activity; never back in time and never for an ended session."""
    await session.execute(
        update(StaffSession)
        .where(
            col(StaffSession.id) == session_id,
            col(StaffSession.ended_at).is_(None),
            col(StaffSession.last_seen_at) < now,
        )
        .values(last_seen_at=now)
    )


async def end_by_token(session: Session, token_hash: bytes, now: datetime) -> UUID | None:
    """End one session; whose it was, or None when it had ended."""
    found = await session.execute(
        update(StaffSession)
        .where(col(StaffSession.token_hash) == token_hash, col(StaffSession.ended_at).is_(None))
        .values(ended_at=now)
        .returning(col(StaffSession.account_id))
    )
    return found.scalar_one_or_none()


async def end_one(session: Session, session_id: UUID, account_id: UUID, now: datetime) -> bool:
    """End one of an account's own sessions."""
    found = await session.execute(
        update(StaffSession)
        .where(
            col(StaffSession.id) == session_id,
            col(StaffSession.account_id) == account_id,
            col(StaffSession.ended_at).is_(None),
        )
        .values(ended_at=now)
        .returning(col(StaffSession.id))
    )
    return found.scalar_one_or_none() is not None


async def end_all(
    session: Session, account_id: UUID, now: datetime, *, but: UUID | None = None
) -> int:
    """End every session of an account (``but`` this one); how many."""
    found = await session.execute(
        update(StaffSession)
        .where(
            col(StaffSession.account_id) == account_id,
            col(StaffSession.ended_at).is_(None),
            col(StaffSession.id) != but if but is not None else true(),
        )
        .values(ended_at=now)
        .returning(col(StaffSession.id))
    )
    return len(found.scalars().all())


async def live(
    session: Session | ReadSession,
    account_ids: Iterable[UUID],
    *,
    seen_since: datetime,
    now: datetime,
) -> Sequence[StaffSession]:
    """Sessions of these accounts that still work, the newest first."""
    found = await session.scalars(
        select(StaffSession)
        .where(
            col(StaffSession.account_id).in_(list(account_ids)),
            col(StaffSession.ended_at).is_(None),
            col(StaffSession.expires_at) > now,
            col(StaffSession.last_seen_at) > seen_since,
        )
        .order_by(col(StaffSession.created_at).desc())
    )
    return found.all()


async def purge(session: Session, before: datetime) -> None:
    """Delete sessions that ended by themselves before ``before``."""
    await session.execute(delete(StaffSession).where(col(StaffSession.expires_at) < before))
