"""What follows from a payment on paper and in the books: its invoice, its receipt, and what goes back of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from services.billing import metrics
from services.billing.invoices import service as invoices
from services.billing.invoices.models import Invoice
from services.billing.ledger import rules as accounts
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.payments import repository
from services.billing.payments.models import Payment, Refund
from services.billing.payments.rules import sold_line
from services.billing.plans.service import PRESS_SUBSCRIPTION, vat_in, vat_row_of
from services.billing.recognition import service as recognition
from services.billing.recognition.facts import RefundFact
from shared.agencies import Agency, get_agency
from shared.clock import local_date
from shared.database import Database, Session
from shared.ids import new_id
from shared.money import Money, accrued

log = structlog.get_logger(__name__)


async def issue_invoice(
    session: Session, payment: Payment, agency: Agency, currency: str, now: datetime
) -> Invoice:
    """The invoice of a payment that is in the books: see the order of locks in ``invoices.service``."""
    sale = await repository.sale_of(session, payment.id)
    bought = None
    if payment.period_start is not None and payment.period_end is not None:
        bought = payment.period_start, payment.period_end
    line = sold_line(sale, payment.amount_vnd, PRESS_SUBSCRIPTION, bought, agency.zone)
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
    session: Session, payment: Payment, invoice: Invoice | None, agency: Agency, now: datetime
) -> None:
    """The receipt of a payment, by mail to its reader; ``invoice`` None where nothing was to be paid."""
    sale = await repository.sale_of(session, payment.id)
    tax = await vat_row_of(session, PRESS_SUBSCRIPTION, local_date(payment.paid_at, agency.zone))
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
    )
    await letters.write(session, agency.id, payment.reader_id, letter_rules.receipt(paid), now)


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """Money that went back: under which reference of the payment's provider, from which account; ``unopened``: of a gift that
    nobody has redeemed."""

    reference: str
    amount_vnd: int
    refunded_at: datetime
    credit: str = accounts.RECEIVABLE
    unopened: bool = False


async def record_refund(
    session: Session, payment: Payment, money: MoneyBack, now: datetime
) -> None:
    """A refund of a payment (locked by the caller): the books, its row, what the payment says was given back, the letter."""
    id_, agency = new_id(), await get_agency(session, payment.agency)
    vat_vnd = await vat_in(session, payment.amount_vnd, local_date(payment.paid_at, agency.zone))
    given_back = payment.refunded_vnd + money.amount_vnd
    deferred = await recognition.post_refund(
        session,
        RefundFact(
            id_,
            payment.id,
            agency,
            f"{payment.provider}:refund:{money.reference}",
            Money(money.amount_vnd),
            # Of the payment's tax what its refunds' share of the price is: all of it with the last đồng.
            accrued(vat_vnd, given_back, payment.amount_vnd)
            - accrued(vat_vnd, payment.refunded_vnd, payment.amount_vnd),
            money.refunded_at,
            credit=money.credit,
            unopened=money.unopened,
        ),
        now,
    )
    session.add(
        Refund(
            id=id_,
            agency=payment.agency,
            payment_id=payment.id,
            provider=payment.provider,
            provider_refund=money.reference,
            amount_vnd=money.amount_vnd,
            deferred_vnd=deferred,
            refunded_at=money.refunded_at,
        )
    )
    payment.refunded_vnd = given_back
    await session.flush()
    sale = await repository.sale_of(session, payment.id)
    told = letter_rules.refunded(
        id_,
        letter_rules.Sold(sale.name_vi, sale.name_en, sale.period),
        money.amount_vnd,
        payment.amount_vnd,
        payment.paid_at,
        whole=payment.refunded_vnd == payment.amount_vnd,
    )
    await letters.write(session, payment.agency, payment.reader_id, told, now)
    metrics.PAYMENTS.labels(payment.agency, "refunded").inc()


class Payments:
    """Reading payments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_reader(self, reader_id: UUID) -> Sequence[Payment]:
        async with self._database.read() as session:
            return await repository.payments_of_reader(session, reader_id)
