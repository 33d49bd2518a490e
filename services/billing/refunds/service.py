"""Refunds: somebody asks, a second person approves what is large. What was transferred finance transfers back; what a provider
collected goes back through it (``sending``). Only when the money has gone the books move.

Locks, in this order: the agency's credits, the readers, the request, a gift, the payment, the agency's books.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.billing.charges.debts import close_changes
from services.billing.charges.returns import NotYetError, give_back, hold, hold_readers
from services.billing.ledger import rules as accounts
from services.billing.payments.models import Payment
from services.billing.payments.service import MoneyBack
from services.billing.refunds import repository
from services.billing.refunds.models import RefundRequest
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.transfers import repository as transfers_repository
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id

#: What a page of finance shows together.
GROUPS = {
    "approve": ("asked",),
    "pay": ("approved", "sent"),
    "done": ("paid", "failed", "refused"),
}


@dataclass(frozen=True, slots=True)
class By:
    """A member of staff: the account's id, and the name people read."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class RequestPage:
    """A stretch of requests, the newest first; ``more`` when older ones follow. ``counts`` by state, of all."""

    requests: list[dict[str, Any]]
    more: bool
    counts: dict[str, int]


class Refunds:
    """Use cases of support and of finance. ``approval_vnd``: from this sum on a second person approves."""

    def __init__(self, database: Database, clock: Clock, *, approval_vnd: int) -> None:
        self._database = database
        self._clock = clock
        self.approval_vnd = approval_vnd

    async def ask(
        self, agency: str, reader_id: UUID, payment_id: UUID, amount_vnd: int, reason: str, by: By
    ) -> RefundRequest:
        """Ask for đồng of a payment to go back. Below the limit it is approved at once.

        The limit counts all that is given back of the payment. Another plan that was offered for what is left of it is closed.
        Raises :class:`NotFoundError` for no such payment of this reader's, :class:`ConflictError` for more than is left of it, and for
        what its holder's bank takes back already.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            await hold_readers(session, payment_id)
            payment = await repository.lock_payment(session, agency, payment_id)
            if payment is None or payment.reader_id != reader_id:
                raise NotFoundError
            if amount_vnd <= 0:
                raise ConflictError(slug="refund-too-much")
            await _check_left(session, payment, amount_vnd)
            id_ = new_id()
            values = {
                "id": id_,
                "agency": agency,
                "payment_id": payment_id,
                "amount_vnd": amount_vnd,
                "reason": reason,
                "approval_from_vnd": self.approval_vnd,
                "asked_by": by.id,
                "asked_name": by.name,
                "asked_at": now,
            }
            state = await repository.insert(session, values)
            if payment.subscription_id is not None:
                await close_changes(session, payment.subscription_id, now)
            request = await repository.lock_request(session, agency, id_)
            assert request is not None  # it was made above
            await _note(
                session,
                audit.Action.REFUND_ASKED,
                request,
                now,
                {"amount_vnd": amount_vnd, "state": state, "why": reason},
            )
            return request

    async def approve(self, agency: str, request_id: UUID, by: By) -> None:
        """Let it be paid. Raises :class:`NotFoundError`, and :class:`ConflictError` for what is decided, was asked by the same
        person, or is not left any more: money went back another way meanwhile, or the holder's bank takes it."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            request = await _locked(session, agency, request_id, "asked")
            if request.asked_by == by.id:
                raise ConflictError(slug="refund-same-person")
            payment = await repository.lock_payment(session, agency, request.payment_id)
            assert payment is not None  # a foreign key holds it
            await _check_left(session, payment)
            request.state = "approved"
            request.approved_by, request.approved_name, request.approved_at = by.id, by.name, now
            request.ask_at = now if request.by_card else None
            await session.flush()
            await _note(
                session,
                audit.Action.REFUND_APPROVED,
                request,
                now,
                {"amount_vnd": request.amount_vnd, "state": request.state},
            )

    async def refuse(self, agency: str, request_id: UUID, why: str, by: By) -> None:
        """Nothing goes back for this request. Raises :class:`NotFoundError`, and :class:`ConflictError` for what is paid, refused,
        or in the provider's hands."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            request = await _locked(session, agency, request_id, "asked", "approved")
            request.state, request.refused_why = "refused", why
            request.refused_by, request.refused_name, request.refused_at = by.id, by.name, now
            request.ask_at = None
            await session.flush()
            await _note(
                session,
                audit.Action.REFUND_REFUSED,
                request,
                now,
                {"amount_vnd": request.amount_vnd, "state": request.state, "why": why},
            )

    async def pay(self, agency: str, request_id: UUID, reference: str, by: By) -> None:
        """Write down that the money was transferred back, under the bank's reference; books and right to read follow.

        Raises :class:`NotFoundError`, and :class:`ConflictError` for what is not approved, goes back to a card, a reference that was
        used before, or a gift that is being redeemed.
        """
        now, reference = self._clock.now(), reference.strip().upper()
        async with self._database.transaction() as session:
            await transfers_repository.lock_credits(session, agency)
            for reader_id in await repository.readers_of(session, agency, request_id):
                await subscriptions_repository.lock_reader(session, reader_id)
            request = await _locked(session, agency, request_id, "approved")
            if request.by_card:
                raise ConflictError(slug="refund-by-card")
            if await transfers_repository.returned(session, agency, reference):
                raise ConflictError(slug="returned-before")
            try:
                held = await hold(session, request.payment_id, request)
            except NotYetError as error:
                raise ConflictError(slug="refund-held") from error
            request.state, request.bank_reference = "paid", reference
            request.paid_by, request.paid_name, request.paid_at = by.id, by.name, now
            await session.flush()
            await _note(
                session,
                audit.Action.REFUND_PAID,
                request,
                now,
                {
                    "amount_vnd": request.amount_vnd,
                    "state": request.state,
                    "reference": reference,
                },
            )
            money = MoneyBack(reference, request.amount_vnd, now, credit=accounts.BANK)
            await give_back(session, held, money, now)

    async def page(
        self,
        agency: str,
        group: str,
        *,
        limit: int,
        after: tuple[datetime, UUID] | None = None,
    ) -> RequestPage:
        """Requests of a group (a key of ``GROUPS``), the newest first; with ``after`` those asked before it."""
        async with self._database.read() as session:
            await get_agency(session, agency)
            found = await repository.listing(
                session, agency, GROUPS[group], limit=limit + 1, after=after
            )
            counts = await repository.counts(session, agency)
        return RequestPage(found[:limit], len(found) > limit, counts)

    async def open_of_reader(self, reader_id: UUID) -> dict[UUID, int]:
        """Đồng that are on their way back to a reader, by payment."""
        async with self._database.read() as session:
            return await repository.open_of_reader(session, reader_id)


async def _locked(session: Session, agency: str, request_id: UUID, *states: str) -> RefundRequest:
    request = await repository.lock_request(session, agency, request_id)
    if request is None:
        raise NotFoundError
    if request.state not in states:
        raise ConflictError(slug="refund-decided")
    return request


async def _check_left(session: Session, payment: Payment, more_vnd: int = 0) -> None:
    """Raises :class:`ConflictError` where ``more_vnd`` beside all that is asked for already is not left of a payment (it is locked)."""
    if await repository.is_disputed(session, payment.id):
        raise ConflictError(slug="refund-disputed")
    asked = more_vnd + await repository.asked_vnd(session, payment.id)
    if asked > payment.amount_vnd - payment.refunded_vnd:
        raise ConflictError(slug="refund-too-much")


async def _note(
    session: Session,
    action: audit.Action,
    request: RefundRequest,
    now: datetime,
    after: dict[str, Any],
) -> None:
    await audit.record(
        session,
        action,
        agency=request.agency,
        at=now,
        subject=f"refund/{request.id}",
        label=f"payment/{request.payment_id}",
        after=after,
    )
