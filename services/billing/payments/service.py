"""Payments applied: one use case, whoever brings the word (webhook, sweep, or the reader coming back)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from services.billing.payments.adapters.port import (
    CheckoutCompleted,
    CheckoutFacts,
    Fact,
    InvoicePaid,
    PaidInvoice,
    PaymentProvider,
    Refunded,
    SubscriptionTouched,
)
from services.billing.payments.models import Payment, Refund
from services.billing.plans.rules import PERIOD_WORDS
from services.billing.plans.service import PRESS_SUBSCRIPTION, vat_in, vat_row_of
from services.billing.recognition import service as recognition
from services.billing.recognition.facts import PaymentFact, RefundFact
from services.billing.recognition.rules import days_bought
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import State
from shared.agencies import Agency, get_agency
from shared.clock import Clock, local_date
from shared.database import Database, Session
from shared.ids import new_id
from shared.money import Money, accrued

log = structlog.get_logger(__name__)


class PrerequisiteMissingError(Exception):
    """What this builds on has not been applied yet: try again later."""


async def issue_invoice(
    session: Session, payment: Payment, agency: Agency, currency: str, now: datetime
) -> Invoice:
    """The invoice of a payment that is in the books: see the order of locks in ``invoices.service``."""
    sale = await repository.sale_of(session, payment.id)
    words_vi, words_en = PERIOD_WORDS[sale.period]
    period_from = period_until = None
    if payment.period_start is not None and payment.period_end is not None:
        period_from, period_until = days_bought(
            local_date(payment.period_start, agency.zone),
            local_date(payment.period_end, agency.zone),
        )
    line = InvoiceLineFact(
        f"{sale.name_vi} ({words_vi})",
        f"{sale.name_en} ({words_en})",
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
        # An order's reference at whoever collected it is its code.
        order_code=payment.provider_invoice if payment.order_id else "",
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
    """Turns facts into the books, the subscription, the right to read and their events: one transaction."""

    def __init__(
        self, database: Database, clock: Clock, provider: PaymentProvider, *, grace: timedelta
    ) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider
        self._grace = grace

    async def apply(self, session: Session, fact: Fact) -> bool:
        """Apply a fact in the caller's transaction. Idempotent. False when billing has no part in it.

        Raises :class:`PrerequisiteMissingError` and the provider's errors.
        """
        match fact:
            case CheckoutCompleted(session_id):
                checkout = await self._provider.fetch_checkout(session_id)
                return await self.apply_checkout(session, checkout)
            case InvoicePaid(invoice):
                return await self._apply_subscription(session, invoice.subscription_id, invoice)
            case SubscriptionTouched(subscription_id):
                return await self._apply_subscription(session, subscription_id, None)
            case Refunded(reference):
                return await self._apply_refunds(session, reference)
            case _:
                return False

    async def apply_checkout(self, session: Session, checkout: CheckoutFacts) -> bool:
        """A checkout the provider calls paid. False when it is not (yet)."""
        if not checkout.paid or not checkout.subscription_id:
            return False
        applied = await self._apply_subscription(
            session, checkout.subscription_id, checkout.invoice
        )
        if applied:
            await repository.complete_checkout(
                session, self._provider.name, checkout.session_id, self._clock.now()
            )
        return applied

    async def _apply_subscription(
        self, session: Session, subscription_id: str, invoice: PaidInvoice | None
    ) -> bool:
        """One at a time for each subscription: who holds the lock asks the provider anew, so that an older answer
        never overwrites a newer one."""
        name, now = self._provider.name, self._clock.now()
        await subscriptions_repository.lock(session, name, subscription_id)
        row = await subscriptions_repository.by_provider_id(session, name, subscription_id)
        if invoice is not None and row is not None and State(row.state) == State.ACTIVE:
            # A renewal of what is active: the invoice says it all, and a month's beginning brings many.
            if invoice.period_end > row.period_end:
                row.period_start, row.period_end = invoice.period_start, invoice.period_end
        else:
            facts = await self._provider.fetch_subscription(subscription_id)
            origin = facts.origin
            if origin is None or not await repository.origin_exists(
                session, origin.agency, origin.reader_id, origin.price_id
            ):
                log.info("subscription_not_ours", provider_id=subscription_id)
                return False
            row = await subscriptions.observe(session, name, facts, origin, now)
            await repository.save_customer(session, name, row.reader_id, facts.customer)
        if invoice is not None:
            await self._record_payment(session, row, invoice, now)
        await subscriptions.refresh(session, row, self._grace, now)
        return True

    async def _record_payment(
        self, session: Session, row: Subscription, invoice: PaidInvoice, now: datetime
    ) -> None:
        if await repository.payment_by_invoice(session, row.provider, invoice.id) is not None:
            return
        agency = await get_agency(session, row.agency)
        paid_on = local_date(invoice.paid_at, agency.zone)
        payment = Payment(
            id=new_id(),
            agency=row.agency,
            subscription_id=row.id,
            reader_id=row.reader_id,
            provider=row.provider,
            provider_invoice=invoice.id,
            amount_vnd=invoice.amount_vnd,
            period_start=invoice.period_start,
            period_end=invoice.period_end,
            paid_at=invoice.paid_at,
        )
        session.add(payment)
        await session.flush()
        await recognition.post_payment(
            session,
            PaymentFact(
                payment.id,
                agency,
                f"{row.provider}:invoice:{invoice.id}",
                Money(invoice.amount_vnd, invoice.currency),
                await vat_in(session, invoice.amount_vnd, paid_on),
                invoice.paid_at,
                invoice.period_start,
                invoice.period_end,
            ),
            now,
        )
        issued = await issue_invoice(session, payment, agency, invoice.currency, now)
        await tell_receipt(session, payment, issued, agency, now)
        metrics.PAYMENTS.labels(row.agency, "paid").inc()

    async def _apply_refunds(self, session: Session, reference: str) -> bool:
        """Every refund of a payment that went through, each once."""
        name, now = self._provider.name, self._clock.now()
        invoice_id = await self._provider.invoice_of_payment(reference)
        if invoice_id is None:
            return False
        # Asked before anything is posted: from then on the agency's books wait for this transaction.
        refunds = await self._provider.refunds_of(reference)
        known = await self._known_payment(session, invoice_id)
        if known is None:
            return False
        subscription = await session.get(Subscription, known.subscription_id)
        assert subscription is not None  # a foreign key holds it
        await subscriptions_repository.lock(session, name, subscription.provider_id)
        row = await subscriptions_repository.by_provider_id(session, name, subscription.provider_id)
        payment = await repository.payment_by_invoice(session, name, invoice_id)
        assert row is not None and payment is not None
        for refund in refunds:
            if not await repository.refund_exists(session, name, refund.id):
                money = MoneyBack(refund.id, refund.amount_vnd, refund.refunded_at)
                await record_refund(session, payment, money, now)
        await subscriptions.refresh(session, row, self._grace, now)
        return True

    async def _known_payment(self, session: Session, invoice_id: str) -> Payment | None:
        """The payment of an invoice; one we have not heard of is asked for. None when it is not ours.

        Raises :class:`PrerequisiteMissingError` while the provider does not call the invoice paid.
        """
        name = self._provider.name
        known = await repository.payment_by_invoice(session, name, invoice_id)
        if known is not None:
            return known
        invoice = await self._provider.fetch_paid_invoice(invoice_id)
        if invoice is None:
            raise PrerequisiteMissingError(f"invoice {invoice_id} is not paid yet")
        if not await self._apply_subscription(session, invoice.subscription_id, invoice):
            return None
        return await repository.payment_by_invoice(session, name, invoice_id)

    async def of_reader(self, reader_id: UUID) -> Sequence[Payment]:
        async with self._database.read() as session:
            return await repository.payments_of_reader(session, reader_id)
