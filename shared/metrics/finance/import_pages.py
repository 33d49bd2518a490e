"""Pages that take in the revenue of other systems: upload, preview, confirm."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from shared.agencies import get_agency
from shared.clock import local_date
from shared.metrics.entries import rules
from shared.metrics.finance.desk import Desk, uploaded_csv
from shared.metrics.imports import service
from shared.metrics.imports.service import Preview
from shared.web.spreadsheet import csv_answer


def import_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    async def listing(
        request: Request, agency: str, preview: Preview | None = None, file_name: str = ""
    ) -> Response:
        files = await service.list_files(desk.database, agency, "revenue")
        async with desk.database.read() as session:
            found = await get_agency(session, agency)
        return desk.render(
            request,
            "finance_imports.html",
            422 if preview else 200,
            agency=found,
            files=files,
            problems=preview.parsed.problems if preview else (),
            file_name=file_name,
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
        name, content = await uploaded_csv(request)
        preview = await service.preview_revenue(
            desk.database,
            agency=agency,
            file_name=name,
            content=content,
            by=principal.email,
            now=desk.clock.now(),
        )
        if preview.file is None:
            return await listing(request, agency, preview, name)
        return RedirectResponse(f"/finance/{agency}/imports/{preview.file.id}", 303)

    @router.get("/finance/{agency}/imports/{file_id}")
    async def preview_page(request: Request, agency: str, file_id: UUID) -> Response:
        await desk.viewer(request, agency)
        preview = await service.preview_again(
            desk.database, agency=agency, file_id=file_id, now=desk.clock.now()
        )
        async with desk.database.read() as session:
            found = await get_agency(session, agency)
        return desk.render(
            request,
            "finance_import.html",
            agency=found,
            preview=preview,
            file=preview.file,
            problems=preview.parsed.problems,
        )

    @router.post("/finance/{agency}/imports/{file_id}/confirm")
    async def confirm(request: Request, agency: str, file_id: UUID) -> Response:
        principal = await desk.form(request, agency)
        await service.confirm_revenue(
            desk.database,
            agency=agency,
            file_id=file_id,
            by=principal.email,
            now=desk.clock.now(),
        )
        return RedirectResponse(f"/finance/{agency}/imports/{file_id}", 303)

    return router
