"""Lines: the list, one line with its delivery, its creatives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import RedirectResponse, Response

from services.ads.access import EVERYONE, AgencyPath
from services.ads.bookings import repository, service
from services.ads.bookings.api import ROLES, ActionName
from services.ads.bookings.rules import Action, Status
from services.ads.bookings.service import Step
from services.ads.console import views
from services.ads.console.shell import Shell, text_of
from services.ads.creatives import repository as creative_images
from services.ads.creatives import service as creatives
from services.ads.creatives.rules import MAX_IMAGE_BYTES, THEMES
from services.ads.creatives.service import CreativeText
from services.ads.delivery import repository as delivery
from shared.agencies import Agency
from shared.auth import Role
from shared.errors import ConflictError, InvalidInputError, ProblemError

MAKERS = (Role.SELLER, Role.TRAFFIC)
EMPTY = CreativeText("", "", "", "https://", "green")


def add_routes(routes: APIRouter, shell: Shell) -> None:
    _lines(routes, shell)
    _creatives(routes, shell)


def _lines(routes: APIRouter, shell: Shell) -> None:
    @routes.get("/console/{agency}/lines")
    async def lines(
        request: Request, agency: AgencyPath, q: str = "", status: str = ""
    ) -> Response:
        _, known = await shell.enter(request, agency, *EVERYONE)
        chosen = [status] if status in Status.__members__.values() else []
        async with shell.desk.database.read() as session:
            found = await repository.line_views(
                session, agency, statuses=chosen, search=q.replace("\x00", "")[:100]
            )
        partial = request.headers.get("hx-request") == "true"
        return shell.render(
            request,
            "_lines.html" if partial else "lines.html",
            section="lines",
            agency=known,
            lines=found,
            q=q,
            status=status,
            statuses=list(Status),
        )

    @routes.get("/console/{agency}/lines/{line_id}")
    async def line(request: Request, agency: AgencyPath, line_id: UUID) -> Response:
        _, known = await shell.enter(request, agency, *EVERYONE)
        return await _show_line(shell, request, known, line_id)

    @routes.post("/console/{agency}/lines/{line_id}/{action}")
    async def step(
        request: Request, agency: AgencyPath, line_id: UUID, action: ActionName
    ) -> Response:
        asked = Action(action)
        staff, known = await shell.enter(request, agency, *ROLES[asked])
        form = await shell.form(request)
        await form.close()
        if asked in views.ASKED_TWICE and text_of(form, "confirmed") != "true":
            return await _show_line(shell, request, known, line_id, asked=request.url.path)
        hold = timedelta(minutes=shell.desk.settings.ads_hold_minutes)
        try:
            async with shell.desk.database.transaction() as session:
                await service.act(session, known, line_id, Step(asked, staff.email, hold))
        except ConflictError as error:
            return await _show_line(shell, request, known, line_id, error)
        return RedirectResponse(f"/console/{agency}/lines/{line_id}", 303)


async def _show_line(
    shell: Shell,
    request: Request,
    agency: Agency,
    line_id: UUID,
    error: ProblemError | None = None,
    asked: str = "",
) -> Response:
    """``asked``: the act whose consequences are open on the page."""
    async with shell.desk.database.read() as session:
        line = await service.get_line(session, agency.id, line_id)
        days = await delivery.stats(session, line_id)
        history = await repository.changes(session, agency.id, line_id)
        shown = await creatives.of_line(session, agency.id, line_id)
        pictures = {c.id: await creative_images.image_digest(session, c.id) for c in shown}
    bars, top = views.chart(
        line.starts_on, line.ends_on, {day.counted_on: day.impressions for day in days}
    )
    return shell.render(
        request,
        "line.html",
        200 if error is None else error.status,
        section="lines",
        agency=agency,
        line=line,
        days=days,
        bars=bars,
        top=top,
        history=history,
        creatives=shown,
        pictures=pictures,
        actions=views.actions_of(line),
        change_words=views.CHANGE_WORDS,
        chart_width=views.CHART_WIDTH,
        chart_height=views.CHART_HEIGHT,
        error=error,
        asked=asked,
    )


def _creatives(routes: APIRouter, shell: Shell) -> None:
    @routes.get("/console/{agency}/lines/{line_id}/creatives/new")
    async def new(request: Request, agency: AgencyPath, line_id: UUID) -> Response:
        _, known = await shell.enter(request, agency, *MAKERS)
        return await _edit(shell, request, known, line_id, EMPTY)

    @routes.post("/console/{agency}/creatives/of/{line_id}")
    async def add(request: Request, agency: AgencyPath, line_id: UUID) -> Response:
        _, known = await shell.enter(request, agency, *MAKERS)
        words, upload = await _read(await shell.form(request))
        try:
            picture = await creatives.decoded(shell.desk.images, upload, agency=agency)
            async with shell.desk.database.transaction() as session:
                await creatives.add(session, agency, line_id, words, picture)
        except InvalidInputError as error:
            return await _edit(shell, request, known, line_id, words, error=error)
        return RedirectResponse(f"/console/{agency}/lines/{line_id}", 303)

    @routes.get("/console/{agency}/creatives/{creative_id}")
    async def edit(request: Request, agency: AgencyPath, creative_id: UUID) -> Response:
        _, known = await shell.enter(request, agency, *MAKERS)
        async with shell.desk.database.read() as session:
            row = await creatives.get(session, agency, creative_id)
        words = CreativeText(
            row.headline, row.body, row.call_to_action, row.click_url, row.theme, row.active
        )
        return await _edit(shell, request, known, row.line_id, words, creative_id)

    @routes.post("/console/{agency}/creatives/{creative_id}")
    async def save(request: Request, agency: AgencyPath, creative_id: UUID) -> Response:
        _, known = await shell.enter(request, agency, *MAKERS)
        words, upload = await _read(await shell.form(request))
        async with shell.desk.database.read() as session:
            line_id = (await creatives.get(session, agency, creative_id)).line_id
        try:
            picture = await creatives.decoded(shell.desk.images, upload, agency=agency)
            async with shell.desk.database.transaction() as session:
                await creatives.change(session, agency, creative_id, words, picture)
        except InvalidInputError as error:
            return await _edit(shell, request, known, line_id, words, creative_id, error)
        return RedirectResponse(f"/console/{agency}/lines/{line_id}", 303)


async def _read(form: FormData) -> tuple[CreativeText, bytes | None]:
    words = CreativeText(
        text_of(form, "headline"),
        text_of(form, "body"),
        text_of(form, "call_to_action"),
        text_of(form, "click_url"),
        text_of(form, "theme"),
        text_of(form, "active") == "yes",
    )
    upload = form.get("image")
    picture = await upload.read(MAX_IMAGE_BYTES + 1) if isinstance(upload, UploadFile) else b""
    await form.close()
    return words, picture or None


async def _edit(
    shell: Shell,
    request: Request,
    agency: Agency,
    line_id: UUID,
    words: CreativeText,
    creative_id: UUID | None = None,
    error: ProblemError | None = None,
) -> Response:
    async with shell.desk.database.read() as session:
        line = await service.get_line(session, agency.id, line_id)
    context: dict[str, Any] = {
        "agency": agency,
        "line": line,
        "words": words,
        "creative_id": creative_id,
        "themes": THEMES,
        "max_bytes": MAX_IMAGE_BYTES,
        "field_errors": views.problem_lines(error) if error else [],
    }
    return shell.render(
        request, "creative.html", error.status if error else 200, section="lines", **context
    )
