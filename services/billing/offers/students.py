"""Students: an address of a school is proved by a code that is sent to it, and again each year."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.rules import CODE_LIFETIME, mailbox_of
from services.billing.mailboxes.service import Codes
from services.billing.offers import repository, rules
from services.billing.offers.models import StudentAddress, StudentCode
from services.billing.offers.rules import Terms
from services.billing.readers.models import Reader
from services.billing.subscriptions.repository import lock_reader
from shared.clock import Clock
from shared.database import Database
from shared.errors import ConflictError, FieldError, InvalidInputError
from shared.ids import new_id
from shared.mail import Mail, MailSender
from shared.mail.address import normalise_email


class Students:
    """Use cases of a signed-in reader."""

    def __init__(self, database: Database, clock: Clock, mail: MailSender, *, secret: str) -> None:
        self._database = database
        self._clock = clock
        self._mail = mail
        self._codes = Codes(secret, "student")

    async def address(self, reader: Reader) -> StudentAddress | None:
        """What this reader proved last, whether it still counts or not."""
        async with self._database.read() as session:
            return await repository.student_address(session, reader.id)

    async def ask_code(
        self,
        reader: Reader,
        typed: str,
        offered: list[Terms],
        letter: Callable[[str, str], Mail],
    ) -> None:
        """Send a code to an address that one of the ``offered`` prices is for; ``letter`` writes the mail for (address, code).

        Raises :class:`InvalidInputError` for no address, :class:`ConflictError` (``no-student-domain``) for one that no offer is for,
        :class:`MailboxBusyError`, and ``UnavailableError`` when the mail cannot be sent.
        """
        address = normalise_email(typed)
        if address is None:
            raise InvalidInputError(
                errors=(FieldError("address", "not an e-mail address", "name@example.edu.vn"),)
            )
        if not any(rules.is_of(address, terms.domains) for terms in offered):
            raise ConflictError(slug="no-student-domain")
        now, id_ = self._clock.now(), new_id()
        code, code_hash = self._codes.new(id_)
        async with self._database.transaction() as session:
            await lock_reader(session, reader.id)
            await mailboxes.count_for_reader(session, reader.agency, address, reader.id, now)
            session.add(
                StudentCode(
                    id=id_,
                    agency=reader.agency,
                    reader_id=reader.id,
                    address=address,
                    code_hash=code_hash,
                    created_at=now,
                    expires_at=now + CODE_LIFETIME,
                )
            )
        await self._mail.send(letter(address, code))

    async def enter_code(self, reader: Reader, typed: str) -> datetime | None:
        """Until when the address counts that a code was sent to; None for a code that is none in time, or after too many.

        Raises :class:`ConflictError` (``address-used``) while another reader proves to be a student by that mailbox.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            await lock_reader(session, reader.id)
            rows = await repository.codes_for_update(session, reader.id, now)
            right = self._codes.enter(rows, typed)
            if right is None:
                return None
            mailbox = mailbox_of(right.address)
            other = await repository.lock_mailbox(session, reader.agency, mailbox)
            if other is not None and other.reader_id != reader.id:
                if now < other.valid_until:
                    raise ConflictError(slug="address-used")
                await repository.let_go(session, other)
            until = now + rules.VERIFIED_FOR
            await repository.prove(
                session,
                {
                    "reader": reader.id,
                    "agency": reader.agency,
                    "address": right.address,
                    "mailbox": mailbox,
                    "now": now,
                    "until": until,
                },
            )
            await repository.forget_codes(session, reader.id)
            return until

    async def forget_old(self) -> None:
        """Codes that are over."""
        async with self._database.transaction() as session:
            await repository.forget_old(session, self._clock.now())
