"""Proving again who one is, in the middle of a session: the app's code, or the password where there is no app."""

from __future__ import annotations

from services.identity.authenticators.service import Authenticator, Outcome, Proven, TooMany
from services.identity.factors.service import FactorService
from services.identity.sessions.rules import Factor
from services.identity.sessions.service import Current, SessionService
from services.identity.visitor import Visitor
from shared.security.events import SecurityEvent
from shared.security.report import tell


class StepUp:
    """Counted like any other try."""

    def __init__(
        self, sessions: SessionService, factors: FactorService, authenticator: Authenticator
    ) -> None:
        self._sessions = sessions
        self._factors = factors
        self._authenticator = authenticator

    async def asks_for_code(self, current: Current) -> bool:
        return (await self._factors.held(current.principal.account_id)).has_app

    async def confirm(self, current: Current, typed: str, visitor: Visitor) -> str | None:
        """What was wrong, as a word for the page; None when the session is fresh now."""
        checked: Factor | Outcome
        if await self.asks_for_code(current):
            checked = await self._factors.check(current, typed, visitor)
        else:
            checked = await self._authenticator.authenticate(
                {"email": current.principal.email, "password": typed}, visitor
            )
        if isinstance(checked, TooMany):
            return "too-many"
        if not isinstance(checked, Factor) and checked != Proven(current.principal.account_id):
            tell(SecurityEvent.STEP_UP_FAILED)
            return "wrong"
        await self._sessions.confirmed(current)
        return None
