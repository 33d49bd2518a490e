"""Sessions: begin when somebody has proved who they are, lead through what is still due, recognise, end.

A session is *pending* until nothing is due any more (``sessions.rules.due_step``); a pending session opens the pages of
its steps and nothing else, here and at every service. The token is the browser's; we keep its hash.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.identity import trail
from services.identity.accounts import repository as accounts
from services.identity.accounts.models import Account
from services.identity.accounts.rules import DORMANT_AFTER, effective_roles, is_administrator
from services.identity.authenticators import repository as attempts
from services.identity.authenticators.rules import (
    DEVICE_FORGOTTEN_AFTER,
    DEVICES_PER_ACCOUNT,
    FORGET_AFTER,
)
from services.identity.authenticators.service import Authenticator, Proven, Refused, TooMany
from services.identity.factors import repository as factors
from services.identity.metrics import SIGN_INS
from services.identity.provider import repository as visits
from services.identity.sessions import repository, rules
from services.identity.sessions.models import StaffSession
from services.identity.sessions.rules import Factor, Step
from services.identity.visitor import Visitor, digest
from shared import audit
from shared.audit import Action, Actor
from shared.auth import StaffPrincipal
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import NotFoundError, UnauthorizedError
from shared.ids import new_id
from shared.security.events import SecurityEvent
from shared.security.report import tell

USER_AGENT_MAX = 300


@dataclass(frozen=True, slots=True)
class Current:
    """A live session. ``due``: nothing but this step's page is open before it is done."""

    session_id: UUID
    principal: StaffPrincipal
    due: Step | None

    @property
    def authenticated_at(self) -> datetime:
        assert self.principal.authenticated_at is not None
        return self.principal.authenticated_at


@dataclass(frozen=True, slots=True)
class Begun:
    """A session under way: its new token, where the browser goes now, and the device's cookie once it is complete."""

    token: str
    location: str
    device: str | None


