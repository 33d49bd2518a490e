"""Sign-in by a code sent to the reader's mailbox. One transaction a use case.

Registration and sign-in are one and the same path, whoever asks: nothing tells whether an address is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from services.billing.mailboxes import repository as limits
from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.rules import CODE_LIFETIME, CODE_TRIES, whole_seconds
from services.billing.mailboxes.service import Codes
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

DAY = timedelta(days=1)
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
class Asked:
    """The newest code this browser asked for: where it went, when, and after how many seconds another may go."""

    email: str
    sent_at: datetime
    resend_in: int


class SignIn:
    """Use cases of somebody who is not signed in."""

    def __init__(
        self, database: Database, clock: Clock, readers: Readers, mail: MailSender, *, secret: str
    ) -> None:
        self._database = database
        self._clock = clock
        self._readers = readers
        self._mail = mail
        self._codes = Codes(secret, "sign-in")

    async def ask_code(
        self,
        agency: str,
        browser: str,
        email: str,
        visitor: Visitor,
        letter: Callable[[str, str], Mail],
    ) -> None:
        """Send a code for this browser; nothing is sent when one went out a moment ago, which works just as well.

        ``letter`` writes the mail for (address, code). Raises :class:`InvalidInputError`, :class:`MailboxBusyError`,
        :class:`NetworkBusyError`, and ``UnavailableError`` when the mail cannot be sent.
        """
        address = normalise_email(email)
        if address is None:
            raise InvalidInputError(
                errors=(FieldError("email", "not an e-mail address", "name@example.vn"),)
            )
        now, held = self._clock.now(), hash_token(browser)
        busy = await self.wait_turn(agency, address, held, visitor.network, now)
        row, code = None, ""
        async with self._database.transaction() as session:
            await repository.lock_mailbox(session, agency, address)
            newest = await repository.newest_of_browser(session, agency, held, now, address)
            if newest is None or not rules.resend_in(newest.created_at, now):
                await self._count(session, agency, address, held, visitor.network, now)
                row, code = await self._new_code(session, agency, address, held, busy, now)
        if row is None:
            return
        async with mailboxes.forgotten_unless_sent(self._database, repository.forget_code, row.id):
            await self._mail.send(letter(address, code))

    async def _new_code(
        self, session: Session, agency: str, email: str, browser: bytes, busy: bool, now: datetime
    ) -> tuple[SignInCode, str]:
        unused = await repository.unused_since(session, agency, email, now - DAY)
        code_id = new_id()
        code, code_hash = self._codes.new(code_id, rules.digits_of_code(unused, busy))
        row = SignInCode(
            id=code_id,
            agency=agency,
            email=email,
            browser_hash=browser,
            code_hash=code_hash,
            created_at=now,
            expires_at=now + CODE_LIFETIME,
        )
        session.add(row)
        return row, code

    async def wait_turn(
        self, agency: str, email: str, browser: bytes, network: str, now: datetime
    ) -> bool:
        """Count the network; whether it is busy. Who is new there waits once, and is let in when they come back.

        Raises :class:`NetworkBusyError`."""
        turn, wait = f"turn:{agency}:{browser.hex()}", 0
        async with self._database.transaction() as session:
            if await repository.is_known(session, agency, email, browser):
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
        self, session: Session, agency: str, email: str, browser: bytes, network: str, now: datetime
    ) -> None:
        """One mail to this mailbox, or :class:`MailboxBusyError`; the transaction then takes nothing."""
        known = await repository.is_known(session, agency, email, browser)
        asker = browser.hex() if known else network
        await mailboxes.count(session, agency, email, asker, now, known=known)

    async def asked(self, agency: str, browser: str) -> Asked | None:
        """What the code page shows; None when this browser has asked for nothing that is still in time."""
        if not browser:
            return None
        now = self._clock.now()
        async with self._database.read() as session:
            row = await repository.newest_of_browser(session, agency, hash_token(browser), now)
        if row is None:
            return None
        return Asked(row.email, row.created_at, rules.resend_in(row.created_at, now))

    async def enter_code(
        self,
        agency: str,
        browser: str,
        typed: str,
        granted: frozenset[str],
        visitor: Visitor,
        *,
        replaces: str = "",
    ) -> SignedIn | Refusal:
        """Sign in with any code in time. ``replaces`` is the session this browser had until now, which ends.

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
                if row is right or (row.browser_hash == held and row.email == right.email):
                    row.used_at = now
            return await self._readers.enter(
                session, agency, right.email, granted, visitor, browser=held, replaces=replaces
            )

    @staticmethod
    def _tries(row: SignInCode, browser: bytes) -> int:
        return row.tries if row.browser_hash == browser else row.other_tries

    async def forget_old(self) -> None:
        """Codes of yesterday, and limits that have long been free again."""
        async with self._database.transaction() as session:
            yesterday = self._clock.now() - DAY
            await repository.forget_old(session, yesterday)
            await limits.forget_old(session, yesterday)
