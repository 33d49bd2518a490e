"""Sign-in by a code sent to the reader's mailbox; sessions; consents. One transaction a use case.

Registration and sign-in are one and the same path, whoever asks: nothing tells whether an address is known.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.billing.readers import repository, rules
from services.billing.readers.models import Consent, Reader, ReaderSession, SignInCode
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import FieldError, InvalidInputError, TooManyRequestsError
from shared.ids import new_id
from shared.mail import Mail, MailSender

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
    """A reader and the session's token, which only the cookie keeps."""

    reader: Reader
    token: str


class Readers:
    """Use cases about readers."""

    def __init__(
        self, database: Database, clock: Clock, mail: MailSender, *, secret: str, session_days: int
    ) -> None:
        self._database = database
        self._clock = clock
        self._mail = mail
        self._secret = secret
        self.session_days = session_days

    async def ask_code(
        self, agency: str, email: str, visitor: Visitor, letter: Callable[[str, str], Mail]
    ) -> str:
        """Send a code; returns the token that binds it to this browser.

        ``letter`` writes the mail for (address, code). Raises :class:`InvalidInputError` and
        :class:`TooManyRequestsError`.
        """
        address = rules.normalise_email(email)
        if address is None:
            raise InvalidInputError(
                errors=(FieldError("email", "not an e-mail address", "name@example.vn"),)
            )
        now = self._clock.now()
        await self._count(rules.ASK_NETWORK, visitor.network, now)
        await self._count(rules.ASK_EMAIL, f"{agency}:{address}", now)
        attempt = secrets.token_urlsafe(24)
        code = f"{secrets.randbelow(10**rules.CODE_DIGITS):0{rules.CODE_DIGITS}d}"
        async with self._database.transaction() as session:
            session.add(
                SignInCode(
                    id=new_id(),
                    agency=agency,
                    email=address,
                    attempt_hash=rules.hash_token(attempt),
                    code_hash=rules.hash_code(self._secret, attempt, code),
                    created_at=now,
                    expires_at=now + rules.CODE_LIFETIME,
                )
            )
        await self._mail.send(letter(address, code))
        return attempt

    async def enter_code(
        self, agency: str, attempt: str, code: str, granted: frozenset[str], visitor: Visitor
    ) -> SignedIn | None:
        """Sign in with a code; None when it is wrong, used, too old or tried too often (all the same to the asker)."""
        now = self._clock.now()
        await self._count(rules.TRY_NETWORK, visitor.network, now)
        cleaned = rules.clean_code(code)
        async with self._database.transaction() as session:
            row = await repository.code_for_update(session, agency, rules.hash_token(attempt))
            if (
                row is None
                or row.used_at is not None
                or row.expires_at <= now
                or row.tries >= rules.CODE_TRIES
            ):
                return None
            expected = rules.hash_code(self._secret, attempt, cleaned)
            if not cleaned or not secrets.compare_digest(row.code_hash, expected):
                row.tries += 1
                return None
            row.used_at = now
            reader = await repository.reader_by_email(session, new_id(), agency, row.email, now)
            self._record_consents(session, reader, granted, visitor, now)
            return SignedIn(reader, self._open_session(session, reader, visitor, now))

    async def current(self, agency: str, token: str) -> tuple[ReaderSession, Reader] | None:
        """Who this cookie is. A visit moves the session's end, at most once an hour."""
        if not token or len(token) > 200:
            return None
        now = self._clock.now()
        async with self._database.read() as session:
            found = await repository.session_by_token(session, agency, rules.hash_token(token), now)
        if found is not None and now - found[0].last_seen_at > rules.SESSION_TOUCH:
            async with self._database.transaction() as writing:
                expiry = rules.session_expiry(now, self.session_days)
                await repository.touch(writing, found[0].id, now, expiry)
        return found

    async def sessions(self, reader: Reader) -> Sequence[ReaderSession]:
        async with self._database.read() as session:
            return await repository.sessions_of(session, reader.id, self._clock.now())

    async def end_session(self, reader: Reader, session_row: ReaderSession) -> None:
        async with self._database.transaction() as session:
            await repository.end_session(session, session_row.id, reader.id, self._clock.now())

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

    async def forget_old(self) -> None:
        async with self._database.transaction() as session:
            await repository.forget_old(session, self._clock.now() - timedelta(days=1))

    async def _count(self, rule: rules.RateRule, key: str, now: datetime) -> None:
        """In its own transaction: a refused try counts as well."""
        async with self._database.transaction() as session:
            start = rules.window_start(now, rule.seconds)
            hits = await repository.hit(session, f"{rule.name}:{key}", start)
        if hits > rule.limit:
            wait = rules.retry_after(now, rule.seconds)
            raise TooManyRequestsError(
                f"Too many tries: wait {wait} seconds", headers={"Retry-After": str(wait)}
            )

    def _open_session(
        self, session: Session, reader: Reader, visitor: Visitor, now: datetime
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
                created_at=now,
                last_seen_at=now,
                expires_at=rules.session_expiry(now, self.session_days),
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
