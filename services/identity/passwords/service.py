"""Choosing a password: judged, never one of the last ten, and whoever chose it is signed out elsewhere."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

from services.identity import trail
from services.identity.accounts import repository as accounts
from services.identity.accounts.models import Account
from services.identity.authenticators.service import Authenticator, TooMany, is_of
from services.identity.passwords import rules
from services.identity.sessions import repository as sessions
from services.identity.sessions.rules import Factor, Step
from services.identity.sessions.service import Begun, Current, SessionService
from services.identity.visitor import Visitor
from shared.agencies import list_agencies
from shared.audit import Action
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import (
    ConflictError,
    FieldError,
    InvalidInputError,
    NotFoundError,
    TooManyRequestsError,
)
from shared.passwords.hasher import PasswordHasher
from shared.passwords.strength import StrengthMeter
from shared.passwords.words import guessable_words
from shared.security.events import SecurityEvent
from shared.security.report import tell

# Letters and digits that are not mistaken for each other when read aloud or copied by hand.
ONE_TIME_ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def one_time_password() -> str:
    """16 characters in four groups: 92 bits."""
    groups = ("".join(secrets.choice(ONE_TIME_ALPHABET) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def _invalid(field: str, message: str, expected: str, slug: str) -> InvalidInputError:
    return InvalidInputError(errors=(FieldError(field, message, expected),), slug=slug)


async def set_password(
    session: Session,
    account: Account,
    password_hash: str,
    now: datetime,
    *,
    one_time_until: datetime | None = None,
) -> None:
    """In the caller's transaction, which holds the account."""
    account.password_hash = password_hash
    account.password_changed_at = now
    account.one_time_until = one_time_until
    await accounts.remember_hash(
        session, account.id, password_hash, now, rules.PASSWORDS_REMEMBERED
    )


class PasswordService:
    """Use cases about passwords."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        hasher: PasswordHasher,
        meter: StrengthMeter,
        authenticator: Authenticator,
        sessions: SessionService,
    ) -> None:
        self._database = database
        self._clock = clock
        self._hasher = hasher
        self._meter = meter
        self._authenticator = authenticator
        self._sessions = sessions

    async def has_one(self, account_id: UUID) -> bool:
        """Not whoever came by an invitation and the provider."""
        async with self._database.read() as session:
            account = await accounts.by_id(session, account_id)
        return account is not None and account.password_hash is not None

    async def hashed(self, new: str, email: str, name: str, former: set[str]) -> str:
        """The hash of a new password that will do. Raises :class:`InvalidInputError` (field ``new``)."""
        password = rules.normalise_password(new)
        problem = rules.password_problem(password, email)
        if problem is not None:
            raise _invalid("new", "This password will not do", "12–128 characters", problem)
        async with self._database.read() as session:
            agencies = await list_agencies(session)
        words = guessable_words(
            (email, name, *(text for agency in agencies for text in (agency.id, agency.name))),
            rules.PRODUCT_WORDS,
        )
        if await self._meter.guesses_log10(password, words) < rules.GUESSES_LOG10_MIN:
            raise _invalid("new", "This password is easily guessed", "several words", "too-common")
        for used in former:
            if await self._hasher.verify(used, password):
                raise _invalid("new", "This password was used before", "a new one", "reused")
        return await self._hasher.hash(password)

    async def change_own(self, current: Current, old: str, new: str, visitor: Visitor) -> Begun:
        """Ends every session and begins a new one. Raises :class:`InvalidInputError`."""
        # Counted like any try: a stolen session must not become a way to guess the password.
        outcome = await self._authenticator.authenticate(
            {"email": current.principal.email, "password": old}, visitor
        )
        if isinstance(outcome, TooMany):
            raise TooManyRequestsError("Too many tries: wait a while", slug="locked")
        if not is_of(outcome, current.principal.account_id):
            tell(SecurityEvent.STEP_UP_FAILED)
            raise _invalid("old", "The present password is wrong", "", "wrong")
        return await self._choose(current, new, "/account?done=password", visitor)

    async def choose_own(self, current: Current, new: str, next: str, visitor: Visitor) -> Begun:
        """After a one-time password: the step of a pending session. Raises :class:`InvalidInputError`."""
        if current.due is not Step.OWN_PASSWORD:
            raise ConflictError("Another step comes first", slug="step-due")
        return await self._choose(current, new, next, visitor)

    async def _choose(self, current: Current, new: str, next: str, visitor: Visitor) -> Begun:
        account_id = current.principal.account_id
        async with self._database.read() as reading:
            account = await accounts.by_id(reading, account_id)
            former = await accounts.former_hashes(reading, account_id, rules.PASSWORDS_REMEMBERED)
        if account is None:
            raise NotFoundError
        kept = {account.password_hash} if account.password_hash is not None else set()
        password_hash = await self.hashed(new, account.email, account.name, kept | {*former})
        now = self._clock.now()
        async with self._database.transaction() as session:
            held = await accounts.lock(session, account_id)
            if held is None or held.password_hash != account.password_hash:
                raise ConflictError("It was changed in the meantime", slug="password-changed")
            await set_password(session, held, password_hash, now)
            await sessions.end_all(session, account_id, now, but=current.session_id)
            await trail.record(session, Action.PASSWORD_CHANGED, held, now)
            return await self._sessions.prove(session, current, Factor.PASSWORD, next, visitor)
