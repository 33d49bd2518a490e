"""Invoices: issuing one in the transaction that records a payment; reading them.

Meaning: the invoices of an agency and year are numbered 1, 2, 3 … without a gap, a payment has one, and none is ever changed
(triggers of ``0001_invoices.sql``). The number comes from a counter row that the insert locks until COMMIT, so that a
transaction that is rolled back gives its number back.

Order of locks: the subscription's (or order's), then the books' row (``ledger.service.post``), then the invoice counter's.
Whoever issues has posted before, and locks nothing that another holder of the counter could wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from services.billing.invoices import repository, rules
from services.billing.invoices.models import Invoice, InvoiceLine
from services.billing.invoices.repository import Wanted
from services.billing.invoices.rules import InvoiceLineFact
from services.billing.plans.rules import VatRow, vat_included
from services.billing.plans.service import vat_row_of
from shared.agencies import Agency, get_agency
from shared.clock import local_date
from shared.database import Database, Session
from shared.errors import NotFoundError
from shared.ids import new_id


class Buyer(NamedTuple):
    """The reader as the invoice names them."""

    id: UUID
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class InvoiceFact:
    """A captured payment and what it paid for.

    Its row of ``payment`` is there already (flushed), of the same agency, reader and ``paid_at``, and of no less than the
    lines sum to. ``language``: in which the reader bought, ``vi`` or ``en``.
    """

    payment_id: UUID
    agency: Agency
    reader: Buyer
    paid_at: datetime
    currency: str
    lines: tuple[InvoiceLineFact, ...]
    language: str = "vi"


async def issue(session: Session, fact: InvoiceFact, now: datetime) -> Invoice:
    """The payment's invoice, made where there is none, in the caller's transaction; call it after the journal was posted.

    Taxed as on the day of the payment. Raises ``NoVatRateError`` for a day that the table does not cover, ``ValueError``
    without lines, and ``IntegrityError`` for what the database refuses.
    """
    paid_on = local_date(fact.paid_at, fact.agency.zone)
    taxed = [await vat_row_of(session, line.vat_kind, paid_on) for line in fact.lines]
    values, lines = drawn_up(fact, taxed, now)
    numbered = await repository.insert(session, values)
    if numbered is None:
        (known,) = await repository.of_payments(session, [fact.payment_id])
        return known
    await repository.insert_lines(session, values["id"], lines)
    return Invoice(**values, number=numbered[0], document=numbered[1])


def drawn_up(
    fact: InvoiceFact, taxed: Sequence[VatRow], now: datetime
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The columns of an invoice that is not numbered yet, and those of its lines; ``taxed``: how each line is."""
    zone, (reader_id, email, name) = fact.agency.zone, fact.reader
    issued_on, paid_on = local_date(now, zone), local_date(fact.paid_at, zone)
    lines = [_line(line, row) for line, row in zip(fact.lines, taxed, strict=True)]
    sums = rules.totals(fact.lines, [line["vat_vnd"] for line in lines])
    values = {
        "id": new_id(),
        "agency": fact.agency.id,
        "series": rules.series_of(issued_on),
        "payment_id": fact.payment_id,
        "reader_id": reader_id,
        "issued_at": now,
        "issued_on": issued_on,
        "paid_on": paid_on,
        "seller_name": fact.agency.name,
        "buyer_name": name,
        "buyer_email": email,
        "language": fact.language,
        "currency": fact.currency,
        "net_vnd": sums.net_vnd,
        "vat_vnd": sums.vat_vnd,
        "gross_vnd": sums.gross_vnd,
    }
    return values, lines


def _line(fact: InvoiceLineFact, row: VatRow) -> dict[str, Any]:
    vat = vat_included(fact.gross_vnd, row)
    return {
        "description_vi": fact.description_vi,
        "description_en": fact.description_en,
        "quantity": fact.quantity,
        "unit_gross_vnd": fact.unit_gross_vnd,
        "net_vnd": fact.gross_vnd - vat,
        "vat_vnd": vat,
        "gross_vnd": fact.gross_vnd,
        "vat_treatment": row.treatment,
        "vat_basis_points": row.rate_basis_points,
        "period_from": fact.period_from,
        "period_until": fact.period_until,
    }


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of an agency's invoices, the newest first; ``more`` when older ones follow."""

    invoices: list[dict[str, Any]]
    more: bool


class Invoices:
    """Reading invoices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_payments(self, payment_ids: Sequence[UUID]) -> dict[UUID, Invoice]:
        """By payment; a payment without one is left out."""
        if not payment_ids:
            return {}
        async with self._database.read() as session:
            found = await repository.of_payments(session, payment_ids)
        return {invoice.payment_id: invoice for invoice in found}

    async def with_lines(
        self, agency: str, invoice_id: UUID, *, reader_id: UUID | None = None
    ) -> tuple[Invoice, Sequence[InvoiceLine]]:
        """One invoice of the agency, of the reader where one is named. Raises :class:`NotFoundError` for any other."""
        async with self._database.read() as session:
            invoice = await repository.one(session, agency, invoice_id)
            if invoice is None or reader_id not in (None, invoice.reader_id):
                raise NotFoundError
            return invoice, await repository.lines(session, invoice_id)

    async def page(
        self, agency: str, wanted: Wanted, *, limit: int, after: tuple[date, int] | None = None
    ) -> Page:
        """Those that match, the newest first; with ``after`` (day and number) those older than it."""
        async with self._database.read() as session:
            await get_agency(session, agency)
            found = await repository.page(session, agency, wanted, limit=limit + 1, after=after)
        return Page(found[:limit], len(found) > limit)

    async def count(self, agency: str, wanted: Wanted) -> int:
        """How many match."""
        async with self._database.read() as session:
            return await repository.count(session, agency, wanted)
