"""Routes that know who asks before they read what was sent.

FastAPI judges body, path and query before a handler's first line, so a stranger would be told what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from shared.auth import StaffPrincipal
from shared.web.staff import StaffAccess


def guarded(guard: Callable[[Request], Awaitable[None]]) -> type[APIRoute]:
    """A class of routes (``APIRouter(route_class=…)``) that ``guard`` lets nobody pass whom it raises for."""

    class Guarded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guarded_handle(request: Request) -> Response:
                await guard(request)
                return await handle(request)

            return guarded_handle

    return Guarded


def known_first(access: StaffAccess) -> type[APIRoute]:
    """Routes below ``/v1/agencies/{agency}``: strangers get 401 and another agency's people 404, whatever they send.

    Which role or scope a route needs is still its own to say.
    """

    async def known(request: Request) -> None:
        principal = await access.staff_or_key(request)
        principal.require(request.path_params["agency"])
        request.state.principal = principal

    return guarded(known)


def signed_in_first(page: Callable[[Request], Awaitable[StaffPrincipal]]) -> type[APIRoute]:
    """The same for staff's pages of an agency: strangers are led to sign-in (``page`` is ``StaffAccess.page``)."""

    async def known(request: Request) -> None:
        agency = request.path_params.get("agency")
        if agency is not None:
            principal = await page(request)
            principal.require(agency)
            request.state.principal = principal

    return guarded(known)
