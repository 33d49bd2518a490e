"""A company's or a school's mail domain: verified by a code to a mailbox of it, it lets its readers take free seats by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.rules import CODE_LIFETIME, MORE_DIGITS
from services.billing.mailboxes.service import Codes
from services.billing.readers.models import Reader
from services.billing.seats import repository, rights, rules, taking
from services.billing.seats.models import SeatDomain
from services.billing.seats.rights import offer_at
from services.billing.seats.service import held_group
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions.models import Subscription
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, FieldError, InvalidInputError, NotFoundError
from shared.ids import new_id
from shared.mail import Mail, MailSender
from shared.mail.address import normalise_email


class SeatDomains:
    """Use cases of the owner of a group whose seats are paid for one by one."""

    def __init__(self, database: Database, clock: Clock, mail: MailSender, *, secret: str) -> None:
        self._database = database
        self._clock = clock
        self._mail = mail
        self._codes = Codes(secret, "seat-domain")

    async def ask(
        self,
        owner: Reader,
        subscription_id: UUID,
        address: str,
        letter: Callable[[str, str], Mail],
    ) -> None:
        """Send a code to a mailbox of the domain; ``letter`` writes the mail for (address, code).

        Raises :class:`InvalidInputError` for what is no address, :class:`ConflictError` for a domain where anybody may have a mailbox
        (``seat-domain-public``) and one that is verified (``seat-domain-known``), :class:`MailboxBusyError`, :class:`NotFoundError` for a group that has no domains, and ``UnavailableError`` when the mail cannot be sent.
        """
        plain, now, id_ = normalise_email(address), self._clock.now(), new_id()
        if plain is None:
            raise InvalidInputError(
                errors=(FieldError("address", "not an e-mail address", "name@example.vn"),)
            )
        domain = rules.domain_of(plain)
        if rules.is_public(domain):
            raise ConflictError(slug="seat-domain-public")
        code, code_hash = self._codes.new(id_, MORE_DIGITS)
        async with self._database.transaction() as session:
            row = await self._company(session, owner, subscription_id)
            if domain in {one.domain for one in await repository.domains(session, row.id)}:
                raise ConflictError(slug="seat-domain-known")
            await mailboxes.count_for_reader(session, owner.agency, plain, owner.id, now)
            session.add(
                SeatDomain(
                    id=id_,
                    agency=owner.agency,
                    subscription_id=row.id,
                    domain=domain,
                    code_hash=code_hash,
                    created_at=now,
                    expires_at=now + CODE_LIFETIME,
                )
            )
        async with mailboxes.forgotten_unless_sent(self._database, repository.forget_domain, id_):
            await self._mail.send(letter(plain, code))

    async def verify(self, owner: Reader, subscription_id: UUID, typed: str) -> bool:
        """Whether the code is one in time; then its domain is verified. After five wrong ones only a new code helps."""
        async with self._database.transaction() as session:
            row, now = await self._company(session, owner, subscription_id), self._clock.now()
            found = self._codes.enter(await repository.waiting_domains(session, row.id, now), typed)
            if found is None:
                return False
            found.verified_at = now
            await repository.forget_waiting(session, found)
            return True

    async def end(self, owner: Reader, domain_id: UUID) -> None:
        """Nobody takes a seat by it any more; who has one keeps it."""
        async with self._database.transaction() as session:
            known = await session.get(SeatDomain, domain_id)
            if known is None or known.agency != owner.agency:
                raise NotFoundError
            await held_group(session, owner, known.subscription_id, live=False)
            known.ended_at = known.ended_at or self._clock.now()

    async def has_seat(self, reader: Reader) -> bool:
        """Whether a reader has a seat by a mail domain."""
        async with self._database.read() as session:
            return bool(await repository.seats_by_domain(session, reader.id))

    async def _company(
        self, session: Session, owner: Reader, subscription_id: UUID
    ) -> Subscription:
        row = await held_group(session, owner, subscription_id)
        if not (await offer_at(session, row, self._clock.now())).per_seat:
            raise NotFoundError
        return row


async def owners(session: Session, reader_id: UUID) -> list[UUID]:
    """Who pays for the seats that a reader took by a mail domain."""
    return [owner for _, owner in await repository.seats_by_domain(session, reader_id)]


async def leave(
    session: Session, reader: Reader, old_email: str, new_email: str, now: datetime
) -> None:
    """Seats that a reader took by a mail domain end when their address leaves it, as if they had left themselves: who comes back to
    the domain may take one again. An invited seat is the reader's, whatever their address is.

    The caller holds the owners' locks (:func:`owners`) and the reader's.
    """
    domain = rules.domain_of(new_email)
    if domain == rules.domain_of(old_email):
        return
    for seat_id, _ in await repository.seats_by_domain(session, reader.id):
        seat = await repository.by_id(session, reader.agency, seat_id)
        assert seat is not None  # none is ever removed
        row = await subscriptions_repository.lock(session, seat.subscription_id)
        if domain in {one.domain for one in await repository.domains(session, row.id)}:
            continue
        await taking.free(session, row, seat, rights.MEMBER, now)
