"""Who readers are: their sessions and consents. One transaction a use case. (How they sign in: ``billing.sign_in``.)"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.billing.addresses import repository as addresses
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.mailboxes.rules import mailbox_of
from services.billing.phones import repository as phones
from services.billing.readers import repository, rules
from services.billing.readers.models import Consent, Reader, ReaderSession
from shared import audit
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import NotFoundError
from shared.ids import new_id

#: What is asked for, by purpose: its version and its words. A new wording is a new version.
CONSENTS: dict[str, tuple[int, str]] = {
    "newsletter": (1, "Send me the newsroom's newsletter by e-mail"),
    "offers": (1, "Tell me about offers and price changes that are not part of my plan"),
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """The browser that asks: what is counted and kept as proof. ``address`` itself is not stored."""

    address: str
    user_agent: str
    language: str

    @property
    def network(self) -> str:
        return rules.network_of(self.address)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A reader and the session's token, which only the cookie keeps. ``left_out``: the number that was to be theirs is another's, or they have one."""

    reader: Reader
    token: str
    left_out: bool = False


class HeldAddressError(Exception):
    """Somebody has proved an address that was changed a short while ago: they may take the change back, and nobody signs up by it."""

    def __init__(self, change_id: UUID, reader_id: UUID, undo_until: datetime) -> None:
        super().__init__("this address may still be had back")
        self.change_id, self.reader_id, self.undo_until = change_id, reader_id, undo_until


