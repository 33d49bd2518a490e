"""Sign-in, linking and step-up by the provider: send the browser there, and take the answer it brings back.

An answer is taken once, from the browser that was sent, within ten minutes. The provider is spoken to between two
transactions and never inside one.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from services.identity import trail
from services.identity.accounts import repository as accounts
from services.identity.accounts.rules import is_administrator, is_dormant
from services.identity.factors import repository as factors
from services.identity.invitations.service import InvitationService
from services.identity.metrics import PROVIDER_ANSWERS, SIGN_INS
from services.identity.provider import repository, rules
from services.identity.provider.linking import link_subject, opened_by, proofs
from services.identity.provider.models import ExternalSubject, ProviderVisit
from services.identity.provider.rules import (
    Claims,
    Problem,
    ProviderAnswerError,
    ProviderUnavailableError,
    Purpose,
)
from services.identity.provider.turns import take_turn
from services.identity.sessions import repository as staff_sessions
from services.identity.sessions.service import Begun, Current, SessionService
from services.identity.visitor import Visitor, digest
from shared import audit
from shared.audit import STRANGER, Action
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, ForbiddenError, NotFoundError
from shared.mail.address import normalise_email
from shared.security.events import SecurityEvent
from shared.security.report import expected, tell

log = structlog.get_logger(__name__)

Fields = Sequence[tuple[str, str]]


class Provider(Protocol):
    """An OpenID provider. Both calls raise ``ProviderUnavailableError`` and ``ProviderAnswerError``."""

    issuer: str

    async def authorization_url(
        self, *, state: str, nonce: str, code_verifier: str, language: str, max_age: timedelta
    ) -> str: ...

    async def redeem(
        self, code: str, *, issuer: str, code_verifier: str, nonce: str, with_address: bool
    ) -> Claims: ...


@dataclass(frozen=True, slots=True)
class Leaving:
    """Where the browser goes; ``browser`` stays in its cookie, under a name made from ``state``."""

    url: str
    state: str
    browser: str


@dataclass(frozen=True, slots=True)
class Back:
    """What the browser brought: the callback's parameters, and its cookie."""

    state: str
    browser: str
    code: str
    error: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Entered:
    begun: Begun


