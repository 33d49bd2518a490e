"""What a reader does to have a password, another one, or none.

Locks: the reader's, before any row; signing in by a password takes it too (``entering``). Passwords are judged and hashed before the
transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.billing.addresses import repository as addresses_repository
from services.billing.letters import password_rules as letter_rules
from services.billing.letters import service as letters
from services.billing.mailboxes import repository as limits
from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.rules import CODE_LIFETIME, MORE_DIGITS
from services.billing.mailboxes.service import Codes
from services.billing.passwords import repository, rules, tries
from services.billing.passwords.models import PasswordCode, ReaderPassword
from services.billing.passwords.rules import Act
from services.billing.readers import repository as readers_repository
from services.billing.readers.devices import device_name
from services.billing.readers.models import Reader
from services.billing.readers.rules import hash_token
from services.billing.readers.service import Visitor
from services.billing.subscriptions.repository import lock_reader
from shared.agencies import Agency
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import (
    ConflictError,
    FieldError,
    InvalidInputError,
    NotFoundError,
    TooManyRequestsError,
)
from shared.ids import new_id
from shared.mail import Mail, MailSender
from shared.passwords.hasher import PasswordHasher
from shared.passwords.strength import StrengthMeter
from shared.passwords.words import guessable_words


@dataclass(frozen=True, slots=True)
class Standing:
    """``since``: of the password that a reader has, None without one; ``sent``: a code of theirs is in time."""

    since: datetime | None
    sent: bool


class Passwords:
    """Use cases of a signed-in reader. Each answers with the new token of the browser's session."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        mail: MailSender,
        hasher: PasswordHasher,
        meter: StrengthMeter,
        *,
        secret: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._mail = mail
        self._hasher = hasher
        self._meter = meter
        self._codes = Codes(secret, "password")

    async def standing(self, reader: Reader) -> Standing:
        """What the reader's page begins with."""
        async with self._database.read() as session:
            held = await repository.of_reader(session, reader.id)
            now = self._clock.now()
            sent = await repository.code_sent(session, reader.id, reader.email, now)
        return Standing(held.changed_at if held else None, sent)

    async def ask_code(self, reader: Reader, letter: Callable[[str, str], Mail]) -> None:
        """Send a code to the reader's own mailbox; ``letter`` writes the mail for (address, code).

        Raises :class:`MailboxBusyError`, :class:`NotFoundError` for who was erased, and ``UnavailableError`` when the mail cannot be
        sent.
        """
        now, id_ = self._clock.now(), new_id()
        code, code_hash = self._codes.new(id_, MORE_DIGITS)
        async with self._database.transaction() as session:
            own = await _locked(session, reader)
            await mailboxes.count_for_own(session, own.agency, own.email, own.id, now)
            address = own.email
            session.add(
                PasswordCode(
                    id=id_,
                    agency=own.agency,
                    reader_id=own.id,
                    address=address,
                    code_hash=code_hash,
                    created_at=now,
                    expires_at=now + CODE_LIFETIME,
                )
            )
        async with mailboxes.forgotten_unless_sent(self._database, repository.forget_code, id_):
            await self._mail.send(letter(address, code))

    async def set_by_code(
        self,
        reader: Reader,
        session_id: UUID,
        code: str,
        new: str,
        agency: Agency,
        visitor: Visitor,
    ) -> str | None:
        """A first password, or another one for who does not know theirs any more. None for a code that is none in time, or after too many.

        Raises :class:`InvalidInputError` (field ``new``, its slug a :class:`rules.Problem`), :class:`TooManyRequestsError`,
        :class:`ConflictError` (``password-signed-out``) when the session was ended meanwhile, ``UnavailableError`` while too many
        passwords are checked.
        """
        hashed = await self._hashed(reader, new, agency)
        now = self._clock.now()
        async with self._database.transaction() as session:
            own = await _locked(session, reader)
            if not await self._right(session, own, code, now):
                return None
            return await self._keep(session, own, session_id, hashed, visitor, now)

    async def change(
        self,
        reader: Reader,
        session_id: UUID,
        old: str,
        new: str,
        agency: Agency,
        visitor: Visitor,
    ) -> str | None:
        """Another password, by the one of now; None where that is not right.

        Wrong ones are counted: an open session is no way to guess the password. Raises as :meth:`set_by_code` does, and
        :class:`PasswordBusyError`, and :class:`ConflictError`: ``password-none`` where there is none any more, ``password-again`` when it
        was changed meanwhile.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            asker = f"reader-{reader.id}"
            taken = await tries.take(session, reader.agency, reader.email, asker, now, known=True)
            held = await repository.of_reader(session, reader.id)
        if held is None:
            raise ConflictError(slug="password-none")
        if not await self._hasher.verify(held.password_hash, rules.normalised(old)):
            return None
        async with self._database.transaction() as session:
            await tries.give_back(session, taken)
        hashed = await self._hashed(reader, new, agency)
        async with self._database.transaction() as session:
            own = await _locked(session, reader)
            present = await repository.of_reader(session, own.id)
            if present is None or present.id != held.id:
                raise ConflictError(slug="password-again")
            return await self._keep(session, own, session_id, hashed, visitor, now)

    async def remove(
        self, reader: Reader, session_id: UUID, code: str, visitor: Visitor
    ) -> str | None:
        """No password any more. None for a code that is none in time, or after too many.

        Raises :class:`ConflictError`: ``password-none`` where there is none, ``password-signed-out`` as :meth:`set_by_code` does.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            own = await _locked(session, reader)
            held = await repository.of_reader(session, own.id)
            if held is None:
                raise ConflictError(slug="password-none")
            if not await self._right(session, own, code, now):
                return None
            token = await _only_this(session, own, session_id, now)
            await repository.forget(session, own.id)
            await _tell(session, own, held.id, Act.REMOVED, own.email, visitor, now)
        return token

    async def forget_old(self) -> None:
        """Codes that are over."""
        async with self._database.transaction() as session:
            await repository.forget_old(session, self._clock.now())

    async def _right(self, session: Session, own: Reader, code: str, now: datetime) -> bool:
        rows = await repository.codes_for_update(session, own.id, own.email, now)
        return self._codes.enter(rows, code) is not None

    async def _hashed(self, reader: Reader, new: str, agency: Agency) -> str:
        """The hash of a new password that will do."""
        password = rules.normalised(new)
        problem = rules.problem_of(password, reader.email)
        if problem is not None:
            raise _refused(problem)
        now = self._clock.now()
        async with self._database.transaction() as session:
            wait = await limits.take(session, rules.CHOICES, str(reader.id), now)
        if wait is not None:
            raise TooManyRequestsError(slug="password-often")
        known = (reader.email, agency.id, agency.name, agency.website)
        words = guessable_words(known, rules.COMMON_WORDS)
        if await self._meter.guesses_log10(password, words) < rules.GUESSES_LOG10_MIN:
            raise _refused(rules.Problem.GUESSABLE)
        return await self._hasher.hash(password)

    async def _keep(
        self,
        session: Session,
        own: Reader,
        session_id: UUID,
        hashed: str,
        visitor: Visitor,
        now: datetime,
    ) -> str:
        """The password is this one; other sessions end when there was another."""
        held, id_ = await repository.of_reader(session, own.id), new_id()
        if held is None:
            session.add(
                ReaderPassword(
                    reader_id=own.id,
                    agency=own.agency,
                    id=id_,
                    password_hash=hashed,
                    set_at=now,
                    changed_at=now,
                )
            )
            token = await _kept(session, own, session_id, now)
        else:
            held.id, held.password_hash, held.changed_at = id_, hashed, now
            token = await _only_this(session, own, session_id, now)
        await repository.forget_codes(session, own.id)
        act = Act.CHANGED if held else Act.SET
        await _tell(session, own, id_, act, own.email, visitor, now)
        return token


