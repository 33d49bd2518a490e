"""Accounts: create with a one-time password, roles, disable, change the password."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.identity.accounts import repository, rules
from services.identity.accounts.adapters.hasher import PasswordHasher
from services.identity.accounts.models import Account, DisabledReason
from services.identity.authenticators import repository as attempts
from services.identity.authenticators.service import Authenticator, Proven, TooMany
from services.identity.sessions import repository as sessions
from services.identity.sessions.service import Visitor, start_session
from shared import audit
from shared.audit import Action
from shared.auth import StaffPrincipal
from shared.auth.roles import Role
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    TooManyRequestsError,
)
from shared.ids import new_id

# Letters and digits that are not mistaken for each other when read aloud or copied by hand.
ONE_TIME_ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class Member:
    """An account as one agency's administrator sees it."""

    account: Account
    roles: frozenset[str]
    locked_until: datetime | None
    whole: bool  # the administrator may disable it and reset its password


@dataclass(frozen=True, slots=True)
class Manager:
    """The administrator who asks."""

    principal: StaffPrincipal


def one_time_password() -> str:
    """16 characters in four groups: 92 bits."""
    groups = ("".join(secrets.choice(ONE_TIME_ALPHABET) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def _invalid(field: str, message: str, expected: str, slug: str) -> InvalidInputError:
    return InvalidInputError(errors=(FieldError(field, message, expected),), slug=slug)


class AccountService:
    """Use cases about accounts. The caller has checked that the manager administers the agency."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        hasher: PasswordHasher,
        authenticator: Authenticator,
    ) -> None:
        self._database = database
        self._clock = clock
        self._hasher = hasher
        self._authenticator = authenticator

    async def members(self, agency: str, manager: StaffPrincipal) -> list[Member]:
        """The agency's accounts."""
        now = self._clock.now()
        async with self._database.read() as session:
            found = await repository.members(session, agency)
            locks = await attempts.locked_until(
                session, [account.email for account, _ in found], now
            )
            return [
                Member(
                    account,
                    roles,
                    locks.get(account.email),
                    rules.may_manage_whole_account(
                        await repository.roles_of(session, account.id), manager.roles
                    ),
                )
                for account, roles in found
            ]

    async def create(
        self, agency: str, email: str, name: str, roles: Iterable[str], manager: Manager
    ) -> str | None:
        """The one-time password, shown this once; None when the person has an account already.

        Raises :class:`InvalidInputError`, :class:`ConflictError`.
        """
        address = rules.normalise_email(email)
        if address is None:
            raise _invalid("email", "This is not an e-mail address", "name@agency.vn", "email")
        shown = rules.normalise_name(name)
        if shown is None:
            raise _invalid("name", "The name is missing or too long", "1–120 characters", "name")
        chosen = rules.parse_roles(roles)
        if not chosen:
            raise _invalid("roles", "Choose one role or more", ", ".join(Role), "roles")
        password = one_time_password()
        password_hash = await self._hasher.hash(password)
        now = self._clock.now()
        async with self._database.transaction() as session:
            known = await repository.by_email(session, address)
            if known is not None:
                if agency in await repository.roles_of(session, known.id):
                    raise ConflictError("This account is listed already", slug="account-exists")
                await self._set_roles(session, known, agency, chosen, now)
                return None
            account = Account(
                id=new_id(),
                email=address,
                name=shown,
                password_hash=password_hash,
                one_time_until=now + rules.ONE_TIME_LIFETIME,
                password_changed_at=now,
                created_at=now,
                last_active_at=now,
            )
            session.add(account)
            await session.flush()
            await repository.remember_hash(
                session, account.id, password_hash, now, rules.PASSWORDS_REMEMBERED
            )
            await self._record(session, Action.ACCOUNT_CREATED, account, agency, now)
            await self._set_roles(session, account, agency, chosen, now)
        return password

    async def change_roles(
        self, agency: str, account_id: UUID, roles: Iterable[str], manager: Manager
    ) -> None:
        """Exactly these roles at this agency; none removes the account from it. Somebody must stay administrator."""
        chosen = rules.parse_roles(roles)
        if chosen is None:
            raise _invalid("roles", "There is no such role", ", ".join(Role), "roles")
        now = self._clock.now()
        async with self._database.transaction() as session:
            administrators = await repository.lock_administrators(session, agency)
            account = await self._member(session, agency, account_id)
            if Role.ADMIN not in chosen:
                self._somebody_stays(administrators, account_id)
            await self._set_roles(session, account, agency, chosen, now)

    async def disable(self, agency: str, account_id: UUID, manager: Manager) -> None:
        """Ends every session of the account."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            # Agencies in one order, then the account, everywhere: no deadlock.
            administrators = [
                await repository.lock_administrators(session, one)
                for one in sorted(await repository.roles_of(session, account_id))
            ]
            account = await self._whole(session, agency, account_id, manager)
            if account.disabled_at is not None:
                return
            for others in administrators:
                self._somebody_stays(others, account_id)
            account.disabled_at, account.disabled_reason = now, DisabledReason.ADMINISTRATOR
            await sessions.end_all(session, account_id, now)
            await self._record(session, Action.ACCOUNT_DISABLED, account, agency, now)

    async def enable(self, agency: str, account_id: UUID, manager: Manager) -> None:
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await self._whole(session, agency, account_id, manager)
            account.disabled_at, account.disabled_reason = None, None
            account.last_active_at = now  # or a dormant account would sleep in again at once
            await self._record(session, Action.ACCOUNT_ENABLED, account, agency, now)

    async def reset_password(self, agency: str, account_id: UUID, manager: Manager) -> str:
        """A new one-time password, shown this once; ends every session and the lock."""
        password = one_time_password()
        password_hash = await self._hasher.hash(password)
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await self._whole(session, agency, account_id, manager)
            await self._set_password(
                session, account, password_hash, now, one_time_until=now + rules.ONE_TIME_LIFETIME
            )
            await attempts.clear_attempts(session, account.email)
            await sessions.end_all(session, account_id, now)
            await self._record(session, Action.PASSWORD_RESET, account, agency, now)
        return password

    async def unlock(self, agency: str, account_id: UUID, manager: Manager) -> None:
        """Let somebody who is locked out try again."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await self._whole(session, agency, account_id, manager)
            if await attempts.clear_attempts(session, account.email):
                await self._record(session, Action.LOCK_CLEARED, account, agency, now)

    async def change_own_password(
        self, principal: StaffPrincipal, old: str, new: str, visitor: Visitor
    ) -> str:
        """Ends every session and begins a new one: its token. Raises :class:`InvalidInputError`."""
        password = rules.normalise_password(new)
        async with self._database.read() as reading:
            account = await repository.by_id(reading, principal.account_id)
            former = await repository.former_hashes(
                reading, principal.account_id, rules.PASSWORDS_REMEMBERED
            )
        if account is None:
            raise NotFoundError
        # Counted like any try: a stolen session must not become a way to guess the password.
        outcome = await self._authenticator.authenticate(
            {"email": account.email, "password": old}, visitor.network
        )
        if isinstance(outcome, TooMany):
            raise TooManyRequestsError("Too many tries: wait a while", slug="locked")
        if outcome != Proven(account.id):
            raise _invalid("old", "The present password is wrong", "", "wrong")
        async with self._database.read() as reading:  # its hash may just have been renewed
            account = await repository.by_id(reading, principal.account_id)
        assert account is not None
        problem = rules.password_problem(password, account.email)
        if problem is not None:
            raise _invalid("new", "This password will not do", "12–128 characters", problem)
        for used in {account.password_hash, *former}:
            if await self._hasher.verify(used, password):
                raise _invalid("new", "This password was used before", "a new one", "reused")
        password_hash = await self._hasher.hash(password)
        now = self._clock.now()
        async with self._database.transaction() as session:
            held = await repository.lock(session, account.id)
            if held is None or held.password_hash != account.password_hash:
                raise ConflictError("It was changed in the meantime", slug="password-changed")
            await self._set_password(session, held, password_hash, now, one_time_until=None)
            await sessions.end_all(session, account.id, now)
            token = await start_session(session, account.id, visitor, now)
            await self._record(session, Action.PASSWORD_CHANGED, account, None, now)
        return token

    async def _set_password(
        self,
        session: Session,
        account: Account,
        password_hash: str,
        now: datetime,
        *,
        one_time_until: datetime | None,
    ) -> None:
        account.password_hash = password_hash
        account.password_changed_at = now
        account.one_time_until = one_time_until
        await repository.remember_hash(
            session, account.id, password_hash, now, rules.PASSWORDS_REMEMBERED
        )

    async def _set_roles(
        self,
        session: Session,
        account: Account,
        agency: str,
        roles: Iterable[Role],
        now: datetime,
    ) -> None:
        before = (await repository.roles_of(session, account.id)).get(agency, frozenset())
        after = sorted(str(role) for role in roles)
        if before == set(after):
            return
        await repository.set_roles(session, account.id, agency, after)
        await self._record(
            session,
            Action.ROLES_CHANGED,
            account,
            agency,
            now,
            before={"roles": sorted(before)},
            after={"roles": after},
        )

    async def _member(self, session: Session, agency: str, account_id: UUID) -> Account:
        """The account, held. Raises :class:`NotFoundError` when it has no role at the agency."""
        account = await repository.lock(session, account_id)
        if account is None or agency not in await repository.roles_of(session, account_id):
            raise NotFoundError
        return account

    async def _whole(
        self, session: Session, agency: str, account_id: UUID, manager: Manager
    ) -> Account:
        """The account, held, when all of it is the manager's. Raises 404, 403."""
        account = await self._member(session, agency, account_id)
        everywhere = await repository.roles_of(session, account_id)
        if not rules.may_manage_whole_account(everywhere, manager.principal.roles):
            raise ForbiddenError(
                "This account also works for another agency: take its roles away here instead",
                slug="account-shared",
            )
        return account

    @staticmethod
    def _somebody_stays(administrators: set[UUID], without: UUID) -> None:
        if without in administrators and len(administrators) == 1:
            raise ConflictError("An agency needs an administrator", slug="last-administrator")

    @staticmethod
    async def _record(
        session: Session,
        action: Action,
        account: Account,
        agency: str | None,
        now: datetime,
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> None:
        await audit.record(
            session,
            action,
            agency=agency,
            at=now,
            subject=f"account/{account.id}",
            label=account.email,
            before=before,
            after=after,
        )
