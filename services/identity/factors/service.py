"""Second factors: enrol an authenticator app, prove a code, recovery codes.

Never may a code be good twice; never may an app be enrolled with a secret that another session was shown.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.identity import trail
from services.identity.accounts import repository as accounts
from services.identity.authenticators.limits import Limits, TooMany
from services.identity.authenticators.service import Refused
from services.identity.factors import repository, rules
from services.identity.factors.adapters import totp
from services.identity.factors.adapters.seal import Seal
from services.identity.factors.models import TotpFactor
from services.identity.sessions import repository as sessions
from services.identity.sessions.rules import Factor, Step
from services.identity.sessions.service import Begun, Current, SessionService
from services.identity.visitor import Visitor, digest
from shared.audit import Action
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, UnauthorizedError
from shared.security.events import SecurityEvent
from shared.security.report import tell

ISSUER = "Press revenue"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the page shows to an app: the QR code's picture, and the secret to type where there is no camera."""

    picture: str
    secret: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Shown once."""

    codes: Sequence[str]
    begun: Begun


@dataclass(frozen=True, slots=True)
class Held:
    """What the account page tells of one's factors."""

    has_app: bool
    codes_left: int


def new_recovery_codes() -> list[str]:
    """Ten of 80 bits each."""
    return [
        base64.b32encode(secrets.token_bytes(10)).decode().lower()
        for _ in range(rules.RECOVERY_CODES)
    ]


class FactorService:
    """Use cases about second factors."""

    def __init__(
        self, database: Database, clock: Clock, sessions: SessionService, limits: Limits, seal: Seal
    ) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._limits = limits
        self._seal = seal

    async def held(self, account_id: UUID) -> Held:
        async with self._database.read() as session:
            return Held(
                await repository.of_account(session, account_id) is not None,
                await repository.codes_left(session, account_id),
            )

    async def check(
        self, current: Current, typed: str, visitor: Visitor
    ) -> Factor | Refused | TooMany:
        """Use up a code of the app or a recovery code; which it was."""
        account_id = current.principal.account_id
        tried = await self._limits.begin(current.principal.email, visitor, "code")
        if isinstance(tried, TooMany):
            return tried
        async with self._database.transaction() as session:
            used = await self._use(session, account_id, typed)
            if used is not None:
                await self._limits.succeeded(session, tried)
                return used
        await self._limits.failed(tried)
        return Refused()

    async def prove(
        self, current: Current, typed: str, next: str, visitor: Visitor
    ) -> Begun | Refused | TooMany:
        """The second factor of a pending session."""
        account_id = current.principal.account_id
        tried = await self._limits.begin(current.principal.email, visitor, "code")
        if isinstance(tried, TooMany):
            return tried
        async with self._database.transaction() as session:
            await accounts.lock(session, account_id)  # first, as everywhere: no deadlock
            used = await self._use(session, account_id, typed)
            if used is not None:
                await self._limits.succeeded(session, tried)
                # With the code's use: one that opens nothing, since the session has ended, is not used up.
                return await self._sessions.prove(session, current, used, next, visitor)
        await self._limits.failed(tried)
        tell(SecurityEvent.SECOND_FACTOR_FAILED)
        return Refused()

    async def _use(self, session: Session, account_id: UUID, typed: str) -> Factor | None:
        now = self._clock.now()
        held = await repository.lock(session, account_id)
        if held is None:
            return None
        code = rules.typed_code(typed)
        if code is not None:
            period = totp.matching_period(self._seal.open(held.secret), code, now, held.last_step)
            if period is None:
                return None
            held.last_step = period
            return Factor.TOTP
        recovery = rules.typed_recovery_code(typed)
        if recovery is None or not await repository.use_code(
            session, account_id, digest(recovery), now
        ):
            return None
        await self._record(session, Action.RECOVERY_CODE_USED, account_id)
        return Factor.RECOVERY_CODE

    async def offer(self, current: Current) -> Enrolment:
        """The secret this session may enrol: the same on every look, and no other session's."""
        async with self._database.transaction() as session:
            row = await sessions.lock(session, current.session_id)
            if row is None:
                raise UnauthorizedError
            if row.enrolling is None:
                row.enrolling = self._seal.close(totp.new_secret())
            secret = self._seal.open(row.enrolling)
        address = totp.address(secret, current.principal.email, ISSUER)
        return Enrolment(totp.picture(address), rules.shown_recovery_code(secret))

    async def enrol(
        self, current: Current, typed: str, next: str, visitor: Visitor
    ) -> Enrolled | None:
        """Enrol the app that shows this code; None when the code is not of the secret that was shown.

        The account's other sessions end. Raises :class:`ConflictError` when there is an app already and this session
        has not proved it.
        """
        now, account_id = self._clock.now(), current.principal.account_id
        async with self._database.transaction() as session:
            await accounts.lock(session, account_id)  # first, as everywhere: no deadlock
            row = await sessions.lock(session, current.session_id)
            if row is None:
                raise UnauthorizedError
            if current.due not in (None, Step.ENROL):
                raise ConflictError("Another step comes first", slug="step-due")
            if current.due is Step.ENROL and await repository.lock(session, account_id):
                raise ConflictError("There is an app already", slug="factor-exists")
            code = rules.typed_code(typed)
            if code is None or row.enrolling is None:
                return None
            period = totp.matching_period(self._seal.open(row.enrolling), code, now, 0)
            if period is None:
                return None
            factor = TotpFactor(
                account_id=account_id, secret=row.enrolling, last_step=period, created_at=now
            )
            await repository.replace(session, factor)
            codes = await self._make_codes(session, account_id)
            row.enrolling = None
            await sessions.end_all(session, account_id, now, but=row.id)
            await self._record(session, Action.FACTOR_ENROLLED, account_id)
            begun = await self._sessions.prove(session, current, Factor.TOTP, next, visitor)
        return Enrolled(codes, begun)

    async def renew_codes(self, current: Current) -> Sequence[str]:
        """New recovery codes; the old ones are void. The caller has asked for a fresh proof."""
        account_id = current.principal.account_id
        async with self._database.transaction() as session:
            if await repository.lock(session, account_id) is None:
                raise ConflictError("There is no app", slug="factor-missing")
            codes = await self._make_codes(session, account_id)
            await self._record(session, Action.RECOVERY_CODES_MADE, account_id)
        return codes

    async def remove(self, current: Current) -> None:
        """Give the app up. An administrator then has to enrol another one before anything else."""
        account_id = current.principal.account_id
        async with self._database.transaction() as session:
            if await repository.remove(session, account_id):
                await self._record(session, Action.FACTOR_REMOVED, account_id)

    async def _make_codes(self, session: Session, account_id: UUID) -> Sequence[str]:
        codes = new_recovery_codes()
        await repository.replace_codes(session, account_id, [digest(code) for code in codes])
        return [rules.shown_recovery_code(code) for code in codes]

    async def _record(self, session: Session, action: Action, account_id: UUID) -> None:
        account = await accounts.by_id(session, account_id)
        assert account is not None
        await trail.record(session, action, account, self._clock.now())
