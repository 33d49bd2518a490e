"""Who is at the door: the seam for typed proofs, and the local password."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.identity.accounts import repository as accounts
from services.identity.accounts.models import Account
from services.identity.accounts.rules import is_dormant
from services.identity.authenticators.limits import Limits, TooMany
from services.identity.passwords.rules import may_use_password, normalise_password
from services.identity.visitor import Visitor
from shared.clock import Clock
from shared.database import Database
from shared.mail.address import normalise_email
from shared.passwords.hasher import PasswordHasher

__all__ = [
    "Authenticator",
    "Outcome",
    "PasswordAuthenticator",
    "Proven",
    "Refused",
    "TooMany",
    "is_of",
]


@dataclass(frozen=True, slots=True)
class Proven:
    """This account is at the door. ``chosen_at``: when the password was chosen that was right.

    Whoever begins a session with it holds the account and looks whether that is still its password.
    """

    account_id: UUID
    chosen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Not proven; why is nobody's business."""


Outcome = Proven | Refused | TooMany


def is_of(outcome: Outcome, account_id: UUID) -> bool:
    """Whether it proves that this account is at the door."""
    return isinstance(outcome, Proven) and outcome.account_id == account_id


class Authenticator(Protocol):
    """One way to prove who one is. ``credentials`` is what its own form or protocol brought."""

    async def authenticate(self, credentials: Mapping[str, str], visitor: Visitor) -> Outcome: ...


def _impossible(typed: str) -> str:
    """A stand-in that no account can have, safe to look up whatever was typed."""
    return "?" + hashlib.sha256(typed.encode("utf-8", "surrogatepass")).hexdigest()


class PasswordAuthenticator:
    """A local account's e-mail address and password."""

    def __init__(
        self, database: Database, hasher: PasswordHasher, clock: Clock, limits: Limits
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._clock = clock
        self._limits = limits

    async def authenticate(self, credentials: Mapping[str, str], visitor: Visitor) -> Outcome:
        """``email`` and ``password``. Unknown, disabled, dormant and wrong are one and the same answer."""
        # An address that cannot exist takes the same way as one that does not.
        email = normalise_email(credentials["email"]) or _impossible(credentials["email"])
        password = normalise_password(credentials["password"])
        tried = await self._limits.begin(email, visitor)
        if isinstance(tried, TooMany):
            return tried
        async with self._database.read() as session:
            account = await accounts.by_email(session, email)
        right = await self._hasher.verify(account.password_hash if account else None, password)
        if account is None or not right or not self._may_enter(account):
            await self._limits.failed(tried)
            return Refused()
        fresh = await self._renewed(account, password)
        async with self._database.transaction() as session:
            if fresh is not None:
                # Before the count of tries, as everywhere: no deadlock.
                held = await accounts.lock(session, account.id)
                # Not when the password was changed in the meantime.
                if held is not None and held.password_hash == account.password_hash:
                    held.password_hash = fresh
            await self._limits.succeeded(session, tried)
        return Proven(account.id, account.password_changed_at)

    def _may_enter(self, account: Account) -> bool:
        now = self._clock.now()
        return (
            account.disabled_at is None
            and not is_dormant(account.last_active_at, now)
            and may_use_password(account.one_time_until, now)
        )

    async def _renewed(self, account: Account, password: str) -> str | None:
        """The hash with the present parameters, when the kept one has others."""
        kept = account.password_hash
        if kept is None or not self._hasher.needs_rehash(kept):
            return None
        return await self._hasher.hash(password)
