"""Sessions: begin at sign-in, recognise, end. The token is the browser's; we keep its hash."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.identity.accounts import repository as accounts
from services.identity.accounts.models import Account
from services.identity.accounts.rules import DORMANT_AFTER
from services.identity.authenticators import repository as attempts
from services.identity.authenticators.rules import FORGET_AFTER
from services.identity.authenticators.service import Authenticator, Proven, Refused, TooMany
from services.identity.sessions import repository, rules
from services.identity.sessions.models import StaffSession
from shared import audit
from shared.audit import Action, Actor
from shared.audit.caller import ActorKind
from shared.auth import StaffPrincipal
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import NotFoundError
from shared.ids import new_id

USER_AGENT_MAX = 300


@dataclass(frozen=True, slots=True)
class Visitor:
    """From where and with what somebody comes."""

    network: str
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Current:
    """A live session. ``must_change_password``: nothing else is open until the password is their own."""

    session_id: UUID
    principal: StaffPrincipal
    must_change_password: bool


@dataclass(frozen=True, slots=True)
class SignedIn:
    token: str


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


async def start_session(session: Session, account_id: UUID, visitor: Visitor, now: datetime) -> str:
    """A fresh session in the caller's transaction; its token, which is never seen again."""
    token = secrets.token_urlsafe(32)
    await repository.add(
        session,
        StaffSession(
            id=new_id(),
            token_hash=token_hash(token),
            account_id=account_id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + rules.LIFETIME,
            network=visitor.network,
            user_agent=visitor.user_agent[:USER_AGENT_MAX],
        ),
    )
    return token


async def _record(session: Session, action: Action, account: Account, now: datetime) -> None:
    """Of a session's beginning and end the account itself is the actor."""
    await audit.record(
        session,
        action,
        agency=None,
        at=now,
        subject=f"account/{account.id}",
        label=account.email,
        actor=Actor(ActorKind.STAFF, str(account.id), account.email),
    )


class SessionService:
    """Use cases about sessions."""

    def __init__(self, database: Database, clock: Clock, authenticator: Authenticator) -> None:
        self._database = database
        self._clock = clock
        self._authenticator = authenticator

    async def sign_in(
        self, credentials: Mapping[str, str], visitor: Visitor, old_token: str
    ) -> SignedIn | Refused | TooMany:
        """Prove, end the browser's old session, begin a new one."""
        outcome = await self._authenticator.authenticate(credentials, visitor.network)
        if not isinstance(outcome, Proven):
            return outcome
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await accounts.lock(session, outcome.account_id)
            if account is None or account.disabled_at is not None:
                return Refused()
            if old_token:
                await repository.end_by_token(session, token_hash(old_token), now)
            await accounts.touch(session, account.id, now)
            token = await start_session(session, account.id, visitor, now)
            await _record(session, Action.SIGNED_IN, account, now)
        return SignedIn(token)

    async def current(self, token: str) -> Current | None:
        """Who this session is, counted as activity; None when it has ended in any way."""
        if not token:
            return None
        now = self._clock.now()
        async with self._database.read() as session:
            found = await repository.find(session, token_hash(token))
            if found is None:
                return None
            staff_session, account = found
            roles = await accounts.roles_of(session, account.id)
        live = rules.is_live(
            last_seen_at=staff_session.last_seen_at,
            expires_at=staff_session.expires_at,
            ended_at=staff_session.ended_at,
            idle=rules.idle_limit(roles),
            now=now,
        )
        if not live or account.disabled_at is not None:
            return None
        if rules.needs_touch(staff_session.last_seen_at, now):
            async with self._database.transaction() as writing:
                await repository.touch(writing, staff_session.id, now)
        return Current(
            staff_session.id,
            StaffPrincipal(account.id, account.email, account.name, roles),
            account.one_time_until is not None,
        )

    async def sign_out(self, token: str) -> None:
        now = self._clock.now()
        async with self._database.transaction() as session:
            account_id = await repository.end_by_token(session, token_hash(token), now)
            account = await accounts.by_id(session, account_id) if account_id else None
            if account is not None:
                await _record(session, Action.SIGNED_OUT, account, now)

    async def own_sessions(self, current: Current) -> Sequence[StaffSession]:
        now = self._clock.now()
        idle = rules.idle_limit(current.principal.roles)
        async with self._database.read() as session:
            return await repository.live(
                session, current.principal.account_id, seen_since=now - idle, now=now
            )

    async def end_own(self, current: Current, session_id: UUID) -> None:
        """Raises :class:`NotFoundError` for anybody else's session."""
        now = self._clock.now()
        account_id = current.principal.account_id
        async with self._database.transaction() as session:
            if not await repository.end_one(session, session_id, account_id, now):
                raise NotFoundError
            await audit.record(
                session,
                Action.SESSION_ENDED,
                agency=None,
                at=now,
                subject=f"account/{account_id}",
                label=current.principal.email,
            )

    async def housekeeping(self) -> None:
        """Disable dormant accounts; delete what has no further use. Safe to repeat and in parallel."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            for account_id in await accounts.disable_dormant(session, now - DORMANT_AFTER, now):
                await repository.end_all(session, account_id, now)
                await audit.record(
                    session,
                    Action.ACCOUNT_DISABLED,
                    agency=None,
                    at=now,
                    subject=f"account/{account_id}",
                    after={"reason": "dormant"},
                    actor=Actor.system("identity-housekeeping"),
                )
            await attempts.purge(session, now - 2 * FORGET_AFTER)
            await repository.purge(session, now - rules.KEEP_ENDED)