class Readers:
    """Use cases about readers."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        session_days: int,
        session_max_days: int,
        secret: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._session_days = session_days
        self.session_max_days = session_max_days
        self._secret = secret

    def _expiry(self, now: datetime, created_at: datetime) -> datetime:
        return rules.session_expiry(now, created_at, self._session_days, self.session_max_days)

    async def enter(
        self,
        session: Session,
        agency: str,
        email: str,
        granted: frozenset[str],
        visitor: Visitor,
        *,
        browser: bytes,
        replaces: str,
    ) -> SignedIn:
        """Somebody has proved the address: the reader with a new session, in the caller's transaction.

        Who is new is made, and welcomed by a letter. The session that ``replaces`` names, this browser's until now, ends.
        Raises :class:`HeldAddressError`.
        """
        now = self._clock.now()
        if replaces:
            await repository.end_by_token(session, agency, rules.hash_token(replaces), now)
        id_, language = new_id(), visitor.language
        reader = await repository.held_by_email(session, id_, agency, email, language, now)
        if reader.id == id_:
            held = await addresses.held(session, agency, email, now)
            if held is not None:
                raise HeldAddressError(held.id, held.reader_id, held.undo_until)
            mailbox = rules.former_hash(self._secret, agency, mailbox_of(email))
            await repository.mark_returned(session, id_, agency, mailbox)
            await letters.write(session, agency, id_, letter_rules.welcome(id_), now)
        else:
            await repository.set_language(session, reader.id, language)
        self._record_consents(session, reader, granted, visitor, now)
        return SignedIn(reader, self._open_session(session, reader, visitor, browser, now))

    async def enter_by_number(
        self,
        session: Session,
        agency: str,
        number: str,
        visitor: Visitor,
        *,
        browser: bytes,
        replaces: str,
    ) -> SignedIn | None:
        """Somebody has proved a number: the reader who has it with a new session, which the mailbox has not confirmed; None where
        nobody has it. See :meth:`enter`."""
        now = self._clock.now()
        if await phones.reader_by_number(session, agency, number) is None:
            return None
        if replaces:
            await repository.end_by_token(session, agency, rules.hash_token(replaces), now)
        reader = await phones.held_by_number(session, agency, number)
        if reader is None:
            return None  # given up this moment
        await repository.set_language(session, reader.id, visitor.language)
        token = self._open_session(session, reader, visitor, browser, now, by_number=True)
        return SignedIn(reader, token)

    async def current(self, agency: str, token: str) -> tuple[ReaderSession, Reader] | None:
        """Who this cookie is. A visit moves the session's end, at most once an hour."""
        if not token or len(token) > 200:
            return None
        now = self._clock.now()
        async with self._database.read() as session:
            found = await repository.session_by_token(session, agency, rules.hash_token(token), now)
        if found is not None and now - found[0].last_seen_at > rules.SESSION_TOUCH:
            async with self._database.transaction() as writing:
                expiry = self._expiry(now, found[0].created_at)
                await repository.touch(writing, found[0].id, now, expiry)
        return found

    async def let_in(
        self, session: Session, reader: Reader, visitor: Visitor, *, browser: bytes, replaces: str
    ) -> SignedIn:
        """A known reader with a new session, in the caller's transaction, who has proved who they are by something of theirs. The caller
        holds the reader's lock. The session that ``replaces`` names ends."""
        now = self._clock.now()
        if replaces:
            hash_ = rules.hash_token(replaces)
            await repository.end_by_token(session, reader.agency, hash_, now)
        await repository.set_language(session, reader.id, visitor.language)
        return SignedIn(reader, self._open_session(session, reader, visitor, browser, now))

    async def sessions(self, reader: Reader) -> Sequence[ReaderSession]:
        async with self._database.read() as session:
            return await repository.sessions_of(session, reader.id, self._clock.now())

    async def end_session(self, reader: Reader, session_row: ReaderSession) -> None:
        async with self._database.transaction() as session:
            await repository.end_session(session, session_row.id, reader.id, self._clock.now())

    async def sign_out_everywhere(self, agency: str, reader_id: UUID, why: str) -> int:
        """End every session of a reader's, for a reason, as staff. Returns how many there were.

        Raises :class:`NotFoundError` for another agency's reader.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            reader = await repository.by_id(session, agency, reader_id)
            if reader is None:
                raise NotFoundError
            ended = await repository.end_all(session, agency, reader_id, now)
            await audit.record(
                session,
                audit.Action.READER_SIGNED_OUT,
                agency=agency,
                at=now,
                subject=f"reader/{reader_id}",
                label=reader.email,
                after={"devices": ended, "why": why},
            )
            return ended

    async def consents(self, reader: Reader) -> dict[str, Consent]:
        async with self._database.read() as session:
            return await repository.latest_consents(session, reader.id)

    async def change_consents(
        self, reader: Reader, granted: frozenset[str], visitor: Visitor
    ) -> None:
        """Record what changed; a withdrawal is as easy as the consent was."""
        async with self._database.transaction() as session:
            latest = await repository.latest_consents(session, reader.id)
            changed = {
                purpose
                for purpose in CONSENTS
                if (purpose in granted) != (purpose in latest and latest[purpose].granted)
            }
            for purpose in sorted(changed):
                self._record_consent(
                    session, reader, purpose, purpose in granted, visitor, self._clock.now()
                )

    def _open_session(
        self,
        session: Session,
        reader: Reader,
        visitor: Visitor,
        browser: bytes,
        now: datetime,
        *,
        by_number: bool = False,
    ) -> str:
        token = secrets.token_urlsafe(32)
        session.add(
            ReaderSession(
                id=new_id(),
                agency=reader.agency,
                reader_id=reader.id,
                token_hash=rules.hash_token(token),
                user_agent=visitor.user_agent[:300],
                network=visitor.network,
                browser_hash=browser,
                by_number=by_number,
                created_at=now,
                last_seen_at=now,
                expires_at=self._expiry(now, now),
            )
        )
        return token

    def _record_consents(
        self,
        session: Session,
        reader: Reader,
        granted: frozenset[str],
        visitor: Visitor,
        now: datetime,
    ) -> None:
        """Only what was ticked: a box left alone says nothing, and takes nothing back."""
        for purpose in sorted(granted & CONSENTS.keys()):
            self._record_consent(session, reader, purpose, True, visitor, now)

    def _record_consent(
        self,
        session: Session,
        reader: Reader,
        purpose: str,
        granted: bool,
        visitor: Visitor,
        now: datetime,
    ) -> None:
        version, wording = CONSENTS[purpose]
        session.add(
            Consent(
                id=new_id(),
                agency=reader.agency,
                reader_id=reader.id,
                purpose=purpose,
                version=version,
                granted=granted,
                language=visitor.language,
                wording=wording,
                network=visitor.network,
                user_agent=visitor.user_agent[:300],
                given_at=now,
            )
        )
