"""``/staff/{agency}/readers-revenue``: reader revenue of a month, on a page and as files."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.insight import figures as lines
from services.billing.insight.rules import COHORT_MONTHS, ReaderRevenue
from services.billing.staff import rules
from services.billing.staff.api import READERS
from services.billing.staff.downloads import Downloads, FileForm
from services.billing.staff.entry import enter, period_named
from shared.agencies import Agency
from shared.clock import local_date
from shared.errors import NotFoundError
from shared.web import Pages
from shared.web.i18n import Translate, request_language, translator
from shared.web.known_first import signed_in_first
from shared.web.spreadsheet import csv_answer
from shared.web.staff import StaffAccess
from shared.web.workbook import Column

#: Titles are translated into the reader's language.
COLUMNS = (
    Column("Month", "text", 10),
    Column("Part", "text", 34),
    Column("What", "text", 40),
    Column("Value", "amount", 18),
    Column("Unit", "text", 10),
    Column("Share", "text", 10),
)
UNITS = {"vnd": "đồng", "readers": "readers", "count": "times"}


def percent(rate: float | None, language: str) -> str:
    """A share as people read it; empty for none."""
    if rate is None:
        return ""
    return f"{rate * 100:.1f} %".replace(".", "," if language == "vi" else ".")


def file_rows(found: ReaderRevenue, say: Translate, language: str) -> list[Sequence[object]]:
    """Every figure, and every cohort's."""
    month = found.month.name
    rows: list[Sequence[object]] = [
        (
            *(month, say(one.group), say(one.words), one.value),
            *(say(UNITS[one.unit]), percent(one.rate, language)),
        )
        for one in lines.figures(found)
    ]
    for cohort in found.cohorts:
        name, readers = f"{cohort.first:%Y-%m}", say(UNITS["readers"])
        rows.append((month, say(lines.COHORTS), name, cohort.readers, readers, ""))
        for after, (count, rate) in enumerate(
            zip(cohort.paying, cohort.shares, strict=True), start=1
        ):
            words = say("{month}, after {count} months", month=name, count=after)
            row = (month, say(lines.COHORTS), words, count, readers, percent(rate, language))
            rows.append(row)
    return rows


def router(billing: Billing, pages: Pages, access: StaffAccess) -> APIRouter:
    downloads = Downloads()
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(access.page))

    async def allowed(request: Request, agency: str) -> Agency:
        return await enter(access, billing.database, request, agency, *READERS)

    def month_of(name: str, agency: Agency) -> rules.Period:
        """The present month without a name. Raises :class:`NotFoundError` for what is no month."""
        chosen = period_named(name, local_date(billing.clock.now(), agency.zone))
        if chosen != rules.month_of(chosen.first):
            raise NotFoundError
        return chosen

    @routes.get("/staff/{agency}/readers-revenue")
    async def show(request: Request, agency: str, period: str = "") -> Response:
        found = await allowed(request, agency)
        chosen = month_of(period, found)
        revenue = await billing.insight.month(agency, chosen.first)
        months, _, _ = rules.offered(local_date(billing.clock.now(), found.zone))
        figures = lines.figures(revenue)
        return pages.render(
            request,
            "staff_readers_revenue.html",
            agency=found,
            period=chosen,
            offered=[months],
            revenue=revenue,
            groups=[
                (group, words, [one for one in figures if one.group == group])
                for group, words in lines.GROUPS.items()
            ],
            cohorts=(lines.COHORTS, lines.COHORTS_HELP),
            ages=range(1, COHORT_MONTHS + 1),
            percent=percent,
            zone=found.zone,
        )

    @routes.get("/staff/{agency}/readers-revenue.{form}")
    async def file(request: Request, agency: str, form: FileForm, period: str = "") -> Response:
        found = await allowed(request, agency)
        chosen, language = month_of(period, found), request_language(request)
        say = translator(pages.words, language)
        columns = [column._replace(title=say(column.title)) for column in COLUMNS]
        rows = file_rows(await billing.insight.month(agency, chosen.first), say, language)
        name = f"{agency}-readers-revenue-{chosen.name}"
        if form == "xlsx":
            return await downloads.workbook(name, chosen.name, columns, rows, agency=agency)
        return csv_answer(f"{name}.csv", [[column.title for column in columns], *rows])

    return routes
