"""What a giver does about the letter with their gift's code. Locks: the giver's, the order's, and then the letter's row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from services.billing.gifts import repository, rules
from services.billing.gifts.models import GiftRecipient
from services.billing.gifts.repository import Going
from services.billing.letters import gift_rules as letter_rules
from services.billing.letters import repository as letters_repository
from services.billing.letters import service as letters
from services.billing.letters.rules import Sold
from services.billing.mailboxes import service as mailboxes
from services.billing.orders import repository as orders_repository
from services.billing.orders.models import Gift, SalesOrder
from services.billing.plans import repository as plans_repository
from services.billing.readers import repository as readers_repository
from services.billing.readers.models import Reader
from services.billing.subscriptions.repository import lock_reader
from shared.agencies import get_agency
from shared.clock import Clock, local_date
from shared.database import Database, Session
from shared.errors import ConflictError, FieldError, InvalidInputError, NotFoundError
from shared.mail.address import normalise_email


@dataclass(frozen=True, slots=True)
class Wish:
    """What a giver typed. ``day`` None: as soon as may be; no ``email``: they pass the code on themselves."""

    email: str
    message: str
    day: date | None


class Gifts:
    """Each raises :class:`NotFoundError` for what is no gift of the reader's."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def going(self, order: SalesOrder) -> Going | None:
        """Whom the gift of an order goes to, and how that stands."""
        async with self._database.read() as session:
            return await repository.going(session, order.id) if order.gift else None

    async def name(self, reader: Reader, code: str, wish: Wish) -> None:
        """Have the gift sent to a mailbox on a day, in the place of what was wished before. The same once more changes nothing.

        Raises :class:`InvalidInputError` (its field is email, message or day), :class:`ConflictError` (``gift-redeemed``, ``gift-returned``,
        ``gift-closed``; ``gift-sent-often`` when its letters are used up) and :class:`MailboxBusyError`.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            order, gift = await _own(session, reader, code)
            zone = (await get_agency(session, reader.agency)).zone
            email, message, day = _checked(wish, local_date(now, zone))
            row = await repository.named(session, order.id)
            if row is None:
                row = GiftRecipient(
                    order_id=order.id, agency=order.agency, send_on=day, named_at=now
                )
                session.add(row)
            elif (row.email, row.message, row.send_on) == (email, message, day):
                return
            if email is not None:
                await mailboxes.count_for_reader(session, reader.agency, email, reader.id, now)
            await letters_repository.withdraw(
                session, order.agency, repository.key_of(order.id, row.times)
            )
            row.email, row.message, row.send_on, row.named_at = email, message, day, now
            await session.flush()
            if gift is not None:
                await _write(session, order, gift, row, now)

    async def again(self, reader: Reader, code: str) -> None:
        """Send the letter once more, now. One that went out a moment ago, or still waits for its day, is not.

        Raises as :meth:`name` does.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            order, gift = await _own(session, reader, code)
            row, found = (
                await repository.named(session, order.id),
                await repository.going(session, order.id),
            )
            if row is None or row.email is None or found is None or gift is None:
                raise NotFoundError
            young = found.at is not None and now - found.at < rules.SENT_AGAIN_AFTER
            if found.state == "waiting" or (found.state == "sent" and young):
                return
            await mailboxes.count_for_reader(session, reader.agency, row.email, reader.id, now)
            await letters_repository.withdraw(
                session, order.agency, repository.key_of(order.id, row.times)
            )
            await _write(session, order, gift, row, now)


async def tell(session: Session, order: SalesOrder, gift: Gift, now: datetime) -> None:
    """A gift was paid for: its letter is written, where its giver has named a mailbox (the caller holds the order's lock)."""
    row = await repository.named(session, order.id)
    if row is not None:
        await _write(session, order, gift, row, now)


async def _write(
    session: Session, order: SalesOrder, gift: Gift, row: GiftRecipient, now: datetime
) -> None:
    if row.email is None:
        return
    sent = await repository.sent(session, order.agency, order.id, row.times)
    if sent >= rules.SENT_AT_MOST or row.times >= rules.WRITTEN_AT_MOST:
        raise ConflictError(slug="gift-sent-often")
    row.times += 1
    await session.flush()
    agency = await get_agency(session, order.agency)
    offer = await plans_repository.offer(session, order.agency, order.price_id)
    giver = await readers_repository.by_id(session, order.agency, order.reader_id)
    assert offer is not None and giver is not None  # foreign keys hold them
    told = letter_rules.given(
        repository.key_of(order.id, row.times),
        gift.id,
        Sold(offer.name_vi, offer.name_en, offer.period),
        giver.email,
        row.email,
        row.message,
    )
    due_at = rules.due_at(row.send_on, agency.zone, now)
    await letters.write(session, order.agency, order.reader_id, told, now, due_at)


async def _own(session: Session, reader: Reader, code: str) -> tuple[SalesOrder, Gift | None]:
    """An order for a gift that is open, or paid and not redeemed; both locked."""
    await lock_reader(session, reader.id)
    known = await orders_repository.by_code(session, reader.agency, code)
    if known is None or known.reader_id != reader.id or not known.gift:
        raise NotFoundError
    order = await orders_repository.lock(session, known.id)
    if order.state == "closed":
        raise ConflictError(slug="gift-closed")
    if order.state == "open":
        return order, None
    gift = await orders_repository.gift_of(session, order.id)
    assert gift is not None  # it was paid
    if gift.redeemed_at is not None:
        raise ConflictError(slug="gift-redeemed")
    if not await repository.code_that_stands(session, order.agency, gift.id):
        raise ConflictError(slug="gift-returned")
    return order, gift


def _checked(wish: Wish, today: date) -> tuple[str | None, str, date]:
    """What was typed, as it is kept. Raises :class:`InvalidInputError`."""
    if not wish.email.strip():
        return None, "", today
    email, message = normalise_email(wish.email), rules.message_of(wish.message)
    if email is None:
        raise _wrong("email", "not an e-mail address", "name@example.vn")
    if len(message) > rules.MESSAGE_MOST:
        raise _wrong("message", f"longer than {rules.MESSAGE_MOST} characters", "Chúc mừng!")
    if rules.has_link(message):
        raise _wrong("message", "an address of a website", "Chúc mừng!")
    day = wish.day or today
    if not today <= day <= rules.last_day(today):
        raise _wrong("day", "not within a year from today", today.isoformat())
    return email, message, day


def _wrong(field: str, problem: str, example: str) -> InvalidInputError:
    return InvalidInputError(errors=(FieldError(field, problem, example),))
