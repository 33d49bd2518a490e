"""Pages that take in the revenue of other systems: upload, preview, confirm."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from shared.agencies import get_agency
from shared.clock import local_date
from shared.errors import ConflictError
from shared.metrics.entries import rules
from shared.metrics.finance.desk import Desk, uploaded_csv
from shared.metrics.imports import service
from shared.metrics.imports.service import FileProblemsError
from shared.metrics.sheets import Problem
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed
from shared.web.spreadsheet import csv_answer


def import_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False, route_class=signed_in_first(desk.access.page))

    async def listing(
        request: Request, agency: str, problems: Sequence[Problem] = (), file_name: str = ""
    ) -> Response:
        files = await service.list_files(desk.database, agency, "revenue")
        async with desk.database.read() as session:
            found = await get_agency(session, agency)
        return desk.render(
            request,
            "finance_imports.html",
            422 if problems else 200,
            agency=found,
            files=files,
            problems=problems,
            file_name=file_name,
        )

    async def file_page(
        request: Request,
        agency: str,
        file_id: UUID,
        page: int = 1,
        problems: Sequence[Problem] = (),
        asked: str = "",
    ) -> Response:
        shown = await service.show(desk.database, agency=agency, file_id=file_id, page=page)
        async with desk.database.read() as session:
            found = await get_agency(session, agency)
        return desk.render(
            request,
            "finance_import.html",
            422 if problems else 200,
            agency=found,
            file=shown.file,
            shown=shown,
            asked=asked,
            problems=problems,
        )

    @router.get("/finance/{agency}/imports")
    async def imports(request: Request, agency: str) -> Response:
        await desk.viewer(request, agency)
        return await listing(request, agency)

    @router.get("/finance/{agency}/imports/template.csv")
    async def template(request: Request, agency: str) -> Response:
        await desk.viewer(request, agency)
        async with desk.database.read() as session:
            zone = (await get_agency(session, agency)).zone
        # The last month that is over: a running one would be refused.
        last = local_date(desk.clock.now(), zone).replace(day=1) - timedelta(days=1)
        return csv_answer(f"{agency}-revenue.csv", rules.template(f"{last:%Y-%m}"))

    @router.post("/finance/{agency}/imports")
    async def upload(request: Request, agency: str) -> Response:
        principal = await desk.form(request, agency)
        name = ""
        try:
            name, content = await uploaded_csv(request)
            file = await service.upload_revenue(
                desk.database,
                desk.reader,
                agency=agency,
                file_name=name,
                content=content,
                by=principal.email,
                now=desk.clock.now(),
            )
        except FileProblemsError as error:
            return await listing(request, agency, error.problems, name)
        return RedirectResponse(f"/finance/{agency}/imports/{file.id}", 303)

    @router.get("/finance/{agency}/imports/{file_id}")
    async def preview_page(
        request: Request,
        agency: str,
        file_id: UUID,
        page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    ) -> Response:
        await desk.viewer(request, agency)
        return await file_page(request, agency, file_id, page)

    @router.post("/finance/{agency}/imports/{file_id}/confirm")
    async def confirm(
        request: Request,
        agency: str,
        file_id: UUID,
        confirmed: Confirmed = False,
    ) -> Response:
        """Its first rows are recorded here, the others by the worker; while another file is, the page says so.

        Not before it was said in figures what will be recorded.
        """
        principal = await desk.form(request, agency)
        if not confirmed:
            return await file_page(request, agency, file_id, asked=request.url.path)
        try:
            with suppress(ConflictError):
                await service.confirm_revenue(
                    desk.database,
                    agency=agency,
                    file_id=file_id,
                    by=principal.email,
                    now=desk.clock.now(),
                )
        except FileProblemsError as error:
            return await file_page(request, agency, file_id, problems=error.problems)
        return RedirectResponse(f"/finance/{agency}/imports/{file_id}", 303)

    return router