@dataclass(frozen=True, slots=True)
class Linked:
    pass


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The form that asked for the proof, to be sent again."""

    action: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Failed:
    """Why, and what the browser had come for. ``email``: whom the provider takes the person for. ``wait``: seconds."""

    problem: Problem
    purpose: Purpose | None = None
    next: str = "/"
    email: str = ""
    wait: int = 10


Outcome = Entered | Linked | Confirmed | Failed


class ProviderService:
    """Use cases about the provider."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        provider: Provider,
        sessions: SessionService,
        invitations: InvitationService,
    ) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider
        self._sessions = sessions
        self._invitations = invitations

    async def start(
        self,
        purpose: Purpose,
        visitor: Visitor,
        language: str,
        *,
        next: str = "/",
        session_id: UUID | None = None,
        invitation: str = "",
        fields: Fields = (),
    ) -> Leaving | Failed:
        """``session_id``: of who links or confirms; ``next`` has passed ``Access.next``."""
        state, browser, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(4))
        try:
            url = await self._provider.authorization_url(
                state=state,
                nonce=nonce,
                code_verifier=verifier,
                language=language,
                max_age=rules.MAX_AGE[purpose],
            )
        except (ProviderUnavailableError, ProviderAnswerError) as error:
            return Failed(self._away(error), purpose, next)
        if invitation:
            try:
                await self._invitations.look(invitation)
            except NotFoundError:
                return Failed(Problem.INVITATION_ENDED, purpose, next)
        now = self._clock.now()
        async with self._database.transaction() as session:
            wait = await take_turn(session, visitor, session_id, invitation, now)
            if wait is not None:
                return Failed(Problem.TOO_MANY, purpose, next, wait=wait)
            visit = ProviderVisit(
                state_hash=digest(state),
                browser_hash=digest(browser),
                purpose=purpose,
                nonce=nonce,
                code_verifier=verifier,
                next=next,
                session_id=session_id,
                invitation_hash=digest(invitation) if invitation else None,
                form=[list(field) for field in fields],
                started_at=now,
                expires_at=now + rules.VISIT_LIFETIME,
            )
            await repository.add_visit(session, visit)
        return Leaving(url, state, browser)

    async def finish(
        self, back: Back, current: Current | None, visitor: Visitor, old_token: str
    ) -> Outcome:
        """What comes of the answer. ``current``: the browser's session, if there is one."""
        async with self._database.transaction() as session:
            visit = await repository.take_visit(
                session, digest(back.state), digest(back.browser), self._clock.now()
            )
        if visit is None:
            tell(SecurityEvent.PROVIDER_ANSWER_UNEXPECTED)
            PROVIDER_ANSWERS.labels("unexpected").inc()
            return Failed(Problem.UNKNOWN)
        purpose = Purpose(visit.purpose)
        if visit.session_id is not None and (
            current is None or current.session_id != visit.session_id or current.due is not None
        ):
            return Failed(Problem.SESSION_ENDED, purpose, visit.next)
        claims = await self._redeem(back, visit)
        if isinstance(claims, Problem):
            return Failed(claims, purpose, visit.next)
        outcome = await self._use(purpose, claims, visit, current, visitor, old_token)
        if not isinstance(outcome, Problem):
            return outcome
        return Failed(outcome, purpose, visit.next, claims.email or "")

    async def _redeem(self, back: Back, visit: ProviderVisit) -> Claims | Problem:
        if back.error == "access_denied":
            PROVIDER_ANSWERS.labels("declined").inc()
            expected()
            return Problem.DECLINED
        try:
            if back.error:
                raise ProviderUnavailableError(f"error {back.error[:80]!r}")
            claims = await self._provider.redeem(
                back.code,
                issuer=back.issuer,
                code_verifier=visit.code_verifier,
                nonce=visit.nonce,
                with_address=visit.purpose in (Purpose.LINK, Purpose.INVITATION),
            )
        except ProviderAnswerError as error:
            tell(SecurityEvent.PROVIDER_ANSWER_REFUSED, reason=str(error))
            PROVIDER_ANSWERS.labels("refused").inc()
            return Problem.INVALID
        except ProviderUnavailableError as error:
            return self._away(error)
        PROVIDER_ANSWERS.labels("ok").inc()
        return claims

    async def _use(
        self,
        purpose: Purpose,
        claims: Claims,
        visit: ProviderVisit,
        current: Current | None,
        visitor: Visitor,
        old_token: str,
    ) -> Entered | Linked | Confirmed | Problem:
        proved_at = rules.proved_at(claims, purpose, visit.started_at, self._clock.now())
        if proved_at is None:
            if purpose is Purpose.CONFIRM:
                tell(SecurityEvent.STEP_UP_FAILED)
            else:
                tell(SecurityEvent.PROVIDER_ANSWER_REFUSED, reason="auth_time is too old or none")
            return Problem.NOT_FRESH
        if purpose is Purpose.INVITATION:
            assert visit.invitation_hash is not None
            return await self._accept(claims, proved_at, visit.invitation_hash, visitor, old_token)
        if purpose is Purpose.SIGN_IN:
            return await self._sign_in(claims, proved_at, visit.next, visitor, old_token)
        assert current is not None
        if purpose is Purpose.LINK:
            return await self._link(claims, current)
        return await self._confirm(claims, proved_at, visit, current)

    async def _sign_in(
        self, claims: Claims, proved_at: datetime, next: str, visitor: Visitor, old_token: str
    ) -> Entered | Problem:
        """The subject decides; what address the provider knows is nothing to us."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            account = await opened_by(session, claims)
            if account is None:
                who = hashlib.sha256(f"{claims.issuer}\n{claims.subject}".encode()).hexdigest()
                await self._refused(session, f"subject/{who}")
                return Problem.NOT_LINKED
            if account.disabled_at is not None or is_dormant(account.last_active_at, now):
                await self._refused(session, f"account/{account.id}")
                return Problem.DISABLED
            if old_token:
                await staff_sessions.end_by_token(session, digest(old_token), now)
            return Entered(
                await self._sessions.begin_in(
                    session, account, proofs(claims), next, visitor, proved_at=proved_at
                )
            )

    async def _refused(self, session: Session, subject: str) -> None:
        SIGN_INS.labels("refused").inc()
        tell(SecurityEvent.SIGN_IN_FAILED)
        await audit.record(
            session,
            Action.SIGN_IN_FAILED,
            agency=None,
            at=self._clock.now(),
            subject=subject,
            actor=STRANGER,
        )

    async def _link(self, claims: Claims, current: Current) -> Linked | Problem:
        try:
            async with self._database.transaction() as session:
                account = await accounts.lock(session, current.principal.account_id)
                assert account is not None
                # While the provider was asked, the session may have been ended from elsewhere.
                if await staff_sessions.lock(session, current.session_id) is None:
                    return Problem.SESSION_ENDED
                problem = rules.link_problem(
                    claims,
                    normalise_email(claims.email or ""),
                    account.email,
                    handed=account.handed_by is not None,
                )
                if problem is not None:
                    return problem
                kept = await repository.subject_of_account(session, account.id, claims.issuer)
                if kept is None:
                    await link_subject(session, account, claims, self._clock.now())
                elif kept.subject != claims.subject:
                    return Problem.LINKED_ALREADY
        except IntegrityError:
            return Problem.ELSEWHERE
        return Linked()

    async def _confirm(
        self, claims: Claims, proved_at: datetime, visit: ProviderVisit, current: Current
    ) -> Confirmed | Problem:
        account_id = current.principal.account_id
        async with self._database.read() as session:
            opened = await repository.account_of_subject(session, claims.issuer, claims.subject)
            has_app = await factors.of_account(session, account_id) is not None
        problem = None
        if opened != account_id:
            problem = Problem.NOT_LINKED
        elif has_app:
            problem = Problem.HAS_APP
        elif is_administrator(current.principal.roles) and not claims.second_factor:
            problem = Problem.NO_SECOND_FACTOR
        if problem is not None:
            tell(SecurityEvent.STEP_UP_FAILED)
            return problem
        await self._sessions.confirmed(current, proved_at)
        return Confirmed(visit.next, [(name, value) for name, value in visit.form])

    async def _accept(
        self,
        claims: Claims,
        proved_at: datetime,
        invitation_hash: bytes,
        visitor: Visitor,
        old_token: str,
    ) -> Entered | Problem:
        try:
            begun = await self._invitations.accept_with_provider(
                invitation_hash, claims, proved_at, visitor, old_token
            )
        except (NotFoundError, ConflictError):
            return Problem.INVITATION_ENDED
        except ForbiddenError as error:
            return Problem(error.slug)
        except IntegrityError:
            return Problem.ELSEWHERE
        return Entered(begun)

    async def linked(self, account_id: UUID) -> ExternalSubject | None:
        """The account at the present provider that opens this one."""
        async with self._database.read() as session:
            return await repository.subject_of_account(session, account_id, self._provider.issuer)

    async def unlink(self, current: Current) -> Problem | None:
        """The caller has asked for a fresh proof. Ends the account's other sessions: the provider may have begun them."""
        now, account_id = self._clock.now(), current.principal.account_id
        async with self._database.transaction() as session:
            account = await accounts.lock(session, account_id)
            assert account is not None
            if account.password_hash is None:
                return Problem.NO_PASSWORD
            if await repository.forget_subjects(session, account_id):
                await staff_sessions.end_all(session, account_id, now, but=current.session_id)
                await trail.record(session, Action.SUBJECT_UNLINKED, account, now)
        return None

    @staticmethod
    def _away(error: Exception) -> Problem:
        """It does not answer, or what it says about itself cannot be right."""
        log.warning("provider_away", reason=str(error))
        PROVIDER_ANSWERS.labels("unavailable").inc()
        return (
            Problem.UNAVAILABLE if isinstance(error, ProviderUnavailableError) else Problem.INVALID
        )


@dataclass(frozen=True, slots=True)
class OwnProvider:
    """The deployment's provider, and its name on pages."""

    service: ProviderService
    name: str
