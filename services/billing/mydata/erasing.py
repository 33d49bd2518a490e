"""The deletion of a reader's data.

One transaction, under the reader's lock: nothing of theirs is bought, renewed, refunded or disputed meanwhile. What is personal goes; the
row of the reader stays for the books, without name and address. Facts that come later (a refund, a dispute, money for an order that
was closed) are booked as ever; they write no letter and begin nothing. Rights to read that were paid for once stay as facts and
open nothing: nobody signs in as that reader any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from uuid import UUID

from services.billing.addresses import repository as addresses_repository
from services.billing.charges import repository as charges_repository
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.rules import CODE_LIFETIME, mailbox_of
from services.billing.mailboxes.service import Codes
from services.billing.mydata import repository
from services.billing.mydata.models import ErasureCode
from services.billing.mydata.rules import Obstacle, Why
from services.billing.readers import repository as readers_repository
from services.billing.readers.models import Reader
from services.billing.readers.rules import former_hash
from services.billing.seats import service as seats
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import rules as subscription_rules
from services.billing.subscriptions.rules import LIVE, State
from shared import audit
from shared.audit.caller import ActorKind
from shared.clock import Clock
from shared.database import Database, ReadSession, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id
from shared.mail import Mail, MailSender


class Answer(Enum):
    """What became of a code that was entered."""

    ERASED = "erased"
    WRONG = "wrong"


class HinderedError(ConflictError):
    """Something is to be over first."""

    def __init__(self, obstacles: Sequence[Obstacle]) -> None:
        super().__init__("Something of this reader's is not over yet", slug="not-over-yet")
        self.obstacles = obstacles


class Erasing:
    """Use cases of a signed-in reader, and of staff on their written request."""

    def __init__(self, database: Database, clock: Clock, mail: MailSender, *, secret: str) -> None:
        self._database = database
        self._clock = clock
        self._mail = mail
        self._secret = secret
        self._codes = Codes(secret, "erasure")

    async def obstacles(self, reader_id: UUID) -> list[Obstacle]:
        """What is to be over before this reader's data can be deleted."""
        async with self._database.read() as session:
            return await _obstacles(session, reader_id, self._clock.now())

    async def code_sent(self, reader: Reader) -> bool:
        """Whether a code is in time that was sent to this reader."""
        async with self._database.read() as session:
            return await repository.code_sent(session, reader.id, self._clock.now())

    async def ask_code(self, reader: Reader, letter: Callable[[str, str], Mail]) -> None:
        """Send a code to the reader's own mailbox; ``letter`` writes the mail for (address, code).

        Raises :class:`HinderedError`, :class:`MailboxBusyError`, :class:`NotFoundError` for who was erased, and ``UnavailableError`` when
        the mail cannot be sent.
        """
        now, id_ = self._clock.now(), new_id()
        code, code_hash = self._codes.new(id_)
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            own = await readers_repository.by_id(session, reader.agency, reader.id)
            if own is None or own.erased_at is not None:
                raise NotFoundError  # in another tab, a moment ago
            found = await _obstacles(session, own.id, now)
            if found:
                raise HinderedError(found)
            agency, address = own.agency, own.email
            await mailboxes.count_for_own(session, agency, address, reader.id, now)
            session.add(
                ErasureCode(
                    id=id_,
                    agency=agency,
                    reader_id=reader.id,
                    code_hash=code_hash,
                    created_at=now,
                    expires_at=now + CODE_LIFETIME,
                )
            )
        await self._mail.send(letter(address, code))

    async def enter_code(self, reader: Reader, typed: str) -> Answer:
        """Delete a reader's data where the code is right. Nothing changes for who was erased by another tab.

        Raises :class:`HinderedError`: the code is still good when that is over.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            row = await _locked(session, reader.agency, reader.id)
            if row.erased_at is not None:
                return Answer.ERASED
            rows = await repository.codes(session, reader.id, now)
            if self._codes.enter(rows, typed) is None:
                return Answer.WRONG
            by = audit.Actor(ActorKind.SYSTEM, "reader", "the reader")
            await self._erase(session, row, "asked for on the reader's own page", by)
        return Answer.ERASED

    async def on_request(self, agency: str, reader_id: UUID, why: str) -> None:
        """Delete a reader's data as staff, as the reader asked in writing. Nothing changes for who was erased.

        Raises :class:`NotFoundError` for another agency's, :class:`HinderedError`.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, agency, reader_id)
            if row.erased_at is None:
                await self._erase(session, row, why, None)

    async def _erase(
        self, session: Session, reader: Reader, why: str, by: audit.Actor | None
    ) -> None:
        now, agency = self._clock.now(), reader.agency
        found = await _obstacles(session, reader.id, now)
        if found:
            raise HinderedError(found)
        # Who signs in holds a code and a session before the reader's row: so do we.
        await repository.end_ways_in(session, reader)
        await repository.hold(session, reader)
        for seat_id in await repository.seats(session, reader.id):
            await seats.leave_in(session, reader, seat_id, now)
        for id_ in await repository.cards(session, reader.id):
            await charges_repository.revoke_mandate(session, id_, now)
        if await subscriptions_repository.subscribed_before(session, reader.id):
            mailbox = former_hash(self._secret, agency, mailbox_of(reader.email))
            await readers_repository.remember(session, agency, mailbox)
        told = letter_rules.erased(reader.id, reader.email)
        await repository.erase_traces(session, reader, now)
        await letters.write(session, agency, reader.id, told, now)
        await repository.erase_person(session, reader, now)
        await audit.record(
            session,
            audit.Action.READER_ERASED,
            agency=agency,
            at=now,
            subject=f"reader/{reader.id}",
            after={"why": why},
            actor=by,
        )

    async def forget_old(self) -> None:
        """Codes that are over."""
        async with self._database.transaction() as session:
            await repository.forget_old(session, self._clock.now())


async def _locked(session: Session, agency: str, reader_id: UUID) -> Reader:
    """The reader, locked with who pays for their seats in the order of their ids."""
    owners = await repository.group_owners(session, reader_id)
    for one in sorted({*owners, reader_id}):
        await subscriptions_repository.lock_reader(session, one)
    if set(await repository.group_owners(session, reader_id)) - set(owners):
        raise ConflictError(slug="try-again")  # a seat was taken a moment ago
    found = await readers_repository.by_id(session, agency, reader_id)
    if found is None:
        raise NotFoundError
    return found


async def _obstacles(
    session: Session | ReadSession, reader_id: UUID, now: datetime
) -> list[Obstacle]:
    found = []
    for row in await subscriptions_repository.of_reader(session, reader_id):
        if State(row.state) in LIVE:
            renews = subscription_rules.renews(
                row.state, row.collection, cancels=row.cancel_at_period_end
            )
            found.append(Obstacle(Why.RENEWS if renews else Why.RUNS, row.period_end))
    back_until = await addresses_repository.back_until(session, reader_id, now)
    if back_until is not None:
        found.append(Obstacle(Why.ADDRESS, back_until))
    stands = await repository.obstacles(session, reader_id)
    kinds = (Why.MEMBERS, Why.MONEY, Why.REFUND, Why.DISPUTE)
    return found + [Obstacle(why) for why, true in zip(kinds, stands, strict=True) if true]
