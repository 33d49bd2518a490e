"""Every statement about accounts, roles and former passwords."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlmodel import col

from services.identity.accounts.models import Account, AccountRole, DisabledReason, PasswordHistory
from shared.database import ReadSession, Session


async def by_email(session: Session | ReadSession, email: str) -> Account | None:
    return (await session.scalars(select(Account).where(col(Account.email) == email))).one_or_none()


async def by_id(session: Session | ReadSession, account_id: UUID) -> Account | None:
    return (
        await session.scalars(select(Account).where(col(Account.id) == account_id))
    ).one_or_none()


async def lock(session: Session, account_id: UUID) -> Account | None:
    """The account, held until the transaction ends."""
    found = await session.scalars(
        select(Account)
        .where(col(Account.id) == account_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.one_or_none()


async def roles_of(session: Session | ReadSession, account_id: UUID) -> dict[str, frozenset[str]]:
    rows = await session.scalars(
        select(AccountRole).where(col(AccountRole.account_id) == account_id)
    )
    roles: dict[str, set[str]] = {}
    for row in rows:
        roles.setdefault(row.agency, set()).add(row.role)
    return {agency: frozenset(held) for agency, held in roles.items()}


async def set_roles(session: Session, account_id: UUID, agency: str, roles: Iterable[str]) -> None:
    """Exactly these roles at one agency."""
    await session.execute(
        delete(AccountRole).where(
            col(AccountRole.account_id) == account_id, col(AccountRole.agency) == agency
        )
    )
    session.add_all(
        [AccountRole(account_id=account_id, agency=agency, role=role) for role in roles]
    )
    await session.flush()


async def members(
    session: Session | ReadSession, agency: str
) -> list[tuple[Account, frozenset[str]]]:
    """The accounts with a role at an agency, and those roles only."""
    rows = await session.execute(
        select(Account, col(AccountRole.role))
        .join(AccountRole, col(AccountRole.account_id) == col(Account.id))
        .where(col(AccountRole.agency) == agency)
        .order_by(col(Account.email), col(AccountRole.role))
    )
    found: dict[UUID, tuple[Account, set[str]]] = {}
    for account, role in rows:
        found.setdefault(account.id, (account, set()))[1].add(role)
    return [(account, frozenset(roles)) for account, roles in found.values()]


async def lock_administrators(session: Session, agency: str) -> set[UUID]:
    """The agency's enabled administrators; two changes of them cannot pass each other."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"administrators of {agency}"},
    )
    rows = await session.scalars(
        select(col(AccountRole.account_id))
        .join(Account, col(AccountRole.account_id) == col(Account.id))
        .where(
            col(AccountRole.agency) == agency,
            col(AccountRole.role) == "admin",
            col(Account.disabled_at).is_(None),
        )
    )
    return set(rows)


async def former_hashes(session: Session | ReadSession, account_id: UUID, limit: int) -> list[str]:
    rows = await session.scalars(
        select(col(PasswordHistory.password_hash))
        .where(col(PasswordHistory.account_id) == account_id)
        .order_by(col(PasswordHistory.id).desc())
        .limit(limit)
    )
    return list(rows)


async def remember_hash(
    session: Session, account_id: UUID, password_hash: str, now: datetime, keep: int
) -> None:
    """Keep the newest ``keep`` former passwords."""
    session.add(PasswordHistory(account_id=account_id, password_hash=password_hash, created_at=now))
    await session.flush()
    await session.execute(
        text(
            """DELETE FROM password_history WHERE account_id = :account AND id NOT IN (
                   SELECT id FROM password_history WHERE account_id = :account
                   ORDER BY id DESC LIMIT :keep)"""
        ),
        {"account": account_id, "keep": keep},
    )


async def touch(session: Session, account_id: UUID, now: datetime) -> None:
    await session.execute(
        update(Account).where(col(Account.id) == account_id).values(last_active_at=now)
    )


async def disable_dormant(session: Session, idle_since: datetime, now: datetime) -> Sequence[UUID]:
    """Disable enabled accounts that were last active before ``idle_since``; who they are."""
    rows = await session.execute(
        text(
            """UPDATE account SET disabled_at = :now, disabled_reason = :reason
               WHERE disabled_at IS NULL AND last_active_at <= :idle_since RETURNING id"""
        ),
        {"now": now, "reason": DisabledReason.DORMANT, "idle_since": idle_since},
    )
    return list(rows.scalars())