async def throw_out(session: Session, own: Reader, mailbox: str, now: datetime) -> None:
    """With a change of address that is taken back: whoever made it may have chosen the password, or known it. ``mailbox`` is the one
    before, which is told. The caller holds the reader's lock, and ends the sessions."""
    held = await repository.of_reader(session, own.id)
    if await repository.forget(session, own.id) and held is not None:
        await _tell(session, own, held.id, Act.UNDONE, mailbox, None, now)


async def _locked(session: Session, reader: Reader) -> Reader:
    """The reader as they are now, under their lock. Raises :class:`NotFoundError` for who was erased."""
    await lock_reader(session, reader.id)
    own = await readers_repository.by_id(session, reader.agency, reader.id)
    if own is None or own.erased_at is not None:
        raise NotFoundError
    return own


async def _kept(session: Session, own: Reader, session_id: UUID, now: datetime) -> str:
    """The session of this browser goes on under another token."""
    token = secrets.token_urlsafe(32)
    hash_ = hash_token(token)
    if not await addresses_repository.keep_session(session, session_id, own.id, hash_, now):
        raise ConflictError(slug="password-signed-out")
    return token


async def _only_this(session: Session, own: Reader, session_id: UUID, now: datetime) -> str:
    """:func:`_kept`, and every other one ends."""
    token = await _kept(session, own, session_id, now)
    await addresses_repository.end_others(session, own.id, session_id, now)
    return token


async def _tell(
    session: Session,
    own: Reader,
    id_: UUID,
    act: Act,
    mailbox: str,
    visitor: Visitor | None,
    now: datetime,
) -> None:
    device = device_name(visitor.user_agent) if visitor is not None else ""
    draft = letter_rules.told(id_, act, mailbox, now, device)
    await letters.write(session, own.agency, own.id, draft, now)


def _refused(problem: rules.Problem) -> InvalidInputError:
    expected = f"{rules.MIN_LENGTH} to {rules.MAX_LENGTH} characters, not easily guessed"
    return InvalidInputError(
        errors=(FieldError("new", "this password will not do", expected),), slug=problem
    )
