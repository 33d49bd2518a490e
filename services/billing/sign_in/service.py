"""Sign-in by a code sent to the reader's mailbox or mobile number. One transaction a use case.

Registration and sign-in are one and the same path, whoever asks: nothing tells whether an address is known, and only who has a number learns whether it
is. Every reader has an address: who proves a number that nobody has gives one, proves it too, and its account has the number then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from services.billing.mailboxes import repository as limits
from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.rules import CODE_LIFETIME, CODE_TRIES, is_number, whole_seconds
from services.billing.mailboxes.service import Codes
from services.billing.phones import repository as phones
from services.billing.phones.service import tell_added
from services.billing.phones.texting import Texting, number_from
from services.billing.readers.rules import hash_token
from services.billing.readers.service import Readers, SignedIn, Visitor
from services.billing.sign_in import repository, rules
from services.billing.sign_in.models import SignInCode
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import FieldError, InvalidInputError, TooManyRequestsError
from shared.ids import new_id
from shared.mail import Mail, MailSender
from shared.mail.address import normalise_email
from shared.texts import Text
from shared.texts.number import looks_like_a_number

DAY = timedelta(days=1)
#: How long a browser has to give an address for the number that it has proved.
PROOF_LIFETIME = timedelta(minutes=30)
#: The most a network's bucket runs ahead: an hour after the last of a flood nothing is left of it.
MOST_AHEAD = rules.NETWORK.allowance + timedelta(minutes=45)


class NetworkBusyError(TooManyRequestsError):
    """Many people of this network sign in: this browser's turn comes after ``seconds``, and is kept for it."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"Many people on your network are signing in: ask again after {seconds} seconds",
            slug="network-busy",
            headers={"Retry-After": str(seconds)},
        )
        self.seconds = seconds


class Refusal(Enum):
    """Why a code opens nothing."""

    WRONG = "wrong"
    SPENT = "spent"  # too many wrong codes: only a new one helps


