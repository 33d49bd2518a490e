"""Pages where staff see and change their agency's policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from services.paywall.policies.rules import FailureMode, Lowered, Window, month_window
from services.paywall.policies.schemas import (
    MAX_ALLOWANCE,
    AllowanceBody,
    FailureBody,
    PolicyBody,
    PolicyOut,
)
from services.paywall.policies.service import PolicyService
from shared.audit import Actor
from shared.auth import Role
from shared.clock import Clock
from shared.errors import PreconditionError
from shared.web.csrf import FormTokens
from shared.web.known_first import signed_in_first
from shared.web.pages import Pages
from shared.web.params import Confirmed
from shared.web.staff import StaffAccess

#: How many meters of an agency's window have counted from … up to …: anonymous ones, and signed-in readers'.
ReadersBetween = Callable[
    [str, Window, tuple[int, int], tuple[int, int]], Awaitable[tuple[int, int]]
]


class PolicyPages:
    """The list of one's agencies, and one page per agency."""

    def __init__(
        self,
        service: PolicyService,
        access: StaffAccess,
        pages: Pages,
        forms: FormTokens,
        clock: Clock,
        readers_between: ReadersBetween,
    ) -> None:
        self._service = service
        self._access = access
        self._pages = pages
        self._forms = forms
        self._clock = clock
        self._readers_between = readers_between

    def router(self) -> APIRouter:
        routes = APIRouter(include_in_schema=False, route_class=signed_in_first(self._access.page))
        routes.add_api_route("/", self.index, methods=["GET"])
        routes.add_api_route("/policies", self.index, methods=["GET"])
        routes.add_api_route("/policies/{agency}", self.show, methods=["GET"])
        routes.add_api_route("/policies/{agency}", self.change, methods=["POST"])
        return routes

    async def index(self, request: Request) -> Response:
        """Straight to the only agency, or the list."""
        principal = await self._access.page(request)
        edited = [agency for agency in principal.agencies if principal.holds(agency, Role.EDITOR)]
        if len(edited) == 1:
            return RedirectResponse(f"/policies/{edited[0]}", 303)
        agencies = [await self._service.agency(agency) for agency in edited]
        return self._pages.render(
            request, "choose_agency.html", agency=None, agencies=agencies, path="/policies"
        )

    async def show(self, request: Request, agency: str) -> HTMLResponse:
        principal = await self._access.page(request)
        principal.require(agency, Role.EDITOR, Role.ADMIN)
        return await self._page(request, agency, saved="saved" in request.query_params)

    async def change(
        self,
        request: Request,
        agency: str,
        version: int = Form(ge=0, le=1_000_000_000),
        anonymous: str = Form(max_length=20),
        registered: str = Form(max_length=20),
        failure_mode: FailureMode = Form(),
        confirmed: Confirmed = False,
    ) -> Response:
        """What takes something away from readers is saved once its consequences have been shown."""
        principal = await self._access.page(request)
        principal.require(agency, Role.EDITOR, Role.ADMIN)
        await self._forms.verify(request)
        now = await self._service.get(agency)
        typed = {
            "anonymous": anonymous,
            "registered": registered,
            "failure_mode": failure_mode,
            "version": version,
        }
        if version != now.version:
            return await self._page(request, agency, status=412, typed=typed, problem="changed")
        try:
            body = PolicyBody(
                allowance=AllowanceBody.model_validate_strings(
                    {"anonymous": anonymous.strip(), "registered": registered.strip()}
                ),
                window=now.window,
                rules=now.rules,
                failure=FailureBody(mode=failure_mode, timeout_ms=now.failure.timeout_ms),
            )
        except ValidationError:
            return await self._page(request, agency, status=422, typed=typed, problem="numbers")
        closed = failure_mode is FailureMode.CLOSED and now.failure.mode is FailureMode.OPEN
        lowered = [] if confirmed else await self._lowered(agency, now, body)
        if not confirmed and (lowered or closed):
            return await self._page(request, agency, typed=typed, lowered=lowered, closed=closed)
        try:
            await self._service.put(
                agency,
                body,
                expected=version,
                editor=Actor.staff(principal),
            )
        except PreconditionError:
            return await self._page(request, agency, status=412, typed=typed, problem="changed")
        return RedirectResponse(f"/policies/{agency}?saved", 303)

    async def _lowered(self, agency_id: str, now: PolicyOut, body: PolicyBody) -> list[Lowered]:
        """Whose allowance becomes smaller, and whom that stops in the present month."""
        agency = await self._service.agency(agency_id)
        was, new = now.allowance, body.allowance
        anonymous, registered = await self._readers_between(
            agency_id,
            month_window(self._clock.now(), agency.zone),
            (new.anonymous, was.anonymous),
            (new.registered, was.registered),
        )
        both = (
            Lowered(False, was.anonymous, new.anonymous, anonymous),
            Lowered(True, was.registered, new.registered, registered),
        )
        return [one for one in both if one.now < one.was]

    async def _page(
        self,
        request: Request,
        agency_id: str,
        *,
        status: int = 200,
        saved: bool = False,
        typed: dict[str, Any] | None = None,
        problem: str = "",
        lowered: Sequence[Lowered] = (),
        closed: bool = False,
    ) -> HTMLResponse:
        policy = await self._service.get(agency_id)
        agency = await self._service.agency(agency_id)
        return self._pages.render(
            request,
            "policy.html",
            status,
            agency=agency,
            policy=policy,
            values=typed or _values(policy),
            window=month_window(self._clock.now(), agency.zone),
            history=await self._service.history(agency_id),
            saved=saved,
            problem=problem,
            lowered=lowered,
            closed=closed,
            max_allowance=MAX_ALLOWANCE,
        )


def _values(policy: PolicyOut) -> dict[str, Any]:
    return {
        "anonymous": policy.allowance.anonymous,
        "registered": policy.allowance.registered,
        "failure_mode": policy.failure.mode,
    }
