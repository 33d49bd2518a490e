"""Every statement about second factors."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlmodel import col

from services.identity.factors.models import RecoveryCode, TotpFactor
from shared.database import ReadSession, Session


async def of_account(session: Session | ReadSession, account_id: UUID) -> TotpFactor | None:
    found = await session.scalars(
        select(TotpFactor).where(col(TotpFactor.account_id) == account_id)
    )
    return found.one_or_none()


async def lock(session: Session, account_id: UUID) -> TotpFactor | None:
    """The factor, held: two uses of one code cannot pass each other."""
    found = await session.scalars(
        select(TotpFactor)
        .where(col(TotpFactor.account_id) == account_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.one_or_none()


async def replace(session: Session, factor: TotpFactor) -> None:
    await session.execute(delete(TotpFactor).where(col(TotpFactor.account_id) == factor.account_id))
    session.add(factor)
    await session.flush()


async def replace_codes(session: Session, account_id: UUID, hashes: Iterable[bytes]) -> None:
    await session.execute(delete(RecoveryCode).where(col(RecoveryCode.account_id) == account_id))
    session.add_all([RecoveryCode(account_id=account_id, code_hash=one) for one in hashes])
    await session.flush()


async def use_code(session: Session, account_id: UUID, code_hash: bytes, now: datetime) -> bool:
    """Whether this recovery code was good until now."""
    found = await session.execute(
        update(RecoveryCode)
        .where(
            col(RecoveryCode.account_id) == account_id,
            col(RecoveryCode.code_hash) == code_hash,
            col(RecoveryCode.used_at).is_(None),
        )
        .values(used_at=now)
        .returning(col(RecoveryCode.account_id))
    )
    return found.first() is not None


async def codes_left(session: Session | ReadSession, account_id: UUID) -> int:
    found = await session.scalars(
        select(func.count())
        .select_from(RecoveryCode)
        .where(col(RecoveryCode.account_id) == account_id, col(RecoveryCode.used_at).is_(None))
    )
    return found.one()


async def remove(session: Session, account_id: UUID) -> bool:
    """Forget the app and every recovery code; whether there was an app."""
    # The app first, as whoever uses a code: no deadlock.
    found = await session.execute(
        delete(TotpFactor)
        .where(col(TotpFactor.account_id) == account_id)
        .returning(col(TotpFactor.account_id))
    )
    await session.execute(delete(RecoveryCode).where(col(RecoveryCode.account_id) == account_id))
    return found.first() is not None


async def with_app(session: Session | ReadSession, account_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these accounts have an authenticator app."""
    found = await session.scalars(
        select(col(TotpFactor.account_id)).where(col(TotpFactor.account_id).in_(list(account_ids)))
    )
    return set(found)
