"""Students: an address of a school is proved by a code that is sent to it, and again each year."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from services.billing.offers import repository, rules
from services.billing.offers.models import StudentAddress, StudentCode
from services.billing.offers.rules import Terms
from services.billing.readers.models import Reader
from services.billing.sign_in import repository as limits
from services.billing.sign_in.rules import (
    CODE_LIFETIME,
    CODE_TRIES,
    DIGITS,
    Pace,
    clean_code,
    hash_code,
    whole_seconds,
)
from services.billing.subscriptions.repository import lock_reader
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, FieldError, InvalidInputError, TooManyRequestsError
from shared.ids import new_id
from shared.mail import Mail, MailSender
from shared.mail.address import normalise_email

#: Codes to one address, and codes that one reader asks for.
PACES = (Pace("student-mailbox", 5, 3_600), Pace("student-reader", 10, 86_400))


class Students:
    """Use cases of a signed-in reader."""

    def __init__(self, database: Database, clock: Clock, mail: MailSender, *, secret: str) -> None:
        self._database = database
        self._clock = clock
        self._mail = mail
        self._secret = secret

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
        :class:`TooManyRequestsError`, and ``UnavailableError`` when the mail cannot be sent.
        """
        address = normalise_email(typed)
        if address is None:
            raise InvalidInputError(
                errors=(FieldError("address", "not an e-mail address", "name@example.edu.vn"),)
            )
        if not any(rules.is_of(address, terms.domains) for terms in offered):
            raise ConflictError(slug="no-student-domain")
        now, code = self._clock.now(), f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
        async with self._database.transaction() as session:
            await lock_reader(session, reader.id)
            await self._take(session, reader, address, now)
            id_ = new_id()
            session.add(
                StudentCode(
                    id=id_,
                    agency=reader.agency,
                    reader_id=reader.id,
                    address=address,
                    code_hash=self._hash(id_, code),
                    created_at=now,
                    expires_at=now + CODE_LIFETIME,
                )
            )
        await self._mail.send(letter(address, code))

    async def enter_code(self, reader: Reader, typed: str) -> datetime | None:
        """Until when the address counts that a code was sent to; None for a code that is none in time, or after too many.

        Raises :class:`ConflictError` (``address-used``) while another reader proves to be a student by that mailbox.
        """
        now, code = self._clock.now(), clean_code(typed)
        async with self._database.transaction() as session:
            await lock_reader(session, reader.id)
            rows = await repository.codes_for_update(session, reader.id, now)
            open_rows = [row for row in rows if row.tries < CODE_TRIES]
            right = None
            for row in open_rows:
                if secrets.compare_digest(row.code_hash, self._hash(row.id, code)) and code:
                    right = row
            if right is None:
                for row in open_rows:
                    row.tries += 1
                return None
            mailbox = rules.mailbox_of(right.address)
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

    async def _take(self, session: Session, reader: Reader, address: str, now: datetime) -> None:
        keys = (f"{reader.agency}:{rules.mailbox_of(address)}", str(reader.id))
        for pace, key in zip(PACES, keys, strict=True):
            wait = await limits.take(session, pace, key, now)
            if wait is not None:
                seconds = whole_seconds(wait)
                raise TooManyRequestsError(
                    "Too many codes for this address",
                    slug="mailbox-busy",
                    headers={"Retry-After": str(seconds)},
                )

    def _hash(self, id_: UUID, code: str) -> bytes:
        return hash_code(self._secret, f"student:{id_}", code)
