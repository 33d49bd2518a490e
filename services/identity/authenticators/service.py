"""Who is at the door: the seam for every way to prove it, and the local password."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from services.identity.accounts import repository as accounts
from services.identity.accounts.adapters.hasher import PasswordHasher
from services.identity.accounts.models import Account
from services.identity.accounts.rules import (
    is_dormant,
    may_use_password,
    normalise_email,
    normalise_password,
)
from services.identity.authenticators import repository, rules
from services.identity.metrics import SIGN_INS
from shared import audit
from shared.audit import STRANGER, Action
from shared.clock import Clock
from shared.database import Database


@dataclass(frozen=True, slots=True)
class Proven:
    """This account is at the door."""

    account_id: UUID


@dataclass(frozen=True, slots=True)
class Refused:
    """Not proven; why is nobody's business."""


@dataclass(frozen=True, slots=True)
class TooMany:
    """No further try before ``until``: too many failed for the address or from the network."""

    until: datetime


Outcome = Proven | Refused | TooMany


class Authenticator(Protocol):
    """One way to prove who one is. ``credentials`` is what its own form or protocol brought."""

    async def authenticate(self, credentials: Mapping[str, str], network: str) -> Outcome: ...


def _impossible(typed: str) -> str:
    """A stand-in that no account can have, safe to look up whatever was typed."""
    return "?" + hashlib.sha256(typed.encode("utf-8", "surrogatepass")).hexdigest()


class PasswordAuthenticator:
    """A local account's e-mail address and password."""

    def __init__(
        self, database: Database, hasher: PasswordHasher, clock: Clock, network_failures: int
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._clock = clock
        self._network_failures = network_failures

    async def authenticate(self, credentials: Mapping[str, str], network: str) -> Outcome:
        """``email`` and ``password``. Unknown, disabled, dormant and wrong are one and the same answer."""
        # An address that cannot exist takes the same way as one that does not.
        email = normalise_email(credentials["email"]) or _impossible(credentials["email"])
        password = normalise_password(credentials["password"])
        locked = await self._begin(email, network)
        if locked is not None:
            return locked
        async with self._database.read() as session:
            account = await accounts.by_email(session, email)
        right = await self._hasher.verify(account.password_hash if account else None, password)
        if account is None or not right or not self._may_enter(account):
            await self._failed(email, account)
            return Refused()
        await self._succeeded(account, password, network)
        return Proven(account.id)

    def _may_enter(self, account: Account) -> bool:
        now = self._clock.now()
        return (
            account.disabled_at is None
            and not is_dormant(account.last_active_at, now)
            and may_use_password(account.one_time_until, now)
        )

    async def _begin(self, email: str, network: str) -> TooMany | None:
        """Charge the try to the network and to the address before it is made."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            window, failures = await repository.lock_network(session, network, now)
            after = rules.begin_network_attempt(window, failures, self._network_failures, now)
            if isinstance(after, rules.Locked):
                SIGN_INS.labels("network_limited").inc()
                return TooMany(after.until)
            verdict = rules.begin_attempt(await repository.lock_attempts(session, email, now), now)
            if isinstance(verdict, rules.Locked):
                SIGN_INS.labels("locked").inc()
                return TooMany(verdict.until)
            await repository.save_network(session, network, *after)
            await repository.save_attempts(session, email, verdict.after)
            if after[1] == self._network_failures:
                await audit.record(
                    session,
                    Action.NETWORK_LIMITED,
                    agency=None,
                    at=now,
                    subject="network",
                    actor=STRANGER,
                )
        return None

    async def _failed(self, email: str, account: Account | None) -> None:
        now = self._clock.now()
        async with self._database.transaction() as session:
            state = await repository.lock_attempts(session, email, now)
            who: dict[str, Any] = {
                "agency": None,
                "at": now,
                # What was typed may be somebody's password: only its digest is kept.
                "subject": f"account/{account.id}"
                if account
                else f"address/{repository.email_digest(email).hex()}",
                "actor": STRANGER,
            }
            await audit.record(session, Action.SIGN_IN_FAILED, **who)
            if state.locked_until is not None and state.failures >= rules.FAILURES_ALLOWED:
                await audit.record(session, Action.LOCKED_OUT, **who)
        SIGN_INS.labels("refused").inc()

    async def _succeeded(self, account: Account, password: str, network: str) -> None:
        """Forget the failures; bring an old hash up to the present parameters."""
        fresh = (
            await self._hasher.hash(password)
            if self._hasher.needs_rehash(account.password_hash)
            else None
        )
        async with self._database.transaction() as session:
            await repository.clear_attempts(session, account.email)
            await repository.refund_network(session, network)
            if fresh is not None:
                held = await accounts.lock(session, account.id)
                # Not when the password was changed in the meantime.
                if held is not None and held.password_hash == account.password_hash:
                    held.password_hash = fresh
        SIGN_INS.labels("ok").inc()
