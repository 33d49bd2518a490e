"""The finance pages: province, agency, and the entries of a month."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from shared.agencies import get_agency
from shared.auth import StaffPrincipal
from shared.auth.roles import VIEWERS
from shared.errors import NotFoundError
from shared.metrics.entries import service as entries
from shared.metrics.entries.rules import parse_period
from shared.metrics.entries.service import Selection
from shared.metrics.finance import rules
from shared.metrics.finance.desk import Desk
from shared.metrics.growth import service
from shared.metrics.imports.service import being_recorded
from shared.metrics.rules import MOVEMENTS, SEGMENTS, STREAMS
from shared.web.i18n import request_language
from shared.web.known_first import signed_in_first
from shared.web.params import Day
from shared.web.spreadsheet import BYTE_ORDER_MARK, MEDIA_TYPE, csv_lines, download_headers

PAGE_SIZE = 100
CSV_CHUNK = 5_000
CSV_HEADING = (
    *("recognised_on", "segment", "stream", "payer", "law_source", "account", "amount"),
    *("currency", "document", "source_reference", "recorded_for", "recorded_at"),
)


def finance_agencies(principal: StaffPrincipal) -> tuple[str, ...]:
    """The agencies whose figures somebody may see."""
    return tuple(agency for agency in principal.agencies if principal.holds(agency, *VIEWERS))


def finance_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False, route_class=signed_in_first(desk.access.page))

    @router.get("/")
    async def home() -> Response:
        return RedirectResponse("/finance", 303)

    @router.get("/finance")
    async def province(request: Request) -> Response:
        """The agency itself for those with one, the overview for those with several."""
        principal = await desk.access.page(request)
        allowed = finance_agencies(principal)
        if not allowed:
            raise NotFoundError
        reports = await service.reports(
            desk.database, allowed, now=desk.clock.now(), default_target=desk.default_target
        )
        if len(reports) == 1:
            return RedirectResponse(f"/finance/{reports[0].agency.id}", 303)
        return desk.render(request, "finance_province.html", reports=reports)

    @router.get("/finance/{agency}")
    async def agency_page(
        request: Request,
        agency: str,
        as_of: Day | None = None,
        baseline_version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    ) -> Response:
        await desk.viewer(request, agency)
        report = await service.agency_report(
            desk.database,
            agency,
            now=desk.clock.now(),
            default_target=desk.default_target,
            as_of=as_of,
            baseline_version=baseline_version,
        )
        figures = report.figures["all"]
        async with desk.database.read() as session:
            recording = await being_recorded(session, agency)
        return desk.render(
            request,
            "finance_agency.html",
            report=report,
            figures=figures,
            own=report.figures["own"],
            movements=MOVEMENTS,
            recording=recording,
            carried=await desk.names({member for member, _ in report.members} - {agency}),
            meter=rules.meter(figures.growth, report.target),
            chart=rules.chart(
                figures.revenue_by_month,
                figures.baseline_by_month,
                report.as_of.month,
                request_language(request),
            ),
        )

    @router.get("/finance/{agency}/months/{month}")
    async def month_page(
        request: Request,
        agency: str,
        month: str,
        segment: str = "",
        stream: str = "",
        page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    ) -> Response:
        await desk.viewer(request, agency)
        first, last = _month(month)
        async with desk.database.read() as session:
            found = await get_agency(session, agency)
            members = await service.owned_on(session, agency, last)
            chosen = Selection(members, first, last, *_narrowed(segment, stream))
            count, totals = await entries.totals_of(session, chosen)
            listed = await entries.entries_of(
                session, chosen, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE
            )
        return desk.render(
            request,
            "finance_month.html",
            agency=found,
            month=month,
            first=first,
            chosen=chosen,
            entries=listed,
            count=count,
            totals=totals,
            page=page,
            pages=max(1, -(-count // PAGE_SIZE)),
            segments=SEGMENTS,
            streams=STREAMS,
        )

    @router.get("/finance/{agency}/months/{month}/entries.csv")
    async def month_csv(
        request: Request, agency: str, month: str, segment: str = "", stream: str = ""
    ) -> Response:
        await desk.viewer(request, agency)
        first, last = _month(month)
        async with desk.database.read() as session:
            members = await service.owned_on(session, agency, last)
        chosen = Selection(members, first, last, *_narrowed(segment, stream))
        return StreamingResponse(
            _csv(desk, chosen),
            media_type=MEDIA_TYPE,
            headers=download_headers(f"{agency}-{month}.csv"),
        )

    return router


async def _csv(desk: Desk, chosen: Selection) -> AsyncIterator[str]:
    """All entries, in one snapshot, a chunk at a time."""
    offset = 0
    yield BYTE_ORDER_MARK + csv_lines([CSV_HEADING])
    async with desk.database.read() as session:
        while True:
            found = await entries.entries_of(session, chosen, limit=CSV_CHUNK, offset=offset)
            rows = [
                (
                    *(e.recognised_on, e.segment, e.stream, e.payer, e.law_source, e.account),
                    *(e.amount, e.currency, e.document, e.source_reference, e.agency),
                    e.recorded_at.isoformat(timespec="seconds"),
                )
                for e in found
            ]
            yield csv_lines(rows)
            if len(found) < CSV_CHUNK:
                return
            offset += CSV_CHUNK


def _month(word: str) -> tuple[date, date]:
    period = parse_period(word)
    if period is None or len(word) != 7:
        raise NotFoundError("A month is written like 2026-03", slug="month-unknown")
    return period.first, period.last


def _narrowed(segment: str, stream: str) -> tuple[str, str]:
    """Unknown words narrow nothing."""
    return (segment if segment in SEGMENTS else "", stream if stream in STREAMS else "")
