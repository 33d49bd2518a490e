"""The count of tries: charged before a proof is checked, given back when it was right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.identity.accounts import repository as accounts
from services.identity.authenticators import repository, rules
from services.identity.metrics import SIGN_INS
from services.identity.visitor import Visitor
from shared import audit
from shared.audit import STRANGER, Action
from shared.clock import Clock
from shared.database import Database, Session
from shared.security.events import SecurityEvent
from shared.security.report import tell


@dataclass(frozen=True, slots=True)
class TooMany:
    """No further try before ``until``."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Try:
    """A try that has been charged. ``paces``: the sliding windows it stands in."""

    email: str
    account_id: UUID | None
    origin: bytes
    paces: tuple[bytes, ...]
    at: datetime


class Limits:
    """Bounds guessing of passwords and codes."""

    def __init__(self, database: Database, clock: Clock, network_failures: int) -> None:
        self._database = database
        self._clock = clock
        self._network_failures = network_failures

    async def begin(self, email: str, visitor: Visitor, what: str = "password") -> Try | TooMany:
        """Charge one try for an address, known or not. ``what`` keeps passwords and codes apart."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await accounts.by_email(session, email)
            device = visitor.device_hash
            known = (
                account is not None
                and device is not None
                and await repository.knows_device(session, account.id, device)
            )
            origin, paces = self._where(what, visitor, email, device if known else None)
            attempts = await repository.lock_attempts(session, email, origin, now)
            verdict = rules.begin_attempt(attempts, now)
            if isinstance(verdict, rules.Locked):
                SIGN_INS.labels("locked").inc()
                tell(SecurityEvent.SIGN_IN_LIMITED, limit="lock", what=what)
                return TooMany(verdict.until)
            charged: dict[bytes, list[datetime]] = {}
            slowed = False
            for subject, (allowed, pause) in paces.items():
                failed = await repository.lock_pace(session, subject, now)
                after = rules.begin_paced_attempt(failed, allowed, pause, now)
                if isinstance(after, rules.Locked):
                    SIGN_INS.labels("network_limited").inc()
                    tell(SecurityEvent.SIGN_IN_LIMITED, limit="pace", what=what)
                    return TooMany(after.until)
                charged[subject] = after
                if len(after) == allowed and len(failed) < allowed:
                    slowed = True
                    await audit.record(
                        session,
                        Action.NETWORK_LIMITED,
                        agency=None,
                        at=now,
                        subject="network",
                        actor=STRANGER,
                    )
            for subject, failed in charged.items():
                await repository.save_pace(session, subject, failed, now)
            await repository.save_attempts(session, email, origin, verdict.after)
        if slowed:
            tell(SecurityEvent.NETWORK_LIMITED, what=what)
        return Try(email, account.id if account else None, origin, tuple(charged), now)

    def _where(
        self, what: str, visitor: Visitor, email: str, device: bytes | None
    ) -> tuple[bytes, dict[bytes, tuple[int, Any]]]:
        """Whose lock counts, and which paces, always in one order: no deadlock."""
        if device is not None:
            return repository.origin_digest(f"{what} device", device), {}
        if what == "code":
            # Whoever guesses codes has the password: they are counted over all networks.
            return repository.origin_digest("code", ""), {}
        return repository.origin_digest(what, visitor.network), {
            repository.origin_digest("account", email): (
                rules.ACCOUNT_FAILURES_ALLOWED,
                rules.ACCOUNT_PAUSE,
            ),
            repository.origin_digest("network", visitor.network): (
                self._network_failures,
                rules.NETWORK_PAUSE,
            ),
        }

    async def failed(self, tried: Try) -> None:
        """Keep the charge, and tell the trail."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            state = await repository.lock_attempts(session, tried.email, tried.origin, now)
            who: dict[str, Any] = {
                "agency": None,
                "at": now,
                # What was typed may be somebody's password: only its digest is kept.
                "subject": f"account/{tried.account_id}"
                if tried.account_id
                else f"address/{repository.email_digest(tried.email).hex()}",
                "actor": STRANGER,
            }
            await audit.record(session, Action.SIGN_IN_FAILED, **who)
            locked = state.locked_until is not None and state.failures >= rules.FAILURES_ALLOWED
            if locked:
                await audit.record(session, Action.LOCKED_OUT, **who)
        if locked:
            tell(SecurityEvent.LOCKED_OUT, subject=who["subject"])
        SIGN_INS.labels("refused").inc()

    async def succeeded(self, session: Session, tried: Try) -> None:
        """Give the charge back, in the caller's transaction."""
        await repository.forget_attempts(session, tried.email, tried.origin)
        for subject in tried.paces:
            await repository.refund_pace(session, subject, tried.at)
