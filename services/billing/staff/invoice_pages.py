"""``/staff/{agency}/invoices``: a period's invoices, searched and paged, as files, and each on paper."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, Field

from services.billing.composition import Billing
from services.billing.invoices.pages import invoice_id_of, language_of
from services.billing.invoices.pdf import InvoicePrinter, vat_words
from services.billing.invoices.repository import Wanted
from services.billing.staff import rules
from services.billing.staff.api import READERS
from services.billing.staff.downloads import Downloads, FileForm
from services.billing.staff.entry import enter, period_named
from services.billing.staff.query import plain
from shared.agencies import Agency
from shared.clock import local_date
from shared.web import Pages
from shared.web.i18n import Translate, request_language, translator
from shared.web.known_first import signed_in_first
from shared.web.staff import StaffAccess
from shared.web.workbook import MAX_ROWS, Column

INVOICES_A_PAGE = 50
CHUNK = 500
#: Titles are translated into the reader's language.
COLUMNS = (
    Column("Number", "text", 12),
    Column("Date", "day"),
    Column("Paid on", "day"),
    Column("Buyer", "text", 28),
    Column("Email", "text", 30),
    Column("VAT rate", "text", 22),
    Column("Before VAT", "amount"),
    Column("VAT", "amount"),
    Column("Total", "amount"),
    Column("Currency", "text", 10),
    Column("Invoice", "text", 38),
)


def cursor_of(invoice: dict[str, Any]) -> str:
    """Where the page after this invoice begins: the day it was issued on and its number."""
    return f"{invoice['issued_on']}_{invoice['number']}"


def parse_cursor(value: str) -> tuple[date, int]:
    """Raises ``ValueError``."""
    day, _, number = value.partition("_")
    if not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise ValueError("a number of an invoice")
    return date.fromisoformat(day), int(number)


def _cursor(value: str) -> str:
    try:
        parse_cursor(value)
    except ValueError:
        raise ValueError("the value of `after` of the page before") from None
    return value


class InvoicesQuery(BaseModel):
    """``words``: part of a number or of a reader's email."""

    words: Annotated[str, Field(max_length=200), AfterValidator(plain)] = ""
    after: Annotated[str | None, Field(max_length=30), AfterValidator(_cursor)] = None

    def cursor(self) -> tuple[date, int] | None:
        return parse_cursor(self.after) if self.after else None


def router(
    billing: Billing,
    pages: Pages,
    access: StaffAccess,
    printer: InvoicePrinter,
    *,
    most_rows: int = MAX_ROWS,
) -> APIRouter:
    downloads = Downloads(most_rows)
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(access.page))

    async def allowed(request: Request, agency: str) -> Agency:
        return await enter(access, billing.database, request, agency, *READERS)

    def period_of(name: str, agency: Agency) -> rules.Period:
        return period_named(name, local_date(billing.clock.now(), agency.zone))

    async def list_page(
        request: Request,
        found: Agency,
        chosen: rules.Period,
        asked: InvoicesQuery,
        status: int = 200,
        **more: Any,
    ) -> Response:
        wanted = Wanted(chosen.first, chosen.last, asked.words)
        page = await billing.invoices.page(
            found.id, wanted, limit=INVOICES_A_PAGE, after=asked.cursor()
        )
        return pages.render(
            request,
            "staff_invoices.html",
            status,
            agency=found,
            period=chosen,
            offered=rules.offered(local_date(billing.clock.now(), found.zone)),
            asked=asked,
            page=page,
            total=None if asked.after else await billing.invoices.count(found.id, wanted),
            next=cursor_of(page.invoices[-1]) if page.more else None,
            most=most_rows,
            **more,
        )

    @routes.get("/staff/{agency}/invoices")
    async def show(
        request: Request, agency: str, asked: Annotated[InvoicesQuery, Query()], period: str = ""
    ) -> Response:
        found = await allowed(request, agency)
        return await list_page(request, found, period_of(period, found), asked)

    @routes.get("/staff/{agency}/invoices.{form}")
    async def file(
        request: Request,
        agency: str,
        form: FileForm,
        asked: Annotated[InvoicesQuery, Query()],
        period: str = "",
    ) -> Response:
        found = await allowed(request, agency)
        chosen, language = period_of(period, found), request_language(request)
        say = translator(pages.words, language)
        columns = [column._replace(title=say(column.title)) for column in COLUMNS]
        name = f"{agency}-invoices-{chosen.name}"
        wanted = Wanted(chosen.first, chosen.last, asked.words)
        chunks = _rows(billing, agency, wanted, say, language)
        answer = await downloads.answer(form, name, chosen.name, columns, chunks, agency=agency)
        return answer or await list_page(request, found, chosen, asked, 422, refused="workbook")

    @routes.get("/staff/{agency}/invoices/{invoice}.pdf")
    async def paper(request: Request, agency: str, invoice: str) -> Response:
        found = await allowed(request, agency)
        shown, lines = await billing.invoices.with_lines(found.id, invoice_id_of(invoice))
        return await printer.answer(shown, lines, language_of(request, shown.language))

    return routes


async def _rows(
    billing: Billing, agency: str, wanted: Wanted, say: Translate, language: str
) -> AsyncIterator[list[Sequence[object]]]:
    """Every invoice that is wanted, newest first, a chunk at a time."""
    after = None
    while True:
        page = await billing.invoices.page(agency, wanted, limit=CHUNK, after=after)
        yield [_row(invoice, say, language) for invoice in page.invoices]
        if not page.more:
            return
        after = parse_cursor(cursor_of(page.invoices[-1]))


def _row(invoice: dict[str, Any], say: Translate, language: str) -> Sequence[object]:
    return (
        *(invoice["document"], invoice["issued_on"], invoice["paid_on"]),
        *(invoice["buyer_name"], invoice["buyer_email"]),
        ", ".join(vat_words(rate, say, language) for rate in invoice["rates"]),
        *(invoice["net_vnd"], invoice["vat_vnd"], invoice["gross_vnd"]),
        *(invoice["currency"], invoice["id"]),
    )
