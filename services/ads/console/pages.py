"""The console: calendar, booking, lines. Server-rendered; works without JavaScript, quicker with it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from services.ads.access import EVERYONE, AgencyPath, Desk
from services.ads.console import booking_pages, line_pages
from services.ads.console.shell import Shell
from shared.web.known_first import signed_in_first

__all__ = ["router"]


def router(desk: Desk) -> APIRouter:
    """Every page needs a member of the agency's staff; every form its token."""
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(desk.access.page))
    shell = Shell(desk)

    @routes.get("/")
    async def root() -> Response:
        return RedirectResponse("/console", 303)

    @routes.get("/console")
    async def choose(request: Request) -> Response:
        """Straight to the agency when there is only one."""
        staff = await desk.access.page(request)
        agencies = await shell.agencies_of(staff)
        if len(agencies) == 1:
            return RedirectResponse(f"/console/{agencies[0].id}", 303)
        return shell.render(
            request, "choose_agency.html", agency=None, agencies=agencies, path="/console"
        )

    @routes.get("/console/{agency}")
    async def calendar(request: Request, agency: AgencyPath) -> Response:
        _, known = await shell.enter(request, agency, *EVERYONE)
        return await booking_pages.calendar(shell, request, known)

    booking_pages.add_routes(routes, shell)
    line_pages.add_routes(routes, shell)
    return routes
