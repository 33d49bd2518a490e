"""Invitations: roles take effect when the person has proved the address by following the agency's mail.

Never may a role open to whoever does not hold the mailbox; never may a password that another agency's administrator
handed out be worth anything here; and no answer tells who has an account elsewhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from services.identity import trail
from services.identity.accounts import repository as accounts
from services.identity.accounts.models import Account
from services.identity.accounts.rules import looks_after, normalise_name, parse_roles
from services.identity.authenticators import repository as attempts
from services.identity.factors import repository as factors
from services.identity.invitations import repository, rules
from services.identity.invitations.letters import Letters
from services.identity.invitations.models import Invitation, Purpose
from services.identity.invitations.rules import Way
from services.identity.passwords.service import PasswordService, set_password
from services.identity.provider import repository as subjects
from services.identity.provider.linking import link_subject, proofs
from services.identity.provider.rules import Claims, link_problem
from services.identity.sessions import repository as sessions
from services.identity.sessions.rules import Factor
from services.identity.sessions.service import Begun, Current, SessionService
from services.identity.visitor import Visitor, digest
from shared import audit
from shared.agencies import Agency, get_agency
from shared.audit import Action
from shared.auth.roles import Role
from shared.clock import Clock
from shared.database import Database, ReadSession, Session
from shared.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from shared.ids import new_id
from shared.mail import MailSender
from shared.mail.address import normalise_email


@dataclass(frozen=True, slots=True)
class Offer:
    """What a link leads to."""

    invitation: Invitation
    agency: Agency
    way: Way
    disabled: bool


def _invalid(field: str, message: str, expected: str, slug: str) -> InvalidInputError:
    return InvalidInputError(errors=(FieldError(field, message, expected),), slug=slug)


class InvitationService:
    """Use cases about invitations."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        passwords: PasswordService,
        sessions_: SessionService,
        mail: MailSender,
        letters: Letters,
        *,
        url: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._sessions = sessions_
        self._mail = mail
        self._letters = letters
        self._url = url.rstrip("/")

    async def open(self, agency: str) -> Sequence[Invitation]:
        async with self._database.read() as session:
            return await repository.open_of_agency(session, agency, self._clock.now())

    async def invite(
        self,
        agency: str,
        email: str,
        name: str,
        roles: Iterable[str],
        by: UUID | None,
        *,
        again: bool = True,
    ) -> str:
        """Mail an invitation; an earlier one for the address is void (not ``again``: then it is refused). The link.

        The same happens whether the person has an account elsewhere or not. Raises :class:`InvalidInputError`,
        :class:`ConflictError`, ``UnavailableError`` (the mail did not go out: try again).
        """
        address = normalise_email(email)
        if address is None:
            raise _invalid("email", "This is not an e-mail address", "name@agency.vn", "email")
        shown = normalise_name(name)
        if shown is None:
            raise _invalid("name", "The name is missing or too long", "1–120 characters", "name")
        chosen = parse_roles(roles)
        if not chosen:
            raise _invalid("roles", "Choose one role or more", ", ".join(Role), "roles")
        held = sorted(str(role) for role in chosen)
        now = self._clock.now()
        async with self._database.transaction() as session:
            place = await get_agency(session, agency)
            await repository.hold_count(session, agency)
            await repository.hold_address(session, agency, address)
            known = await accounts.by_email(session, address)
            if known is not None and agency in await accounts.roles_of(session, known.id):
                raise ConflictError("This account is listed already", slug="account-exists")
            if not again and any(
                row.email == address and chosen.issubset(row.roles)
                for row in await repository.open_of_agency(session, agency, now)
            ):
                raise ConflictError("There is an open invitation", slug="invitation-open")
            sent = await repository.sent_since(session, agency, now - timedelta(days=1))
            if sent >= rules.PER_AGENCY_AND_DAY:
                raise ConflictError("Too many invitations today", slug="invitation-limit")
            row, link = self._new(Purpose.JOIN, agency, address, shown, held, by)
            await self._issue(session, row)
            await self._record(session, Action.INVITED, row)
        await self._mail.send(self._letters.join(address, shown, place.name, held, link))
        return link

    async def mail_reset(self, agency: str, account_id: UUID) -> None:
        """A link by which a member whom the agency looks after chooses a new password."""
        async with self._database.transaction() as session:
            place = await get_agency(session, agency)
            account = await accounts.lock(session, account_id)
            if account is None or agency not in await accounts.roles_of(session, account_id):
                raise NotFoundError
            if not looks_after(agency, account.home_agency):
                raise ForbiddenError(
                    "Another agency looks after this account", slug="account-elsewhere"
                )
            await repository.hold_address(session, agency, account.email)
            email, name = account.email, account.name
            row, link = self._new(Purpose.RESET, agency, email, name, [], None)
            await self._issue(session, row)
            await trail.record(
                session, Action.PASSWORD_RESET_MAILED, account, self._clock.now(), agency=agency
            )
        await self._mail.send(self._letters.reset(email, name, place.name, link))

    def _new(
        self,
        purpose: Purpose,
        agency: str,
        email: str,
        name: str,
        roles: list[str],
        by: UUID | None,
    ) -> tuple[Invitation, str]:
        """The row and the link that belongs to it."""
        now = self._clock.now()
        lifetime = rules.INVITATION_LIFETIME if purpose is Purpose.JOIN else rules.RESET_LIFETIME
        token = secrets.token_urlsafe(32)
        row = Invitation(
            id=new_id(),
            purpose=purpose,
            agency=agency,
            email=email,
            name=name,
            roles=roles,
            token_hash=digest(token),
            invited_by=by,
            created_at=now,
            expires_at=now + lifetime,
        )
        return row, f"{self._url}/invitation?token={token}"

    async def _issue(self, session: Session, row: Invitation) -> None:
        await repository.withdraw_open(
            session, row.agency, row.email, Purpose(row.purpose), row.created_at
        )
        await repository.add(session, row)

    async def withdraw(self, agency: str, invitation_id: UUID) -> None:
        """The link works no more. Repeating it changes nothing."""
        async with self._database.transaction() as session:
            row = await repository.lock_of_agency(session, agency, invitation_id)
            if row is None:
                raise NotFoundError
            if row.accepted_at is None and row.withdrawn_at is None:
                row.withdrawn_at = self._clock.now()
                await self._record(session, Action.INVITATION_WITHDRAWN, row)

    async def look(self, token: str) -> Offer:
        """What this link leads to. Raises :class:`NotFoundError` when it works no more."""
        async with self._database.read() as session:
            row = await self._open(session, digest(token), hold=False)
            account = await accounts.by_email(session, row.email)
            return Offer(
                row,
                await get_agency(session, row.agency),
                await self._way(session, row, account),
                account is not None and account.disabled_at is not None,
            )

    async def accept_with_password(
        self, token: str, name: str, password: str, visitor: Visitor, old_token: str
    ) -> Begun:
        """The ways NEW and RENEW: a session of the account, whose address is proved now.

        Raises :class:`NotFoundError`, :class:`InvalidInputError`, :class:`ConflictError`.
        """
        offer = await self.look(token)
        shown = normalise_name(name) if offer.way is Way.NEW else offer.invitation.name
        if shown is None:
            raise _invalid("name", "The name is missing or too long", "1–120 characters", "name")
        email, former = offer.invitation.email, set[str]()
        async with self._database.read() as reading:
            known = await accounts.by_email(reading, email)
            if known is not None:
                former = {*await accounts.former_hashes(reading, known.id, 10)}
        password_hash = await self._passwords.hashed(password, email, shown, former)
        now = self._clock.now()
        async with self._database.transaction() as session:
            # The account before the invitation, as whoever mails another one: no deadlock.
            known = await accounts.by_email(session, email)
            account = await accounts.lock(session, known.id) if known is not None else None
            row = await self._open(session, digest(token), hold=True)
            if await self._way(session, row, account) is not offer.way or (
                account is not None and account.disabled_at is not None
            ):
                raise ConflictError("This changed in the meantime", slug="invitation-changed")
            if account is None:
                account = await self._create(session, row, shown)
            await self._renew(session, account, password_hash)
            await self._take_up(session, row, account)
            if old_token:
                await sessions.end_by_token(session, digest(old_token), now)
            proved = {Factor.INVITATION, Factor.PASSWORD}
            return await self._sessions.begin_in(
                session, account, proved, "/", visitor, proved_at=now
            )

    async def accept_with_provider(
        self,
        token_hash: bytes,
        claims: Claims,
        proved_at: datetime,
        visitor: Visitor,
        old_token: str,
    ) -> Begun:
        """The way NEW by an account at the provider, which has verified the invited address: there is no password.

        Raises :class:`NotFoundError`, :class:`ConflictError`, :class:`ForbiddenError` (the slug is a ``Problem``),
        ``IntegrityError`` when the provider's account opens another account.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            row = await self._open(session, token_hash, hold=True)
            known = await accounts.by_email(session, row.email)
            if await self._way(session, row, known) is not Way.NEW:
                raise ConflictError("This changed in the meantime", slug="invitation-changed")
            address = normalise_email(claims.email or "")
            problem = link_problem(claims, address, row.email, handed=False)
            if problem is not None:
                raise ForbiddenError("The provider does not vouch for this address", slug=problem)
            account = await self._create(session, row, row.name)
            await link_subject(session, account, claims, now, by_account=True)
            await self._take_up(session, row, account)
            if old_token:
                await sessions.end_by_token(session, digest(old_token), now)
            proved = {Factor.INVITATION, *proofs(claims)}
            return await self._sessions.begin_in(
                session, account, proved, "/", visitor, proved_at=proved_at
            )

    async def accept_as(self, token: str, current: Current) -> None:
        """The way SIGN_IN, by a complete session of the account with the invited address."""
        async with self._database.transaction() as session:
            account = await accounts.lock(session, current.principal.account_id)
            row = await self._open(session, digest(token), hold=True)
            if (
                account is None
                or current.due is not None
                or account.email != row.email
                or account.disabled_at is not None
            ):
                raise ForbiddenError("This invitation is for another account", slug="not-yours")
            if await self._way(session, row, account) is not Way.SIGN_IN:
                raise ConflictError("This changed in the meantime", slug="invitation-changed")
            await self._take_up(session, row, account)

    async def _create(self, session: Session, row: Invitation, name: str) -> Account:
        now = self._clock.now()
        account = Account(
            id=new_id(), email=row.email, name=name, created_at=now, last_active_at=now
        )
        session.add(account)
        try:
            await session.flush()
        except IntegrityError as error:  # by another agency's invitation, in the same moment
            raise ConflictError(
                "This changed in the meantime", slug="invitation-changed"
            ) from error
        await trail.record(
            session, Action.ACCOUNT_CREATED, account, now, agency=row.agency, by_account=True
        )
        return account

    async def _renew(self, session: Session, account: Account, password_hash: str) -> None:
        """The mailbox is proved: whatever an administrator handed out, and all that hangs on it, is void."""
        now = self._clock.now()
        if account.handed_by is not None:
            await factors.remove(session, account.id)
            await attempts.forget_devices(session, account.id)
            await subjects.forget_subjects(session, account.id)
            account.handed_by = None
        await set_password(session, account, password_hash, now)
        await attempts.clear_attempts(session, account.email)
        await sessions.end_all(session, account.id, now)
        account.last_active_at = now

    async def _take_up(self, session: Session, row: Invitation, account: Account) -> None:
        row.accepted_at = self._clock.now()
        if row.purpose == Purpose.JOIN:
            await accounts.set_roles(session, account.id, row.agency, row.roles)
            account.home_agency = account.home_agency or row.agency
        await trail.record(
            session,
            Action.INVITATION_ACCEPTED,
            account,
            row.accepted_at,
            agency=row.agency,
            after={"purpose": row.purpose, "roles": list(row.roles)},
            by_account=True,
        )

    async def _open(
        self, session: Session | ReadSession, token_hash: bytes, *, hold: bool
    ) -> Invitation:
        row = await repository.by_token(session, token_hash, hold=hold)
        if row is None or not rules.is_open(
            row.expires_at, row.accepted_at, row.withdrawn_at, self._clock.now()
        ):
            raise NotFoundError("This link works no more", slug="invitation-ended")
        return row

    @staticmethod
    async def _way(session: Session | ReadSession, row: Invitation, account: Account | None) -> Way:
        if row.purpose == Purpose.RESET and (
            account is None
            or not looks_after(row.agency, account.home_agency)
            or row.agency not in await accounts.roles_of(session, account.id)
        ):
            raise NotFoundError("This link works no more", slug="invitation-ended")
        return rules.way(
            reset=row.purpose == Purpose.RESET,
            known=account is not None,
            handed=account is not None and account.handed_by is not None,
            has_own_proof=account is not None
            and (
                account.password_hash is not None or await subjects.has_subject(session, account.id)
            ),
        )

    async def _record(self, session: Session, action: Action, row: Invitation) -> None:
        await audit.record(
            session,
            action,
            agency=row.agency,
            at=self._clock.now(),
            subject=f"invitation/{row.id}",
            label=row.email,
            after={"roles": list(row.roles)},
        )
