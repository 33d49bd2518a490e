"""Sign-in, the home page, and one's own account."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.identity.access import Access
from services.identity.accounts.rules import ROLE_WORDS
from services.identity.accounts.service import AccountService
from services.identity.authenticators.service import Refused, TooMany
from services.identity.sessions.rules import consoles_for, safe_next
from services.identity.sessions.service import Current, SessionService
from services.identity.settings import IdentitySettings
from shared.agencies import list_agencies
from shared.clock import Clock
from shared.database import Database
from shared.errors import InvalidInputError, TooManyRequestsError
from shared.web import Pages

Field = Annotated[str, Form(max_length=1024)]
Next = Annotated[str, Form(max_length=4096)]


def sign_in_router(
    access: Access, sessions: SessionService, pages: Pages, settings: IdentitySettings, clock: Clock
) -> APIRouter:
    """``/sign-in`` and ``/sign-out``."""
    routes = APIRouter(include_in_schema=False)
    origins = settings.known_origins()

    def form(
        request: Request, back: str, *, status: int = 200, problem: str = "", wait: int = 0
    ) -> Response:
        return pages.render(
            request, "sign_in.html", status, next=back, problem=problem, wait_minutes=wait
        )

    @routes.get("/sign-in")
    async def sign_in_page(request: Request, next: str = "/") -> Response:
        back = safe_next(next, origins)
        if await access.current(request) is not None:
            return RedirectResponse(back, status_code=303)
        return form(request, back)

    @routes.post("/sign-in", dependencies=[Depends(access.verify_form)])
    async def sign_in(
        request: Request,
        email: Field,
        password: Field,
        next: Next = "/",
    ) -> Response:
        back = safe_next(next, origins)
        outcome = await sessions.sign_in(
            {"email": email, "password": password}, access.visitor(request), access.token(request)
        )
        if isinstance(outcome, Refused):
            return form(request, back, status=401, problem="refused")
        if isinstance(outcome, TooMany):
            seconds = max(1, int((outcome.until - clock.now()).total_seconds()))
            answer = form(request, back, status=429, problem="too-many", wait=(seconds + 59) // 60)
            answer.headers["Retry-After"] = str(seconds)
            return answer
        answer = RedirectResponse(back, status_code=303)
        access.set_cookie(answer, outcome.token)
        return answer

    @routes.post("/sign-out", dependencies=[Depends(access.verify_form)])
    async def sign_out(request: Request) -> Response:
        await sessions.sign_out(access.token(request))
        answer = RedirectResponse("/sign-in", status_code=303)
        access.clear_cookie(answer)
        return answer

    return routes


def home_router(
    access: Access, pages: Pages, database: Database, settings: IdentitySettings
) -> APIRouter:
    """``/``: the agencies and consoles this account may open."""
    routes = APIRouter(include_in_schema=False)
    base_urls = {
        "ads": settings.ads_url,
        "metrics": settings.metrics_url,
        "billing": settings.billing_url,
        "paywall": settings.paywall_url,
        "identity": "",
    }

    @routes.get("/")
    async def home(request: Request) -> Response:
        current = await access.page(request)
        async with database.read() as session:
            agencies = await list_agencies(session)
        mine = [
            {
                "agency": agency,
                "roles": sorted(current.principal.roles[agency.id]),
                "consoles": consoles_for(agency.id, current.principal.roles[agency.id], base_urls),
            }
            for agency in agencies
            if agency.id in current.principal.roles
        ]
        return pages.render(
            request, "home.html", current=current, agencies=mine, role_words=ROLE_WORDS
        )

    return routes


def account_router(
    access: Access, sessions: SessionService, accounts: AccountService, pages: Pages
) -> APIRouter:
    """``/account``: change the password, see and end one's own sessions."""
    routes = APIRouter(include_in_schema=False)

    async def show(
        request: Request, current: Current, *, status: int = 200, problem: str = ""
    ) -> Response:
        return pages.render(
            request,
            "account.html",
            status,
            current=current,
            sessions=await sessions.own_sessions(current),
            problem=problem,
            done=request.query_params.get("done") == "password",
        )

    @routes.get("/account")
    async def account_page(request: Request) -> Response:
        return await show(request, await access.signed_in(request))

    @routes.post("/account/password", dependencies=[Depends(access.verify_form)])
    async def change_password(request: Request, old: Field, new: Field, repeat: Field) -> Response:
        current = await access.signed_in(request)
        if new != repeat:
            return await show(request, current, status=422, problem="not-repeated")
        try:
            token = await accounts.change_own_password(
                current.principal, old, new, access.visitor(request)
            )
        except (InvalidInputError, TooManyRequestsError) as error:
            return await show(request, current, status=error.status, problem=error.slug)
        answer = RedirectResponse("/account?done=password", status_code=303)
        access.set_cookie(answer, token)
        return answer

    @routes.post("/account/sessions/{session_id}/end", dependencies=[Depends(access.verify_form)])
    async def end_session(request: Request, session_id: UUID) -> Response:
        current = await access.signed_in(request)
        await sessions.end_own(current, session_id)
        return RedirectResponse("/account", status_code=303)

    return routes
