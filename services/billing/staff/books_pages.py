"""``/staff/{agency}/books`` and ``/journal``: accounts over a period, entries to their source, downloads, closing a month."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response, StreamingResponse

from services.billing.composition import Billing
from services.billing.ledger.repository import Wanted
from services.billing.readers.web import BillingFormTokens, see_other
from services.billing.staff import rules
from services.billing.staff.query import KINDS, JournalQuery, cursor_of, parse_cursor
from shared.agencies import Agency, get_agency
from shared.auth.roles import Role
from shared.clock import local_date
from shared.errors import ConflictError, NotFoundError
from shared.web import Pages
from shared.web.i18n import request_language
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed
from shared.web.spreadsheet import (
    BYTE_ORDER_MARK,
    MEDIA_TYPE,
    csv_answer,
    csv_lines,
    download_headers,
)
from shared.web.staff import StaffAccess

ENTRIES_A_PAGE = 50
CSV_CHUNK = 500
#: Translated into the reader's language.
JOURNAL_HEADING = (
    *("Booked on", "Date of the fact", "Kind", "Key", "Document", "Account", "Name of the account"),
    *("Debit", "Credit", "Currency", "Entry"),
)
BALANCE_HEADING = (
    *("Account", "Name of the account", "Currency"),
    *("Opening balance", "Debit", "Credit", "Closing balance"),
)


def router(
    billing: Billing, pages: Pages, access: StaffAccess, forms: BillingFormTokens
) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(access.page))

    async def allowed(request: Request, agency: str) -> Agency:
        principal = await access.page(request)
        principal.require(agency, Role.FINANCE)
        async with billing.database.read() as session:
            return await get_agency(session, agency)

    def today_of(agency: Agency) -> date:
        return local_date(billing.clock.now(), agency.zone)

    def period_of(name: str, agency: Agency) -> rules.Period:
        """The present month without a name. Raises :class:`NotFoundError` for what is no period."""
        try:
            return rules.parse_period(name) if name else rules.month_of(today_of(agency))
        except ValueError:
            raise NotFoundError from None

    def heading(request: Request, names: Sequence[str]) -> list[str]:
        return [pages.translate(request, name) for name in names]

    async def books_page(
        request: Request, found: Agency, name: str, *, status: int = 200, **more: Any
    ) -> Response:
        period, today = period_of(name, found), today_of(found)
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

    @routes.get("/staff/{agency}/books.csv")
    async def balances_csv(request: Request, agency: str, period: str = "") -> Response:
        found = await allowed(request, agency)
        chosen, vietnamese = period_of(period, found), request_language(request) == "vi"
        rows = [
            (
                row.local_code,
                row.name_vi if vietnamese else row.name_en,
                *(row.currency, row.opening_vnd, row.debit_vnd, row.credit_vnd, row.balance_vnd),
            )
            for row in await billing.ledger.trial_balance(agency, chosen.first, chosen.last)
        ]
        return csv_answer(
            f"{agency}-balances-{chosen.name}.csv", [heading(request, BALANCE_HEADING), *rows]
        )

    @routes.post("/staff/{agency}/books/close")
    async def close(
        request: Request,
        agency: str,
        month: Annotated[str, Form(max_length=7)],
        confirmed: Confirmed = False,
    ) -> Response:
        found = await allowed(request, agency)
        await forms.verify(request)
        await access.require_fresh(request)
        chosen = period_of(month, found)
        if not confirmed:
            return await books_page(request, found, month, asked=request.url.path)
        await billing.recognition.run_due()  # what its days have earned is booked in it
        try:
            await billing.ledger.close_month(agency, chosen.first)
        except ConflictError as error:
            return await books_page(request, found, month, status=409, refused=error.slug)
        return see_other(f"/staff/{agency}/books?period={chosen.name}&notice=closed")

    @routes.get("/staff/{agency}/journal")
    async def journal(
        request: Request,
        agency: str,
        asked: Annotated[JournalQuery, Query()],
        period: str = "",
    ) -> Response:
        found = await allowed(request, agency)
        chosen = period_of(period, found)
        wanted = Wanted(chosen.first, chosen.last, asked.account, asked.kind, asked.words)
        page = await billing.ledger.journal(
            agency, wanted, limit=ENTRIES_A_PAGE, after=asked.cursor()
        )
        accounts = await billing.ledger.trial_balance(agency, chosen.first, chosen.last)
        return pages.render(
            request,
            "staff_journal.html",
            agency=found,
            period=chosen,
            offered=rules.offered(today_of(found)),
            asked=asked,
            page=page,
            total=await billing.ledger.count(agency, wanted),
            next=cursor_of(page.entries[-1]) if page.more else None,
            accounts={row.code: row for row in accounts},
            kinds=KINDS,
        )

    @routes.get("/staff/{agency}/journal.csv")
    async def journal_csv(
        request: Request,
        agency: str,
        asked: Annotated[JournalQuery, Query()],
        period: str = "",
    ) -> Response:
        found = await allowed(request, agency)
        chosen = period_of(period, found)
        wanted = Wanted(chosen.first, chosen.last, asked.account, asked.kind, asked.words)
        return StreamingResponse(
            _journal_csv(
                billing,
                agency,
                wanted,
                heading(request, JOURNAL_HEADING),
                vietnamese=request_language(request) == "vi",
            ),
            media_type=MEDIA_TYPE,
            headers=download_headers(f"{agency}-journal-{chosen.name}.csv"),
        )

    return routes


def _closable(closed_through: date | None, today: date) -> rules.Period | None:
    """The month before this one, unless it is closed."""
    before = rules.month_of(rules.month_of(today).first.replace(day=1) - date.resolution)
    return None if closed_through is not None and before.last <= closed_through else before


async def _journal_csv(
    billing: Billing,
    agency: str,
    wanted: Wanted,
    heading: Sequence[str],
    *,
    vietnamese: bool,
) -> AsyncIterator[str]:
    """Every line of every entry that is wanted, newest first, a chunk at a time."""
    yield BYTE_ORDER_MARK + csv_lines([heading])
    after = None
    while True:
        page = await billing.ledger.journal(agency, wanted, limit=CSV_CHUNK, after=after)
        yield csv_lines(
            row for entry in page.entries for row in _rows(entry, vietnamese=vietnamese)
        )
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
