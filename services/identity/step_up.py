"""Proving again who one is, in the middle of a session: the app's code; where there is no app, the password or the provider."""

from __future__ import annotations

from dataclasses import dataclass

from services.identity.accounts import repository as accounts
from services.identity.authenticators.service import Authenticator, Outcome, TooMany, is_of
from services.identity.factors.service import FactorService
from services.identity.provider import repository as provider
from services.identity.sessions.rules import Factor
from services.identity.sessions.service import Current, SessionService
from services.identity.visitor import Visitor
from shared.clock import Clock
from shared.database import Database
from shared.security.events import SecurityEvent
from shared.security.report import tell


@dataclass(frozen=True, slots=True)
class Ways:
    """What this account may prove itself with."""

    code: bool
    password: bool
    provider: bool


class StepUp:
    """Counted like any other try. ``issuer``: of the provider, empty where there is none."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        sessions: SessionService,
        factors: FactorService,
        authenticator: Authenticator,
        issuer: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._issuer = issuer
        self._sessions = sessions
        self._factors = factors
        self._authenticator = authenticator

    async def ways(self, current: Current) -> Ways:
        """With an app nothing else will do: it was set up because a password, here or there, is not enough."""
        account_id = current.principal.account_id
        if (await self._factors.held(account_id)).has_app:
            return Ways(code=True, password=False, provider=False)
        async with self._database.read() as session:
            account = await accounts.by_id(session, account_id)
            subject = await provider.subject_of_account(session, account_id, self._issuer)
        has_password = account is not None and account.password_hash is not None
        return Ways(code=False, password=has_password, provider=subject is not None)

    async def confirm(self, current: Current, typed: str, visitor: Visitor) -> str | None:
        """What was wrong, as a word for the page; None when the session is fresh now."""
        account_id = current.principal.account_id
        checked: Factor | Outcome
        if (await self.ways(current)).code:
            checked = await self._factors.check(current, typed, visitor)
        else:
            checked = await self._authenticator.authenticate(
                {"email": current.principal.email, "password": typed}, visitor
            )
        if isinstance(checked, TooMany):
            return "too-many"
        if not isinstance(checked, Factor) and not is_of(checked, account_id):
            tell(SecurityEvent.STEP_UP_FAILED)
            return "wrong"
        await self._sessions.confirmed(current, self._clock.now())
        return None
