"""Orders: what a reader asks for, and what follows once it is paid, whoever collected the money."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.billing import metrics
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.orders import repository
from services.billing.orders.codes import new_code
from services.billing.orders.models import SalesOrder
from services.billing.payments.models import Payment
from services.billing.payments.repository import lock_reader
from services.billing.plans import repository as plans_repository
from services.billing.plans.repository import Offer
from services.billing.plans.rules import VatRow, next_term, vat_included
from services.billing.plans.service import PRESS_SUBSCRIPTION, Plans, vat_row_of
from services.billing.readers.models import Reader
from services.billing.readers.repository import set_language
from services.billing.recognition import service as recognition
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import rules as subscription_rules
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.service import Subscriptions
from shared.agencies import get_agency
from shared.clock import Clock, local_date
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id
from shared.money import Money

#: How long an order waits for its money. People transfer from their bank's app within minutes; some go to a counter.
OPEN_FOR = timedelta(hours=72)
#: An order that ends sooner than this is not shown again: a fresh one is made.
SHOWN_FOR = timedelta(hours=1)
CLOSED_A_ROUND = 500


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that pays an order: who collected it, under which reference, the account it is taken from."""

    provider: str
    reference: str
    debit: str
    paid_at: datetime


async def settle(session: Session, order: SalesOrder, receipt: Receipt, now: datetime) -> Payment:
    """An order (locked by the caller) is paid: the term, the books, the right to read, their events, and the receipt.

    Locks after the order: the reader's terms, then the agency's books.
    """
    agency = await get_agency(session, order.agency)
    offer = await plans_repository.offer(session, order.agency, order.price_id)
    assert offer is not None  # a foreign key holds it
    row = await subscriptions.term_for(session, order.agency, order.reader_id, order.price_id, now)
    term = next_term(
        now,
        offer.period,
        agency.zone,
        paid_until=await subscriptions_repository.paid_until(session, row.id),
        anchor_day=row.anchor_day or 0,
        others_until=await subscriptions_repository.others_until(session, row),
    )
    row.price_id, row.anchor_day = order.price_id, term.anchor_day
    row.period_start, row.period_end = term.start, term.end
    payment = Payment(
        id=new_id(),
        agency=order.agency,
        subscription_id=row.id,
        reader_id=order.reader_id,
        order_id=order.id,
        provider=receipt.provider,
        provider_invoice=receipt.reference,
        amount_vnd=order.amount_vnd,
        period_start=term.start,
        period_end=term.end,
        paid_at=receipt.paid_at,
    )
    session.add(payment)
    order.state, order.paid_at = "paid", now
    await session.flush()
    tax = await vat_row_of(session, PRESS_SUBSCRIPTION, local_date(receipt.paid_at, agency.zone))
    vat_vnd = vat_included(order.amount_vnd, tax)
    await recognition.post_payment(
        session,
        recognition.PaymentFact(
            payment.id,
            agency,
            f"order:{order.code}",
            Money(order.amount_vnd),
            vat_vnd,
            receipt.paid_at,
            term.start,
            term.end,
            debit=receipt.debit,
        ),
        now,
    )
    told = _receipt_letter(order, payment, offer, vat_vnd, tax)
    await letters.write(session, order.agency, order.reader_id, told, now)
    await subscriptions.refresh(session, row, timedelta(0), now)
    metrics.PAYMENTS.labels(order.agency, "paid").inc()
    return payment


def _receipt_letter(
    order: SalesOrder, payment: Payment, offer: Offer, vat_vnd: int, tax: VatRow
) -> letter_rules.Draft:
    paid = letter_rules.Paid(
        payment.id,
        letter_rules.Sold(offer.name_vi, offer.name_en, offer.period),
        payment.amount_vnd,
        vat_vnd,
        tax.rate_basis_points,
        payment.paid_at,
        payment.period_start,
        payment.period_end,
        number=order.code,
        renews=False,
    )
    return letter_rules.receipt(paid)


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as its reader sees it; ``payment`` once it is paid, ``received_vnd`` what came in so far."""

    order: SalesOrder
    offer: Offer
    payment: Payment | None
    received_vnd: int

    @property
    def missing_vnd(self) -> int:
        return max(self.order.amount_vnd - self.received_vnd, 0)


class Orders:
    """Use cases of a reader who pays for one period at a time."""

    def __init__(
        self, database: Database, clock: Clock, plans: Plans, subscriptions_: Subscriptions
    ) -> None:
        self._database = database
        self._clock = clock
        self._plans = plans
        self._subscriptions = subscriptions_

    async def start(
        self, reader: Reader, price_id: UUID, return_to: str, language: str
    ) -> SalesOrder:
        """The order to pay: the one that is open for the same thing, or a new one in its place.

        Raises :class:`NotFoundError` for an unknown price, :class:`ConflictError` for a price that is no longer sold
        or a reader whose subscription renews by itself.
        """
        offer = await self._plans.offer(reader.agency, price_id)
        if not offer.current:
            raise ConflictError("This price is no longer sold", slug="price-superseded")
        if await self._subscriptions.live_of_reader(reader.id) is not None:
            raise ConflictError("You have a subscription already", slug="already-subscribed")
        now = self._clock.now()
        async with self._database.transaction() as session:
            await lock_reader(session, reader.id)
            await set_language(session, reader.id, language)
            order = await repository.open_order(session, reader.id)
            if order is not None:
                if order.price_id == price_id and now < order.expires_at - SHOWN_FOR:
                    order.return_to = return_to or order.return_to
                    return order
                order.state = "closed"
                await session.flush()
            order = SalesOrder(
                id=new_id(),
                agency=reader.agency,
                code=new_code(secrets.randbelow),
                reader_id=reader.id,
                price_id=price_id,
                amount_vnd=offer.amount_vnd,
                language=language,
                return_to=return_to,
                created_at=now,
                expires_at=now + OPEN_FOR,
            )
            session.add(order)
            return order

    async def view(self, reader: Reader, code: str) -> OrderView:
        """An order of this reader's. Raises :class:`NotFoundError` for anybody else's."""
        async with self._database.read() as session:
            order = await repository.by_code(session, reader.agency, code)
            if order is None or order.reader_id != reader.id:
                raise NotFoundError
            payment = await repository.payment_of(session, order.id)
            received = await repository.received_vnd(session, order.id)
        offer = await self._plans.offer(reader.agency, order.price_id)
        return OrderView(order, offer, payment, received)

    async def open_of_reader(self, reader: Reader) -> SalesOrder | None:
        """The order that this reader has not paid yet."""
        async with self._database.read() as session:
            order = await repository.shown_order(session, reader.id)
        return order if order is not None and self._clock.now() < order.expires_at else None

    async def close_expired(self) -> int:
        """Orders whose time is over. Returns how many."""
        async with self._database.transaction() as session:
            return await repository.close_expired(session, self._clock.now(), CLOSED_A_ROUND)


async def blocked(session: Session, reader_id: UUID) -> bool:
    """Whether the reader's subscription renews by itself, so that a term beside it would be paid twice."""
    rows = await subscriptions_repository.of_reader(session, reader_id)
    return any(
        subscription_rules.renews(row.state, row.collection, cancels=row.cancel_at_period_end)
        for row in rows
    )
