"""``/staff/{agency}/books`` and ``/journal``: accounts over a period, entries to their source, downloads, closing a month."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.ledger.repository import Wanted
from services.billing.readers.web import BillingFormTokens, see_other
from services.billing.staff import rules
from services.billing.staff.downloads import Downloads, FileForm
from services.billing.staff.entry import enter, period_named
from services.billing.staff.query import KINDS, JournalQuery, cursor_of, parse_cursor
from shared.agencies import Agency
from shared.auth.roles import Role
from shared.clock import local_date
from shared.errors import ConflictError, NotFoundError
from shared.web import Pages
from shared.web.i18n import request_language
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed
from shared.web.spreadsheet import (
    csv_answer,
)
from shared.web.staff import StaffAccess
from shared.web.workbook import MAX_ROWS, Column

ENTRIES_A_PAGE = 50
CHUNK = 500
#: Titles are translated into the reader's language.
JOURNAL_COLUMNS = (
    Column("Booked on", "day"),
    Column("Date of the fact", "day"),
    Column("Kind", "text"),
    Column("Key", "text", 40),
    Column("Document", "text", 18),
    Column("Account", "text", 10),
    Column("Name of the account", "text", 40),
    Column("Debit", "amount"),
    Column("Credit", "amount"),
    Column("Currency", "text", 10),
    Column("Entry", "text", 38),
)
BALANCE_COLUMNS = (
    Column("Account", "text", 10),
    Column("Name of the account", "text", 40),
    Column("Currency", "text", 10),
    Column("Opening balance", "amount", 18),
    Column("Debit", "amount", 18),
    Column("Credit", "amount", 18),
    Column("Closing balance", "amount", 18),
)


def router(
    billing: Billing,
    pages: Pages,
    access: StaffAccess,
    forms: BillingFormTokens,
    *,
    most_rows: int = MAX_ROWS,
) -> APIRouter:
    downloads = Downloads(most_rows)
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(access.page))

    async def allowed(request: Request, agency: str) -> Agency:
        return await enter(access, billing.database, request, agency, Role.FINANCE)

    def today_of(agency: Agency) -> date:
        return local_date(billing.clock.now(), agency.zone)

    def translated(request: Request, columns: Sequence[Column]) -> list[Column]:
        return [column._replace(title=pages.translate(request, column.title)) for column in columns]

    async def books_page(
        request: Request, found: Agency, name: str, *, status: int = 200, **more: Any
    ) -> Response:
        period, today = period_named(name, today_of(found)), today_of(found)
        books = await billing.ledger.books(found.id)
        return pages.render(
            request,
            "staff_books.html",
            status,
            agency=found,
            period=period,
            offered=rules.offered(today),
            balances=await billing.ledger.trial_balance(found.id, period.first, period.last),
            books=books,
            closable=_closable(books.closed_through, today),
            **more,
        )

    @routes.get("/staff/{agency}/books")
    async def show(request: Request, agency: str, period: str = "", notice: str = "") -> Response:
        return await books_page(request, await allowed(request, agency), period, notice=notice)

    @routes.get("/staff/{agency}/books.{form}")
    async def balances_file(
        request: Request, agency: str, form: FileForm, period: str = ""
    ) -> Response:
        found = await allowed(request, agency)
        chosen, vietnamese = (
            period_named(period, today_of(found)),
            request_language(request) == "vi",
        )
        columns, name = translated(request, BALANCE_COLUMNS), f"{agency}-balances-{chosen.name}"
        rows = [
            (
                row.local_code,
                row.name_vi if vietnamese else row.name_en,
                *(row.currency, row.opening_vnd, row.debit_vnd, row.credit_vnd, row.balance_vnd),
            )
            for row in await billing.ledger.trial_balance(agency, chosen.first, chosen.last)
        ]
        if form == "xlsx":
            return await downloads.workbook(name, chosen.name, columns, rows, agency=agency)
        return csv_answer(f"{name}.csv", [[column.title for column in columns], *rows])

    @routes.post("/staff/{agency}/books/close")
    async def close(
        request: Request,
        agency: str,
        month: Annotated[str, Form(max_length=200)] = "",
        confirmed: Confirmed = False,
    ) -> Response:
        found = await allowed(request, agency)
        await forms.verify(request)
        await access.require_fresh(request)
        chosen = period_named(month or "none", today_of(found))
        if chosen != rules.month_of(chosen.first):
            raise NotFoundError  # a quarter or a year: no form of ours
        if not confirmed:
            return await books_page(request, found, month, asked=request.url.path)
        try:
            await billing.recognition.close_month(agency, chosen.first)
        except ConflictError as error:
            return await books_page(request, found, month, status=409, refused=error.slug)
        return see_other(f"/staff/{agency}/books?period={chosen.name}&notice=closed")

    async def journal_page(
        request: Request,
        found: Agency,
        chosen: rules.Period,
        asked: JournalQuery,
        status: int = 200,
        **more: Any,
    ) -> Response:
        wanted = wanted_of(chosen, asked)
        page = await billing.ledger.journal(
            found.id, wanted, limit=ENTRIES_A_PAGE, after=asked.cursor()
        )
        accounts = await billing.ledger.trial_balance(found.id, chosen.first, chosen.last)
        return pages.render(
            request,
            "staff_journal.html",
            status,
            agency=found,
            period=chosen,
            offered=rules.offered(today_of(found)),
            asked=asked,
            page=page,
            total=None if asked.after else await billing.ledger.count(found.id, wanted),
            next=cursor_of(page.entries[-1]) if page.more else None,
            accounts={row.code: row for row in accounts},
            kinds=KINDS,
            most=most_rows,
            **more,
        )

    @routes.get("/staff/{agency}/journal")
    async def journal(
        request: Request,
        agency: str,
        asked: Annotated[JournalQuery, Query()],
        period: str = "",
    ) -> Response:
        found = await allowed(request, agency)
        return await journal_page(request, found, period_named(period, today_of(found)), asked)

    @routes.get("/staff/{agency}/journal.{form}")
    async def journal_file(
        request: Request,
        agency: str,
        form: FileForm,
        asked: Annotated[JournalQuery, Query()],
        period: str = "",
    ) -> Response:
        found = await allowed(request, agency)
        chosen, columns = (
            period_named(period, today_of(found)),
            translated(request, JOURNAL_COLUMNS),
        )
        name, wanted = f"{agency}-journal-{chosen.name}", wanted_of(chosen, asked)
        lines = _journal_lines(
            billing, agency, wanted, vietnamese=request_language(request) == "vi"
        )
        answer = await downloads.answer(form, name, chosen.name, columns, lines, agency=agency)
        return answer or await journal_page(request, found, chosen, asked, 422, refused="workbook")

    return routes


def wanted_of(period: rules.Period, asked: JournalQuery) -> Wanted:
    return Wanted(period.first, period.last, asked.account, asked.kind, asked.words)


def _closable(closed_through: date | None, today: date) -> rules.Period | None:
    """The month before this one, unless it is closed."""
    before = rules.month_of(rules.month_of(today).first.replace(day=1) - date.resolution)
    return None if closed_through is not None and before.last <= closed_through else before


async def _journal_lines(
    billing: Billing, agency: str, wanted: Wanted, *, vietnamese: bool
) -> AsyncIterator[list[Sequence[object]]]:
    """Every line of every entry that is wanted, newest first, a chunk at a time."""
    after = None
    while True:
        page = await billing.ledger.journal(agency, wanted, limit=CHUNK, after=after)
        yield [row for entry in page.entries for row in _rows(entry, vietnamese=vietnamese)]
        if not page.more:
            return
        after = parse_cursor(cursor_of(page.entries[-1]))


def _rows(entry: dict[str, Any], *, vietnamese: bool) -> list[Sequence[object]]:
    return [
        (
            *(entry["booked_on"], entry["occurred_on"], entry["kind"], entry["business_key"]),
            *(entry["document"] or "", line["local_code"]),
            line["name_vi"] if vietnamese else line["name_en"],
            max(line["amount_vnd"], 0),
            max(-line["amount_vnd"], 0),
            *(entry["currency"], entry["id"]),
        )
        for line in entry["lines"]
    ]
