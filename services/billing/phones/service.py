"""What a signed-in reader does about their mobile number, and how a session that the number opened is confirmed by the mailbox.

Locks: the reader's, before any row. Who signs in by a number has no such lock, and holds their old session, the reader's row and the
number's, in this order: so sessions are ended before the number's row is taken, and once more those that were opened until then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from services.billing.letters import number_rules as letter_rules
from services.billing.letters import service as letters
from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.rules import CODE_LIFETIME, MORE_DIGITS, is_number
from services.billing.mailboxes.service import Codes
from services.billing.phones import repository
from services.billing.phones.models import ProofCode
from services.billing.phones.texting import Texting, number_from
from services.billing.readers import repository as readers_repository
from services.billing.readers.models import Reader
from services.billing.subscriptions.repository import lock_reader
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id
from shared.mail import Mail, MailSender
from shared.texts import Text
from shared.texts.number import masked


class Phones:
    """Use cases of a signed-in reader."""

    def __init__(
        self, database: Database, clock: Clock, mail: MailSender, texting: Texting, *, secret: str
    ) -> None:
        self._database = database
        self._clock = clock
        self._mail = mail
        self.texting = texting
        self._codes = Codes(secret, "proof")

    async def number_of(self, reader_id: UUID) -> str:
        """A reader's number as E.164 has it; empty where they have none."""
        async with self._database.read() as session:
            return await repository.number_of(session, reader_id)

    async def ask(
        self,
        reader: Reader,
        typed: str,
        text: Callable[[str, str], Text],
        taken: Callable[[str], Text],
    ) -> str:
        """Send a code to a number that is to be this reader's; to one that another reader has, the text that says so, and no code.
        The number, as E.164 has it.

        Raises :class:`NoMobileError`, :class:`ConflictError` (``number-same``) for the reader's own, :class:`MailboxBusyError`,
        :class:`TextsSpentError`, and ``UnavailableError`` when the text cannot be sent.
        """
        number = number_from(typed)
        now, id_ = self._clock.now(), new_id()
        code, code_hash = self._codes.new(id_, MORE_DIGITS)
        async with self._database.transaction() as session:
            await _lock(session, reader)
            if await repository.number_of(session, reader.id) == number:
                raise ConflictError(slug="number-same")
            await self.texting.count_for_reader(session, reader.agency, number, reader.id, now)
            known = await repository.reader_by_number(session, reader.agency, number) is not None
            session.add(_code(id_, reader, number, code_hash, now))
        async with mailboxes.forgotten_unless_sent(self._database, repository.forget_code, id_):
            await self.texting.send(reader.agency, taken(number) if known else text(number, code))
        return number

    async def enter(self, reader: Reader, session_id: UUID, typed: str) -> bool:
        """The number is the reader's, in the place of the one before it; False for a code that is none in time, or after too many.

        Whoever came in by a number before is out. Raises :class:`ConflictError` (``number-taken``) when another reader was faster.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            own = await _lock(session, reader)
            rows = await repository.codes_for_update(session, reader.id, now)
            right = self._codes.enter([row for row in rows if is_number(row.sent_to)], typed)
            if right is None:
                return False
            former = await repository.number_of(session, reader.id)
            await repository.end_sessions_by_number(session, reader.id, session_id, now)
            if not await repository.put(session, reader.agency, reader.id, right.sent_to, now):
                raise ConflictError(slug="number-taken")
            await repository.end_sessions_by_number(session, reader.id, session_id, now)
            await repository.forget_codes(session, reader.id)
            await tell_added(session, own, right.sent_to, former, now)
        return True

    async def remove(self, reader: Reader, session_id: UUID, *, by_number: bool) -> None:
        """The reader has no number any more. Whoever came in by it is out, also who does this where ``by_number`` says that they did.

        Nothing changes where there is none.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            own = await _lock(session, reader)
            kept = None if by_number else session_id
            await repository.end_sessions_by_number(session, reader.id, kept, now)
            number = await repository.remove(session, reader.id)
            if not number:
                return
            await repository.end_sessions_by_number(session, reader.id, kept, now)
            await repository.forget_codes(session, reader.id)
            await tell_removed(session, own, own.email, number, now, by_number=by_number)

    async def ask_mailbox(self, reader: Reader, letter: Callable[[str, str], Mail]) -> None:
        """Send a code to the reader's own mailbox. Raises :class:`MailboxBusyError`, and ``UnavailableError`` when it cannot be sent."""
        now, id_ = self._clock.now(), new_id()
        code, code_hash = self._codes.new(id_)
        async with self._database.transaction() as session:
            own = await _lock(session, reader)
            address = own.email
            await mailboxes.count_for_own(session, own.agency, address, own.id, now)
            session.add(_code(id_, own, address, code_hash, now))
        async with mailboxes.forgotten_unless_sent(self._database, repository.forget_code, id_):
            await self._mail.send(letter(address, code))

    async def confirm(self, reader: Reader, session_id: UUID, typed: str) -> bool:
        """The session may do what the mailbox may, where the code is one that the mailbox was sent and is in time."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            own = await _lock(session, reader)
            rows = await repository.codes_for_update(session, reader.id, now)
            right = self._codes.enter([row for row in rows if row.sent_to == own.email], typed)
            if right is None:
                return False
            await repository.forget_code(session, right.id)
            await repository.confirm_session(session, session_id, reader.id)
        return True

    async def proof(self, agency: str, browser: bytes) -> tuple[str, str] | None:
        """The number that a browser has proved and no account has, and the address that it gave for it."""
        async with self._database.read() as session:
            return await repository.proof(session, agency, browser, self._clock.now())

    async def name_address(self, agency: str, browser: bytes, email: str) -> None:
        """For which address's account the number is that this browser has proved; for none where it is empty."""
        async with self._database.transaction() as session:
            if email:
                await repository.name_address(session, agency, browser, email)
            else:
                await repository.drop_proof(session, agency, browser)

    async def forget_old(self) -> None:
        """Codes and proofs that are over."""
        async with self._database.transaction() as session:
            await repository.forget_old(session, self._clock.now())


async def tell_added(
    session: Session, reader: Reader, number: str, former: str, now: datetime
) -> None:
    """A letter to the mailbox: the account has another way in."""
    before = masked(former) if former else ""
    told = letter_rules.added(new_id(), reader.email, masked(number), before, now)
    await letters.write(session, reader.agency, reader.id, told, now)


async def tell_removed(
    session: Session,
    reader: Reader,
    mailbox: str,
    number: str,
    now: datetime,
    *,
    by_number: bool = False,
) -> None:
    """A letter to ``mailbox``: the number is no way in any more. ``by_number``: see :func:`letter_rules.removed`."""
    told = letter_rules.removed(new_id(), mailbox, masked(number), now, by_number=by_number)
    await letters.write(session, reader.agency, reader.id, told, now)


def _code(id_: UUID, reader: Reader, sent_to: str, code_hash: bytes, now: datetime) -> ProofCode:
    return ProofCode(
        id=id_,
        agency=reader.agency,
        reader_id=reader.id,
        sent_to=sent_to,
        code_hash=code_hash,
        created_at=now,
        expires_at=now + CODE_LIFETIME,
    )


async def _lock(session: Session, reader: Reader) -> Reader:
    """The reader as they are now, locked. Raises :class:`NotFoundError` for who was erased in another tab, a moment ago."""
    await lock_reader(session, reader.id)
    own = await readers_repository.by_id(session, reader.agency, reader.id)
    if own is None or own.erased_at is not None:
        raise NotFoundError
    return own