class SessionService:
    """Use cases about sessions."""

    def __init__(self, database: Database, clock: Clock, authenticator: Authenticator) -> None:
        self._database = database
        self._clock = clock
        self._authenticator = authenticator

    async def sign_in(
        self, credentials: Mapping[str, str], next: str, visitor: Visitor, old_token: str
    ) -> Begun | Refused | TooMany:
        """By e-mail address and password. ``next`` has passed ``rules.safe_next``; the browser's old session ends."""
        outcome = await self._authenticator.authenticate(credentials, visitor)
        if not isinstance(outcome, Proven):
            if isinstance(outcome, Refused):
                tell(SecurityEvent.SIGN_IN_FAILED)
            return outcome
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await accounts.lock(session, outcome.account_id)
            if (
                account is not None
                and account.disabled_at is None
                and account.password_changed_at == outcome.chosen_at
            ):
                if old_token:
                    await repository.end_by_token(session, digest(old_token), now)
                return await self.begin_in(
                    session, account, {Factor.PASSWORD}, next, visitor, proved_at=now
                )
        tell(SecurityEvent.SIGN_IN_FAILED)
        return Refused()

    async def begin_in(
        self,
        session: Session,
        account: Account,
        proved_by: Iterable[Factor],
        next: str,
        visitor: Visitor,
        *,
        proved_at: datetime,
    ) -> Begun:
        """A session of an account that the caller's transaction holds, whose owner has proved to be themselves in these ways.

        The entry for every authenticator. The answer says where to go: to the first step that is due, or to ``next``.
        ``proved_at``: elsewhere it may be a while ago.
        """
        now = self._clock.now()
        row = StaffSession(
            id=new_id(),
            token_hash=digest(secrets.token_urlsafe(32)),
            account_id=account.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + rules.LIFETIME,
            network=visitor.network,
            user_agent=visitor.user_agent[:USER_AGENT_MAX],
            factors=sorted(proved_by),
            authenticated_at=proved_at,
        )
        await repository.add(session, row)
        begun = await self._lead_on(session, row, account, next, visitor)
        if begun.device is None:
            await trail.record(session, Action.SIGN_IN_BEGUN, account, now, by_account=True)
        return begun

    async def prove(
        self, session: Session, current: Current, factor: Factor, next: str, visitor: Visitor
    ) -> Begun:
        """A step is done, in the caller's transaction: a new token, and where to go now."""
        account = await accounts.lock(session, current.principal.account_id)
        row = await repository.lock(session, current.session_id)
        if row is None or account is None or account.disabled_at is not None:
            raise UnauthorizedError
        row.factors = sorted({*row.factors, factor})
        row.authenticated_at = self._clock.now()
        return await self._lead_on(session, row, account, next, visitor)

    async def _lead_on(
        self, session: Session, row: StaffSession, account: Account, next: str, visitor: Visitor
    ) -> Begun:
        now = self._clock.now()
        token = secrets.token_urlsafe(32)
        row.token_hash = digest(token)
        await session.flush()
        due = await self._due(session, row, account)
        if due is not None:
            return Begun(token, rules.location(due, next), None)
        device = visitor.device
        if not device or not await attempts.is_device(session, digest(device)):
            device = secrets.token_urlsafe(32)  # never one that somebody else may have planted
        await attempts.remember_device(
            session, account.id, digest(device), now, DEVICES_PER_ACCOUNT
        )
        await accounts.touch(session, account.id, now)
        await trail.record(
            session,
            Action.SIGNED_IN,
            account,
            now,
            after={"factors": list(row.factors)},
            by_account=True,
        )
        SIGN_INS.labels("ok").inc()
        return Begun(token, next, device)

    async def _due(self, session: Session, row: StaffSession, account: Account) -> Step | None:
        roles = effective_roles(await accounts.roles_of(session, account.id), account.handed_by)
        return rules.due_step(
            row.factors,
            one_time_password=account.one_time_until is not None,
            has_totp=await factors.of_account(session, account.id) is not None,
            administrator=is_administrator(roles),
        )

    async def confirmed(self, current: Current, proved_at: datetime) -> None:
        """Somebody in a complete session has proved again who they are (step-up)."""
        async with self._database.transaction() as session:
            row = await repository.lock(session, current.session_id)
            if row is None:
                raise UnauthorizedError
            row.authenticated_at = max(row.authenticated_at, proved_at)
            await self._tell(session, Action.CONFIRMED, current)

    async def current(self, token: str) -> Current | None:
        """Who this session is, counted as activity; None when it has ended in any way."""
        if not token:
            return None
        now = self._clock.now()
        async with self._database.read() as session:
            found = await repository.find(session, digest(token))
            if found is None:
                return None
            row, account, has_totp = found
            held = await accounts.roles_of(session, account.id)
        roles = effective_roles(held, account.handed_by)
        due = rules.due_step(
            row.factors,
            one_time_password=account.one_time_until is not None,
            has_totp=has_totp,
            administrator=is_administrator(roles),
        )
        live = rules.is_live(
            last_seen_at=row.last_seen_at,
            expires_at=row.expires_at,
            ended_at=row.ended_at,
            idle=rules.idle_limit(roles),
            now=now,
        )
        if not live or account.disabled_at is not None:
            return None
        if due is not None and now - row.authenticated_at >= rules.PENDING_LIFETIME:
            return None
        if rules.needs_touch(row.last_seen_at, now):
            async with self._database.transaction() as writing:
                await repository.touch(writing, row.id, now)
        return Current(
            row.id,
            StaffPrincipal(
                account.id,
                account.email,
                account.name,
                roles,
                authenticated_at=row.authenticated_at,
                factors=frozenset(row.factors),
            ),
            due,
        )

    async def sign_out(self, token: str) -> None:
        now = self._clock.now()
        async with self._database.transaction() as session:
            account_id = await repository.end_by_token(session, digest(token), now)
            account = await accounts.by_id(session, account_id) if account_id else None
            if account is not None:
                await trail.record(session, Action.SIGNED_OUT, account, now, by_account=True)

    async def own_sessions(self, current: Current) -> Sequence[StaffSession]:
        now = self._clock.now()
        idle = rules.idle_limit(current.principal.roles)
        async with self._database.read() as session:
            return await repository.live(
                session, [current.principal.account_id], seen_since=now - idle, now=now
            )

    async def end_own(self, current: Current, session_id: UUID) -> None:
        """Raises :class:`NotFoundError` for anybody else's session."""
        account_id = current.principal.account_id
        async with self._database.transaction() as session:
            if not await repository.end_one(session, session_id, account_id, self._clock.now()):
                raise NotFoundError
            await self._tell(session, Action.SESSION_ENDED, current)

    async def end_others(self, current: Current) -> None:
        """Every session of one's own but this one."""
        account_id, now = current.principal.account_id, self._clock.now()
        async with self._database.transaction() as session:
            # Held as by whoever signs in: no session begins between the ending and the record of it.
            account = await accounts.lock(session, account_id)
            ended = await repository.end_all(session, account_id, now, but=current.session_id)
            if account is not None and ended:
                await trail.record(
                    session, Action.SESSION_ENDED, account, now, after={"sessions": ended}
                )

    async def _tell(self, session: Session, action: Action, current: Current) -> None:
        account = await accounts.by_id(session, current.principal.account_id)
        assert account is not None
        await trail.record(session, action, account, self._clock.now())

    async def housekeeping(self) -> None:
        """Disable dormant accounts; delete what has no further use. Safe to repeat and in parallel."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            asleep: list[tuple[str | None, UUID]] = []
            for account_id in await accounts.disable_dormant(session, now - DORMANT_AFTER, now):
                await repository.end_all(session, account_id, now)
                agencies = await accounts.roles_of(session, account_id)
                asleep += [(agency, account_id) for agency in agencies] or [(None, account_id)]
            # By agency: the trails' chains are locked in the order of their entries.
            for agency, account_id in sorted(asleep, key=lambda one: (one[0] or "", one[1])):
                await audit.record(
                    session,
                    Action.ACCOUNT_DISABLED,
                    agency=agency,
                    at=now,
                    subject=f"account/{account_id}",
                    after={"reason": "dormant"},
                    actor=Actor.system("identity-housekeeping"),
                )
            await visits.purge_visits(session, now)
            await attempts.purge(session, now - 2 * FORGET_AFTER, now - DEVICE_FORGOTTEN_AFTER)
            await repository.purge(session, now - rules.KEEP_ENDED)
