"""Accounts: who works for an agency in which roles; disable, enable, unlock, reset.

An account's home agency looks after it: its administrators may always disable, unlock and reset it. Another agency that
gave it roles may take those away, and nothing else. A password that an administrator handed out opens that
administrator's agency only, until the person proves the address by mail again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.identity import trail
from services.identity.accounts import repository, rules
from services.identity.accounts.models import Account, DisabledReason
from services.identity.authenticators import repository as attempts
from services.identity.factors import repository as factors
from services.identity.passwords.rules import ONE_TIME_LIFETIME
from services.identity.passwords.service import one_time_password, set_password
from services.identity.provider import repository as subjects
from services.identity.sessions import repository as sessions
from services.identity.sessions.rules import IDLE, idle_limit
from shared.audit import Action
from shared.auth.roles import Role
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from shared.passwords.hasher import PasswordHasher


@dataclass(frozen=True, slots=True)
class Member:
    """An account as one agency's administrator sees it. ``ours``: this agency looks after it."""

    account: Account
    roles: frozenset[str]
    locked_until: datetime | None
    ours: bool
    has_app: bool
    sessions: int  # that still work


class AccountService:
    """Use cases about accounts. The caller has checked that the manager administers the agency."""

    def __init__(self, database: Database, clock: Clock, hasher: PasswordHasher) -> None:
        self._database = database
        self._clock = clock
        self._hasher = hasher

    async def members(self, agency: str) -> list[Member]:
        """The agency's accounts."""
        now = self._clock.now()
        async with self._database.read() as session:
            found = await repository.members(session, agency)
            locks = await attempts.locked_until(
                session, [account.email for account, _ in found], now
            )
            with_app = await factors.with_app(session, [account.id for account, _ in found])
            idle = {account.id: idle_limit({agency: roles}) for account, roles in found}
            live = await sessions.live(session, idle, seen_since=now - IDLE, now=now)
            working = Counter(
                one.account_id for one in live if one.last_seen_at > now - idle[one.account_id]
            )
            return [
                Member(
                    account,
                    roles,
                    locks.get(account.email),
                    rules.looks_after(agency, account.home_agency),
                    account.id in with_app,
                    working[account.id],
                )
                for account, roles in found
            ]

    async def change_roles(self, agency: str, account_id: UUID, roles: Iterable[str]) -> None:
        """Exactly these roles at the agency; none takes the account off it."""
        chosen = rules.parse_roles(roles)
        if chosen is None:
            raise InvalidInputError(
                errors=(FieldError("roles", "There is no such role", ", ".join(Role)),),
                slug="roles",
            )
        now = self._clock.now()
        async with self._database.transaction() as session:
            administrators = await repository.lock_administrators(session, agency)
            account = await self._member(session, agency, account_id)
            if Role.ADMIN not in chosen:
                self._somebody_stays(administrators, account_id)
            everywhere = await repository.roles_of(session, account_id)
            before, after = everywhere[agency], sorted(str(role) for role in chosen)
            if before == set(after):
                return
            await repository.set_roles(session, account_id, agency, after)
            if not after and account.home_agency == agency:
                # Whoever goes on working elsewhere is looked after there.
                account.home_agency = min(
                    (one for one in everywhere if one != agency), default=None
                )
            await trail.record(
                session,
                Action.ROLES_CHANGED,
                account,
                now,
                agency=agency,
                before={"roles": sorted(before)},
                after={"roles": after},
            )

    async def disable(self, agency: str, account_id: UUID) -> None:
        """Ends every session of the account, at every agency: each keeps an administrator."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            # Agencies first, by name, then the account, everywhere: no deadlock.
            agencies = {agency, *await repository.roles_of(session, account_id)}
            held = {
                one: await repository.lock_administrators(session, one) for one in sorted(agencies)
            }
            account = await self._ours(session, agency, account_id)
            if account.disabled_at is not None:
                return
            if not agencies.issuperset(await repository.roles_of(session, account_id)):
                raise ConflictError("This changed in the meantime", slug="account-changed")
            self._somebody_stays(held.pop(agency), account_id)
            for administrators in held.values():
                self._somebody_stays(administrators, account_id, "last-administrator-elsewhere")
            account.disabled_at, account.disabled_reason = now, DisabledReason.ADMINISTRATOR
            await sessions.end_all(session, account_id, now)
            await trail.record_everywhere(session, Action.ACCOUNT_DISABLED, account, now)

    async def enable(self, agency: str, account_id: UUID) -> None:
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await self._ours(session, agency, account_id)
            account.disabled_at, account.disabled_reason = None, None
            account.last_active_at = now  # or a dormant account would sleep in again at once
            await trail.record_everywhere(session, Action.ACCOUNT_ENABLED, account, now)

    async def hand_out_password(self, agency: str, account_id: UUID) -> str | None:
        """A one-time password, shown this once; ends every session and the locks.

        None when the account also works elsewhere: there a password may only come by mail.
        """
        password = one_time_password()
        password_hash = await self._hasher.hash(password)
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await self._ours(session, agency, account_id)
            everywhere = await repository.roles_of(session, account_id)
            if not rules.may_be_handed(agency, account.home_agency, everywhere):
                return None
            await set_password(
                session, account, password_hash, now, one_time_until=now + ONE_TIME_LIFETIME
            )
            account.handed_by = agency
            await attempts.clear_attempts(session, account.email)
            await sessions.end_all(session, account_id, now)
            await trail.record(session, Action.PASSWORD_RESET, account, now, agency=agency)
        return password

    async def reset_factor(self, agency: str, account_id: UUID) -> None:
        """For somebody who has lost the phone and the recovery codes; ends every session."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await self._ours(session, agency, account_id)
            if await factors.remove(session, account_id):
                await sessions.end_all(session, account_id, now)
                await trail.record_everywhere(session, Action.FACTOR_RESET, account, now)

    async def unlock(self, agency: str, account_id: UUID) -> None:
        """Let somebody who is locked out try again."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await self._ours(session, agency, account_id)
            if await attempts.clear_attempts(session, account.email):
                await trail.record_everywhere(session, Action.LOCK_CLEARED, account, now)

    async def break_glass(self, email: str, *, second_factor: bool) -> str:
        """The operator's way in for the last administrator: a one-time password, shown this once.

        Ends every session and the locks, wakes a sleeping account; with ``second_factor`` also forgets the app.
        Raises :class:`NotFoundError`.
        """
        password = one_time_password()
        password_hash = await self._hasher.hash(password)
        now = self._clock.now()
        async with self._database.transaction() as session:
            known = await repository.by_email(session, email)
            account = await repository.lock(session, known.id) if known is not None else None
            if account is None:
                raise NotFoundError("There is no account with this address")
            await set_password(
                session, account, password_hash, now, one_time_until=now + ONE_TIME_LIFETIME
            )
            account.disabled_at, account.disabled_reason = None, None
            account.last_active_at = now
            if second_factor or account.handed_by is not None:
                await factors.remove(session, account.id)
                await attempts.forget_devices(session, account.id)
                await subjects.forget_subjects(session, account.id)
            account.handed_by = None  # the operator vouches for the person at every agency
            await attempts.clear_attempts(session, account.email)
            await sessions.end_all(session, account.id, now)
            await trail.record_everywhere(
                session,
                Action.BREAK_GLASS,
                account,
                now,
                after={"second_factor": second_factor},
            )
        return password

    async def _member(self, session: Session, agency: str, account_id: UUID) -> Account:
        """The account, held. Raises :class:`NotFoundError` when it has no role at the agency."""
        account = await repository.lock(session, account_id)
        if account is None or agency not in await repository.roles_of(session, account_id):
            raise NotFoundError
        return account

    async def _ours(self, session: Session, agency: str, account_id: UUID) -> Account:
        """The account, held, when this agency looks after it. Raises 404, 403."""
        account = await self._member(session, agency, account_id)
        if not rules.looks_after(agency, account.home_agency):
            raise ForbiddenError(
                "Another agency looks after this account: take its roles away here instead",
                slug="account-elsewhere",
            )
        return account

    @staticmethod
    def _somebody_stays(
        administrators: set[UUID], without: UUID, slug: str = "last-administrator"
    ) -> None:
        if without in administrators and len(administrators) == 1:
            raise ConflictError("An agency needs an administrator", slug=slug)
