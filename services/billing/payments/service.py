"""What follows from a payment on paper and in the books: its invoice, its receipt, and what goes back of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from services.billing import metrics
from services.billing.gifts import repository as gifts
from services.billing.invoices import service as invoices
from services.billing.invoices.models import Invoice
from services.billing.ledger import rules as accounts
from services.billing.ledger.repository import posted
from services.billing.ledger.service import post_new
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.payments import repository
from services.billing.payments.models import Payment, Refund
from services.billing.payments.rules import sold_line
from services.billing.plans.rules import CONTRIBUTION, vat_kind
from services.billing.plans.service import vat_in, vat_row_of
from services.billing.recognition import service as recognition
from services.billing.recognition.facts import RefundFact, stream_of
from shared.agencies import Agency, get_agency
from shared.clock import local_date
from shared.database import Database, Session
from shared.ids import new_id
from shared.money import Money

log = structlog.get_logger(__name__)


async def issue_invoice(
    session: Session, payment: Payment, agency: Agency, currency: str, now: datetime
) -> Invoice:
    """The invoice of a payment that is in the books: see the order of locks in ``invoices.service``."""
    sale = await repository.sale_of(session, payment.id)
    bought = None
    if payment.period_start is not None and payment.period_end is not None:
        bought = payment.period_start, payment.period_end
    line = sold_line(sale, payment.amount_vnd, vat_kind(sale.kind), bought, agency.zone)
    return await invoices.issue(
        session,
        invoices.InvoiceFact(
            payment.id,
            agency,
            invoices.Buyer(payment.reader_id, sale.email, sale.name),
            payment.paid_at,
            currency,
            (line,),
            sale.language,
        ),
        now,
    )


async def tell_receipt(
    session: Session,
    payment: Payment,
    invoice: Invoice | None,
    agency: Agency,
    now: datetime,
    *,
    again: UUID | None = None,
) -> None:
    """The receipt of a payment, by mail to its reader; ``invoice`` None where nothing was to be paid. ``again``: once more, under a
    key of its own."""
    sale = await repository.sale_of(session, payment.id)
    tax = await vat_row_of(session, vat_kind(sale.kind), local_date(payment.paid_at, agency.zone))
    paid = letter_rules.Paid(
        payment.id,
        letter_rules.Sold(sale.name_vi, sale.name_en, sale.period),
        payment.amount_vnd,
        invoice.vat_vnd if invoice else 0,
        tax.rate_basis_points,
        payment.paid_at,
        payment.period_start,
        payment.period_end,
        order_code=sale.code,
        renews=sale.renews,
        invoice=(invoice.id, invoice.document) if invoice else None,
        kind=sale.kind,
        uses=sale.uses,
        offer=sale.offer.facts if sale.offer else None,
        gift_to=await gifts.told_of(session, payment.order_id) if payment.order_id else None,
    )
    await letters.write(
        session, agency.id, payment.reader_id, letter_rules.receipt(paid, again), now
    )


async def tell_trial(
    session: Session, payment: Payment, amount_vnd: int, agency: Agency, now: datetime
) -> None:
    """A trial that has begun, by mail to its reader; ``amount_vnd``: what is charged when it ends."""
    assert payment.subscription_id is not None and payment.period_end is not None  # it has begun
    sale = await repository.sale_of(session, payment.id)
    sold = letter_rules.Sold(sale.name_vi, sale.name_en, sale.period)
    told = letter_rules.trial_started(
        payment.id,
        payment.subscription_id,
        sold,
        amount_vnd,
        payment.period_end,
        offer=sale.offer.facts if sale.offer else None,
    )
    await letters.write(session, agency.id, payment.reader_id, told, now)


#: Kinds of :class:`Refund`.
REFUND, DISPUTE = "refund", "dispute"


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """Money that went back: under which reference of the payment's provider, from which account; ``unopened``: of a gift that
    nobody has redeemed; ``kind``: a ``refund``, or a ``dispute`` that was lost."""

    reference: str
    amount_vnd: int
    refunded_at: datetime
    credit: str = accounts.RECEIVABLE
    unopened: bool = False
    kind: str = REFUND


async def record_refund(
    session: Session, payment: Payment, money: MoneyBack, now: datetime
) -> Refund:
    """A refund of a payment (locked by the caller): the books, its row, what the payment says was given back, the letter."""
    agency = await get_agency(session, payment.agency)
    row = Refund(
        id=new_id(),
        agency=payment.agency,
        payment_id=payment.id,
        provider=payment.provider,
        provider_refund=money.reference,
        amount_vnd=money.amount_vnd,
        deferred_vnd=0,
        refunded_at=money.refunded_at,
        kind=money.kind,
    )
    fact = await _refund_fact(session, payment, row, money, agency)
    if payment.order_id is None:
        lines = accounts.unclaimed_returned_lines(money.credit, money.amount_vnd)
        returned = fact.posting("refunded", accounts.UNCLAIMED_RETURNED, money.refunded_at, lines)
        await post_new(session, returned, now)
    else:
        row.deferred_vnd = await recognition.post_refund(session, fact, now)
    session.add(row)
    payment.refunded_vnd += money.amount_vnd
    await session.flush()
    if money.kind == REFUND:
        await _tell_refunded(session, payment, row, now)
    outcome = "refunded" if money.kind == REFUND else "disputed"
    metrics.after_commit(session, metrics.PAYMENTS.labels(payment.agency, outcome).inc)
    return row


async def _refund_fact(
    session: Session, payment: Payment, row: Refund, money: MoneyBack, agency: Agency
) -> RefundFact:
    vat_vnd, kind = 0, (await repository.sale_of(session, payment.id)).kind
    if payment.order_id is not None:
        paid_on = local_date(payment.paid_at, agency.zone)
        vat_vnd = await recognition.refund_vat(
            session,
            payment.id,
            await vat_in(session, payment.amount_vnd, paid_on, vat_kind(kind)),
            payment.amount_vnd,
            money.amount_vnd,
        )
    return RefundFact(
        row.id,
        payment.id,
        agency,
        _key(row),
        Money(money.amount_vnd),
        vat_vnd,
        money.refunded_at,
        stream_of(kind),
        credit=money.credit,
        unopened=money.unopened,
    )


def _key(row: Refund) -> str:
    return f"{row.provider}:refund:{row.provider_refund}"


async def _tell_refunded(session: Session, payment: Payment, row: Refund, now: datetime) -> None:
    sale = await repository.sale_of(session, payment.id)
    told = letter_rules.refunded(
        row.id,
        letter_rules.Sold(sale.name_vi, sale.name_en, sale.period),
        row.amount_vnd,
        payment.amount_vnd,
        payment.paid_at,
        # A contribution had bought nothing that could end.
        whole=payment.refunded_vnd == payment.amount_vnd and sale.kind != CONTRIBUTION,
    )
    await letters.write(session, payment.agency, payment.reader_id, told, now)


async def record_refund_failed(
    session: Session, payment: Payment, row: Refund, failed_at: datetime, now: datetime
) -> None:
    """A refund that is in the books did not arrive, or a dispute that was lost is won (the payment is locked by the caller): its
    entry is reversed, the payment says so, and a letter that was not sent yet is not sent; of one that was the reader is told."""
    agency = await get_agency(session, payment.agency)
    fact = RefundFact(
        row.id,
        payment.id,
        agency,
        _key(row),
        Money(row.amount_vnd),
        0,
        row.refunded_at,
        stream_of((await repository.sale_of(session, payment.id)).kind),
    )
    if payment.order_id is None:
        reversed_, lines = await posted(session, agency.id, f"{fact.key}:refunded")
        back = accounts.opposite(lines)
        await post_new(
            session, fact.posting("refund-failed", "refund_failed", failed_at, back, reversed_), now
        )
    else:
        await recognition.post_refund_failed(
            session, fact, row.deferred_vnd, now, failed_at=failed_at
        )
    row.failed_at = failed_at
    payment.refunded_vnd -= row.amount_vnd
    await session.flush()
    key = letter_rules.refunded_key(row.id)
    await letters.withdraw(session, payment.agency, key)
    if await letters.told_already(session, payment.agency, key):
        sale = await repository.sale_of(session, payment.id)
        told = letter_rules.refund_failed(
            row.id,
            letter_rules.Sold(sale.name_vi, sale.name_en, sale.period),
            row.amount_vnd,
            payment.amount_vnd,
            sale.kind,
        )
        await letters.write(session, payment.agency, payment.reader_id, told, now)
    metrics.after_commit(session, metrics.PAYMENTS.labels(payment.agency, "refund_failed").inc)


class Payments:
    """Reading payments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_reader(self, reader_id: UUID) -> Sequence[Payment]:
        async with self._database.read() as session:
            return await repository.payments_of_reader(session, reader_id)