@dataclass(frozen=True, slots=True)
class Proved:
    """A number that nobody has: the browser is to give the address of an account for it."""

    number: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The newest code this browser asked for: where it went, when, and after how many seconds another may go."""

    sent_to: str
    sent_at: datetime
    resend_in: int


class SignIn:
    """Use cases of somebody who is not signed in."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        readers: Readers,
        mail: MailSender,
        texting: Texting,
        *,
        secret: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._readers = readers
        self._mail = mail
        self._texting = texting
        self._codes = Codes(secret, "sign-in")

    async def ask_code(
        self,
        agency: str,
        browser: str,
        typed: str,
        visitor: Visitor,
        letter: Callable[[str, str], Mail],
        text: Callable[[str, str], Text] | None = None,
    ) -> str:
        """Send a code for this browser; nothing is sent when one went out a moment ago, which works just as well. Where it went.

        ``letter`` writes the mail for (address, code), ``text`` the text for (number, code); None where a number is not taken. Raises
        :class:`InvalidInputError` (:class:`NoMobileError` for what looks like a number), :class:`MailboxBusyError`,
        :class:`TextsSpentError`, :class:`NetworkBusyError`, and ``UnavailableError`` when it cannot be sent.
        """
        to = self._destination(agency, typed, numbers=text is not None)
        now, held = self._clock.now(), hash_token(browser)
        busy = await self.wait_turn(agency, to, held, visitor.network, now)
        row, code = None, ""
        async with self._database.transaction() as session:
            await repository.lock_destination(session, agency, to)
            newest = await repository.newest_of_browser(session, agency, held, now, to)
            if newest is None or not rules.resend_in(newest.created_at, now):
                await self._count(session, agency, to, held, visitor.network, now)
                row, code = await self._new_code(session, agency, to, held, busy, now)
        if row is not None:
            forget = repository.forget_code
            async with mailboxes.forgotten_unless_sent(self._database, forget, row.id):
                if text is not None and is_number(to):
                    await self._texting.send(agency, text(to, code))
                else:
                    await self._mail.send(letter(to, code))
        return to

    def _destination(self, agency: str, typed: str, *, numbers: bool) -> str:
        if numbers and self._texting.serves(agency) and looks_like_a_number(typed):
            return number_from(typed)
        address = normalise_email(typed)
        if address is None:
            raise InvalidInputError(
                errors=(FieldError("email", "not an e-mail address", "name@example.vn"),)
            )
        return address

    async def _new_code(
        self, session: Session, agency: str, to: str, browser: bytes, busy: bool, now: datetime
    ) -> tuple[SignInCode, str]:
        unused = await repository.unused_since(session, agency, to, now - DAY)
        code_id = new_id()
        code, code_hash = self._codes.new(code_id, rules.digits_of_code(unused, busy))
        row = SignInCode(
            id=code_id,
            agency=agency,
            sent_to=to,
            browser_hash=browser,
            code_hash=code_hash,
            created_at=now,
            expires_at=now + CODE_LIFETIME,
        )
        session.add(row)
        return row, code

    async def wait_turn(
        self, agency: str, to: str, browser: bytes, network: str, now: datetime
    ) -> bool:
        """Count the network; whether it is busy. Who is new there waits once, and is let in when they come back.

        Raises :class:`NetworkBusyError`."""
        turn, wait = f"turn:{agency}:{browser.hex()}", 0
        async with self._database.transaction() as session:
            if await repository.is_known(session, agency, to, browser):
                return False
            if await limits.use_turn(session, turn, now):
                return True
            waiting = await limits.due_at(session, turn)
            if waiting is not None:
                wait = whole_seconds(waiting - now)
            else:
                ahead = await limits.add(session, rules.NETWORK, network, now, MOST_AHEAD)
                wait = rules.turn_seconds(ahead)
                if wait:
                    await limits.set_turn(session, turn, now + timedelta(seconds=wait))
        if wait:
            raise NetworkBusyError(wait)
        return False

    async def _count(
        self, session: Session, agency: str, to: str, browser: bytes, network: str, now: datetime
    ) -> None:
        """One mail or text there, or :class:`MailboxBusyError`; the transaction then takes nothing."""
        known = await repository.is_known(session, agency, to, browser)
        asker = browser.hex() if known else network
        if is_number(to):
            await self._texting.count(session, agency, to, asker, now, known=known)
        else:
            await mailboxes.count(session, agency, to, asker, now, known=known)

    async def asked(self, agency: str, browser: str) -> Asked | None:
        """What the code page shows; None when this browser has asked for nothing that is still in time."""
        if not browser:
            return None
        now = self._clock.now()
        async with self._database.read() as session:
            row = await repository.newest_of_browser(session, agency, hash_token(browser), now)
        if row is None:
            return None
        return Asked(row.sent_to, row.created_at, rules.resend_in(row.created_at, now))

    async def enter_code(
        self,
        agency: str,
        browser: str,
        typed: str,
        granted: frozenset[str],
        visitor: Visitor,
        *,
        replaces: str = "",
    ) -> SignedIn | Proved | Refusal:
        """Sign in with any code in time; with one to a number that nobody has, the number is kept for the address that comes
        next. ``replaces`` is the session this browser had until now, which ends.

        Limits are by code: a network's or another browser's wrong codes never refuse a right one. Raises :class:`HeldAddressError`.
        """
        now, held = self._clock.now(), hash_token(browser)
        async with self._database.transaction() as session:
            rows = await repository.codes_for_update(session, agency, held, now)
            open_rows = [row for row in rows if self._tries(row, held) < CODE_TRIES]
            if not any(row.browser_hash == held for row in open_rows):
                return (
                    Refusal.SPENT
                    if any(row.browser_hash == held for row in rows)
                    else (Refusal.WRONG)
                )
            right = self._codes.find(open_rows, typed)
            if right is None:
                for row in open_rows:
                    if row.browser_hash == held:
                        row.tries += 1
                    else:
                        row.other_tries += 1
                await limits.add(session, rules.NETWORK, visitor.network, now, MOST_AHEAD)
                return Refusal.WRONG
            for row in rows:
                if row is right or (row.browser_hash == held and row.sent_to == right.sent_to):
                    row.used_at = now
            if is_number(right.sent_to):
                return await self._by_number(
                    session, agency, right.sent_to, visitor, held, replaces
                )
            done = await self._readers.enter(
                session, agency, right.sent_to, granted, visitor, browser=held, replaces=replaces
            )
            return await self._with_number(session, done, held, now)

    async def _by_number(
        self,
        session: Session,
        agency: str,
        number: str,
        visitor: Visitor,
        browser: bytes,
        replaces: str,
    ) -> SignedIn | Proved:
        done = await self._readers.enter_by_number(
            session, agency, number, visitor, browser=browser, replaces=replaces
        )
        if done is not None:
            return done
        until = self._clock.now() + PROOF_LIFETIME
        await phones.keep_proof(session, agency, browser, number, until)
        return Proved(number)

    async def _with_number(
        self, session: Session, done: SignedIn, browser: bytes, now: datetime
    ) -> SignedIn:
        """The number that this browser has proved for this address is the reader's, where they have none yet. (Their row is held.)"""
        own = done.reader
        number = await phones.use_proof(session, own.agency, browser, own.email, now)
        if not number:
            return done
        if not await phones.add(session, own.agency, own.id, number, now):
            return replace(done, left_out=True)
        await tell_added(session, own, number, "", now)
        return done

    @staticmethod
    def _tries(row: SignInCode, browser: bytes) -> int:
        return row.tries if row.browser_hash == browser else row.other_tries

    async def forget_old(self) -> None:
        """Codes of yesterday, and limits that have long been free again."""
        async with self._database.transaction() as session:
            yesterday = self._clock.now() - DAY
            await repository.forget_old(session, yesterday)
            await limits.forget_old(session, yesterday)
