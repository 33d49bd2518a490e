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
from services.billing.invoices.rules import InvoiceLineFact
from services.billing.ledger import rules as accounts
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.payments import repository
from services.billing.payments.models import Payment, Refund
from services.billing.plans.rules import PERIOD_WORDS
from services.billing.plans.service import PRESS_SUBSCRIPTION, vat_in, vat_row_of
from services.billing.recognition import service as recognition
from services.billing.recognition.facts import RefundFact
from services.billing.recognition.rules import days_bought
from shared.agencies import Agency, get_agency
from shared.clock import local_date
from shared.database import Database, Session
from shared.ids import new_id
from shared.money import Money, accrued, format_vnd

log = structlog.get_logger(__name__)


async def issue_invoice(
    session: Session, payment: Payment, agency: Agency, currency: str, now: datetime
) -> Invoice:
    """The invoice of a payment that is in the books: see the order of locks in ``invoices.service``."""
    sale = await repository.sale_of(session, payment.id)
    words_vi, words_en = PERIOD_WORDS[sale.period]
    kept = f", đã trừ phần còn lại {format_vnd(sale.credit_vnd, 'vi')}" if sale.credit_vnd else ""
    kept_en = f", less {format_vnd(sale.credit_vnd, 'en')} left" if sale.credit_vnd else ""
    period_from = period_until = None
    if payment.period_start is not None and payment.period_end is not None:
        period_from, period_until = days_bought(
            local_date(payment.period_start, agency.zone),
            local_date(payment.period_end, agency.zone),
        )
    line = InvoiceLineFact(
        f"{sale.name_vi} ({words_vi}{kept})",
        f"{sale.name_en} ({words_en}{kept_en})",
        payment.amount_vnd,
        PRESS_SUBSCRIPTION,
        period_from=period_from,
        period_until=period_until,
    )
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


async def tell_trial(
    session: Session, payment: Payment, list_vnd: int, agency: Agency, now: datetime
) -> None:
    """A trial that has begun, by mail to its reader; ``list_vnd``: what is charged when it ends."""
    assert payment.subscription_id is not None and payment.period_end is not None  # it has begun
    sale = await repository.sale_of(session, payment.id)
    sold = letter_rules.Sold(sale.name_vi, sale.name_en, sale.period)
    told = letter_rules.trial_started(
        payment.id, payment.subscription_id, sold, list_vnd, payment.period_end
    )
    await letters.write(session, agency.id, payment.reader_id, told, now)


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
