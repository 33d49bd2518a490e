"""Baseline pages: versions, upload with preview, review, freeze."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from shared.agencies import get_agency
from shared.clock import local_date
from shared.errors import ConflictError
from shared.metrics.baseline import rules, service
from shared.metrics.finance.desk import Desk, uploaded_csv
from shared.metrics.imports.service import FileProblemsError
from shared.metrics.lineage.rules import members
from shared.metrics.lineage.service import owners_on
from shared.metrics.sheets import Problem
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed
from shared.web.spreadsheet import csv_answer


def baseline_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False, route_class=signed_in_first(desk.access.page))

    async def listing(
        request: Request,
        agency: str,
        problems: tuple[Problem, ...] = (),
        file_name: str = "",
        note: str = "",
    ) -> Response:
        now = desk.clock.now()
        async with desk.database.read() as session:
            found = await get_agency(session, agency)
            versions = await service.versions(session, agency)
            owned = await owners_on(session, local_date(now, found.zone))
        carried = await desk.names({member for member, _ in members(owned, agency)} - {agency})
        return desk.render(
            request,
            "finance_baselines.html",
            422 if problems or note else 200,
            agency=found,
            versions=versions,
            carried=carried,
            problems=problems,
            file_name=file_name,
            note=note,
        )

    @router.get("/finance/{agency}/baseline")
    async def baselines(request: Request, agency: str) -> Response:
        await desk.viewer(request, agency)
        return await listing(request, agency)

    @router.get("/finance/{agency}/baseline/template.csv")
    async def template(request: Request, agency: str) -> Response:
        await desk.viewer(request, agency)
        async with desk.database.read() as session:
            zone = (await get_agency(session, agency)).zone
        today: date = local_date(desk.clock.now(), zone)
        return csv_answer(f"{agency}-baseline.csv", rules.template(today.year - 1))

    @router.post("/finance/{agency}/baseline")
    async def upload(request: Request, agency: str) -> Response:
        """The preview: bad rows by name, or a draft to review."""
        principal = await desk.form(request, agency)
        try:
            name, content = await uploaded_csv(request)
        except FileProblemsError as error:
            return await listing(request, agency, error.problems)
        parsed, version = await service.import_draft(
            desk.database,
            desk.reader,
            agency=agency,
            file_name=name,
            content=content,
            by=principal.email,
            now=desk.clock.now(),
        )
        if version is None:
            return await listing(request, agency, parsed.problems, name)
        return RedirectResponse(f"/finance/{agency}/baseline/{version.version}", 303)

    @router.post("/finance/{agency}/baseline/compose")
    async def compose(request: Request, agency: str) -> Response:
        principal = await desk.form(request, agency)
        try:
            async with desk.database.transaction() as session:
                version = await service.compose_draft(
                    session, agency=agency, by=principal.email, now=desk.clock.now()
                )
        except ConflictError as error:
            return await listing(request, agency, note=error.detail)
        return RedirectResponse(f"/finance/{agency}/baseline/{version.version}", 303)

    @router.get("/finance/{agency}/baseline/{version}")
    async def review(request: Request, agency: str, version: int) -> Response:
        await desk.viewer(request, agency)
        return await reviewed(request, agency, version)

    async def reviewed(request: Request, agency: str, version: int, asked: str = "") -> Response:
        """``asked``: the act whose consequences are open on the page."""
        async with desk.database.read() as session:
            found = await get_agency(session, agency)
            baseline = await service.get_baseline(session, agency, _bounded(version))
            former = await service.frozen_baseline(session, agency)
        series: dict[tuple[str, str], dict[int, int]] = {}
        for row in baseline.rows:
            series.setdefault((row.segment, row.stream), {})[row.month] = row.amount
        return desk.render(
            request,
            "finance_baseline.html",
            agency=found,
            baseline=baseline,
            version=baseline.version,
            former=former,
            zero=service.ZERO,
            looked_at=service.signature(baseline),
            asked=asked,
            series=series,
            by_month={
                month: sum(months.get(month, 0) for months in series.values())
                for month in range(1, 13)
            },
        )

    @router.post("/finance/{agency}/baseline/{version}/freeze")
    async def freeze(
        request: Request,
        agency: str,
        version: int,
        looked_at: Annotated[str, Form(max_length=200)] = "",
        confirmed: Confirmed = False,
    ) -> Response:
        principal = await desk.weighty_form(request, agency)
        if not confirmed:
            return await reviewed(request, agency, version, asked=request.url.path)
        async with desk.database.transaction() as session:
            await service.freeze(
                session,
                agency=agency,
                version=_bounded(version),
                approver=principal.email,
                now=desk.clock.now(),
                looked_at=looked_at,
            )
        return RedirectResponse(f"/finance/{agency}/baseline/{version}", 303)

    @router.post("/finance/{agency}/baseline/{version}/discard")
    async def discard(
        request: Request, agency: str, version: int, confirmed: Confirmed = False
    ) -> Response:
        await desk.form(request, agency)
        if not confirmed:
            return await reviewed(request, agency, version, asked=request.url.path)
        async with desk.database.transaction() as session:
            await service.discard(
                session, agency=agency, version=_bounded(version), now=desk.clock.now()
            )
        return RedirectResponse(f"/finance/{agency}/baseline", 303)

    return router


def _bounded(version: int) -> int:
    """Numbers no version can have find nothing, instead of overflowing the column."""
    return version if 0 < version < 2**31 else 0
