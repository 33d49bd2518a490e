"""What a reader does to sign in with another address, and what the mailbox of the old one may do about it.

Locks: the owners' of the groups that the reader sits in by a mail domain and the reader's, in the order of their ids, before any row.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from services.billing.addresses import repository, rules
from services.billing.addresses.models import AddressChange, AddressCode
from services.billing.letters import address_rules as letter_rules
from services.billing.letters import service as letters
from services.billing.letters.links import UndoLink
from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.rules import CODE_LIFETIME, MORE_DIGITS, mailbox_of
from services.billing.mailboxes.service import Codes
from services.billing.passwords import service as passwords
from services.billing.phones import repository as phones
from services.billing.phones.service import tell_removed
from services.billing.readers import repository as readers_repository
from services.billing.readers.models import Reader
from services.billing.readers.rules import former_hash, hash_token
from services.billing.readers.service import Visitor
from services.billing.seats import domains as seat_domains
from services.billing.subscriptions.repository import lock_reader, subscribed_before
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, FieldError, InvalidInputError, NotFoundError
from shared.ids import new_id
from shared.mail import Mail, MailSender
from shared.mail.address import normalise_email


class Addresses:
    """Use cases of a signed-in reader, and of who holds the letter to their old address."""

    def __init__(self, database: Database, clock: Clock, mail: MailSender, *, secret: str) -> None:
        self._database = database
        self._clock = clock
        self._mail = mail
        self._secret = secret
        self._codes = Codes(secret, "address")

    async def ask(
        self,
        reader: Reader,
        typed: str,
        letter: Callable[[str, str], Mail],
        taken: Callable[[str], Mail],
    ) -> None:
        """Send a code to the new mailbox; to one that another reader has, the mail that says so, and no code.

        ``letter`` writes the mail for (address, code), ``taken`` the other one. Raises :class:`InvalidInputError` for no address,
        :class:`ConflictError` (``address-same``) for the reader's own, :class:`MailboxBusyError`, and ``UnavailableError`` when the
        mail cannot be sent.
        """
        address = normalise_email(typed)
        if address is None:
            raise InvalidInputError(
                errors=(FieldError("email", "not an e-mail address", "name@example.vn"),)
            )
        if address == reader.email:
            raise ConflictError(slug="address-same")
        now, id_ = self._clock.now(), new_id()
        code, code_hash = self._codes.new(id_, MORE_DIGITS)
        async with self._database.transaction() as session:
            await lock_reader(session, reader.id)
            await mailboxes.count_for_reader(session, reader.agency, address, reader.id, now)
            known = await repository.is_taken(session, reader.agency, address, reader.id, now)
            session.add(
                AddressCode(
                    id=id_,
                    agency=reader.agency,
                    reader_id=reader.id,
                    address=address,
                    code_hash=code_hash,
                    created_at=now,
                    expires_at=now + CODE_LIFETIME,
                )
            )
        async with mailboxes.forgotten_unless_sent(self._database, repository.forget_code, id_):
            await self._mail.send(taken(address) if known else letter(address, code))

    async def enter(
        self, reader: Reader, session_id: UUID, typed: str, visitor: Visitor
    ) -> str | None:
        """The address changes; the new token of the browser's session, the only one that stays. None for a code that is none in
        time, or after too many.

        Raises :class:`ConflictError`: ``address-taken`` when another reader was faster, ``address-signed-out`` when the session was
        ended meanwhile.
        """
        now, token = self._clock.now(), secrets.token_urlsafe(32)
        async with self._database.transaction() as session:
            own = await _locked(session, reader.agency, reader.id)
            right = self._codes.enter(
                await repository.codes_for_update(session, own.id, now), typed
            )
            if right is None:
                return None
            if await repository.is_taken(session, own.agency, right.address, own.id, now):
                raise ConflictError(slug="address-taken")
            change = AddressChange(
                id=new_id(),
                agency=own.agency,
                reader_id=own.id,
                old_email=own.email,
                new_email=right.address,
                changed_at=now,
                undo_until=now + rules.UNDO_WITHIN,
                network=visitor.network,
                user_agent=visitor.user_agent[:300],
            )
            if await subscribed_before(session, own.id):
                # Who comes back by the old mailbox is not new: what is for new readers is not had again by a change of address.
                mailbox = former_hash(self._secret, own.agency, mailbox_of(own.email))
                await readers_repository.remember(session, own.agency, mailbox)
            # Whoever signs in holds their old session before the reader's row, so sessions end before it, and those opened until then after.
            hash_ = hash_token(token)
            if not await repository.keep_session(session, session_id, own.id, hash_, now):
                raise ConflictError(slug="address-signed-out")
            await repository.end_others(session, own.id, session_id, now)
            await _set_email(session, own, right.address)
            await repository.end_others(session, own.id, session_id, now)
            await repository.forget_codes(session, own.id)
            await seat_domains.leave(session, own, change.old_email, change.new_email, now)
            session.add(change)
            told = letter_rules.changed(
                change.id, change.old_email, rules.masked(change.new_email), now, change.undo_until
            )
            await letters.write(session, own.agency, own.id, told, now)
        return token

    async def change(self, link: UndoLink) -> tuple[AddressChange, str]:
        """What the link of a letter is about, and how it stands: open, undone, or over. Raises :class:`NotFoundError`."""
        async with self._database.read() as session:
            found = await repository.change(session, link.agency, link.reader_id, link.change_id)
        if found is None:
            raise NotFoundError
        return found, _state(found, self._clock.now())

    async def undo(self, link: UndoLink) -> None:
        """The reader has the old address again, and is signed in nowhere. What was changed after it is taken back with it, and a mobile
        number that was added since, or in the week before, is theirs no more.

        Nothing changes of a change that was taken back. Raises :class:`NotFoundError`, and :class:`ConflictError`: ``address-over`` when its
        time is over, ``address-taken`` when somebody else has the old address.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            own = await _locked(session, link.agency, link.reader_id)
            found = await repository.change(session, link.agency, own.id, link.change_id)
            if found is None:
                raise NotFoundError
            state = _state(found, now)
            if state == "over":
                raise ConflictError(slug="address-over")
            if state == "undone":
                return
            lost = own.email
            await repository.undo_from(session, found, now)
            await passwords.throw_out(session, own, found.old_email, now)
            await readers_repository.end_all(session, own.agency, own.id, now)
            await _set_email(session, own, found.old_email)
            await repository.forget_codes(session, own.id)
            # Whoever had the account may have given it a number of theirs, also shortly before.
            number = await phones.remove(session, own.id, found.changed_at - rules.UNDO_WITHIN)
            if number:
                await tell_removed(session, own, found.old_email, number, now)
            await readers_repository.end_all(session, own.agency, own.id, now)  # opened until then
            await phones.forget_codes(session, own.id)
            await seat_domains.leave(session, own, lost, found.old_email, now)
            if lost != found.old_email:
                told = letter_rules.undone(found.id, lost, now)
                await letters.write(session, own.agency, own.id, told, now)

    async def forget_old(self) -> None:
        """Codes that are over."""
        async with self._database.transaction() as session:
            await repository.forget_old(session, self._clock.now())


def _state(change: AddressChange, now: datetime) -> str:
    if change.undone_at is not None:
        return "undone"
    return "open" if now < change.undo_until else "over"


async def _locked(session: Session, agency: str, reader_id: UUID) -> Reader:
    """The reader as they are now, their lock taken with those of their groups' owners. Raises :class:`NotFoundError`."""
    owners = await seat_domains.owners(session, reader_id)
    for one in sorted({*owners, reader_id}):
        await lock_reader(session, one)
    if not set(await seat_domains.owners(session, reader_id)) <= set(owners):
        raise ConflictError(
            slug="address-again"
        )  # a seat was taken just now: pressed again it is seen
    own = await readers_repository.by_id(session, agency, reader_id)
    if own is None:
        raise NotFoundError
    return own


async def _set_email(session: Session, own: Reader, email: str) -> None:
    try:
        await repository.set_email(session, own.id, email)
    except IntegrityError as error:
        raise ConflictError(slug="address-taken") from error
