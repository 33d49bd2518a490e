"""Sign-in, the home page, confirming who one is, and one's own account."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.identity.access import Access
from services.identity.accounts.rules import ROLE_WORDS, is_administrator
from services.identity.authenticators.service import Refused, TooMany
from services.identity.factors.service import FactorService
from services.identity.passwords.service import PasswordService
from services.identity.provider.service import OwnProvider
from services.identity.sessions.adapters.agent import readable
from services.identity.sessions.rules import location
from services.identity.sessions.service import Current, SessionService
from services.identity.settings import IdentitySettings
from shared.agencies import list_agencies
from shared.clock import Clock
from shared.database import Database
from shared.errors import InvalidInputError, TooManyRequestsError
from shared.web import Pages
from shared.web.staff_bar import StaffBar

Field = Annotated[str, Form(max_length=1024)]
Next = Annotated[str, Form(max_length=4096)]


def retry_after(until: TooMany, clock: Clock) -> int:
    return max(1, int((until.until - clock.now()).total_seconds()))


def sign_in_router(
    access: Access, sessions: SessionService, pages: Pages, clock: Clock, provider: str
) -> APIRouter:
    """``/sign-in`` and ``/sign-out``. ``provider``: the name of the one that staff may also sign in with, or empty."""
    routes = APIRouter(include_in_schema=False)

    def form(
        request: Request,
        back: str,
        *,
        status: int = 200,
        email: str = "",
        problem: str = "",
        wait: int = 0,
    ) -> Response:
        return pages.render(
            request,
            "sign_in.html",
            status,
            next=back,
            email=email,
            problem=problem,
            wait_seconds=wait,
            provider=provider,
            signed_out="signed_out" in request.query_params,
        )

    @routes.get("/sign-in")
    async def sign_in_page(request: Request, next: str = "/") -> Response:
        back = access.next(next)
        current = await access.current(request)
        if current is not None:
            return RedirectResponse(location(current.due, back), status_code=303)
        return form(request, back)

    @routes.post("/sign-in", dependencies=[Depends(access.verify_form)])
    async def sign_in(
        request: Request,
        email: Field,
        password: Field,
        next: Next = "/",
    ) -> Response:
        back = access.next(next)
        outcome = await sessions.sign_in(
            {"email": email, "password": password},
            back,
            access.visitor(request),
            access.token(request),
        )
        if isinstance(outcome, Refused):
            return form(request, back, status=401, email=email, problem="refused")
        if isinstance(outcome, TooMany):
            seconds = retry_after(outcome, clock)
            answer = form(request, back, status=429, email=email, problem="too-many", wait=seconds)
            answer.headers["Retry-After"] = str(seconds)
            return answer
        return access.enter(RedirectResponse(outcome.location, status_code=303), outcome)

    @routes.post("/sign-out", dependencies=[Depends(access.verify_sign_out)])
    async def sign_out(request: Request) -> Response:
        await sessions.sign_out(access.token(request))
        answer = RedirectResponse("/sign-in?signed_out", status_code=303)
        access.clear_cookie(answer)
        # Not "cookies": that would take a reader's cookies of the whole site along.
        answer.headers["Clear-Site-Data"] = '"cache", "storage"'
        return answer

    @routes.get("/confirm")
    async def confirm_page(request: Request, next: str = "/") -> Response:
        """For other services: prove again who you are, and go back there."""
        current = await access.page(request)
        await access.ask_to_confirm(request, current, access.next(next))
        return RedirectResponse(access.next(next), status_code=303)

    @routes.post("/confirm", dependencies=[Depends(access.verify_form)])
    async def confirm(request: Request, next: Next = "/") -> Response:
        current = await access.page(request)
        await access.require_fresh(request, current)
        return RedirectResponse(access.next(next), status_code=303)

    return routes


def home_router(
    access: Access, pages: Pages, database: Database, settings: IdentitySettings
) -> APIRouter:
    """``/``: the agencies and tools this account may open."""
    routes = APIRouter(include_in_schema=False)
    bar = StaffBar(settings, "identity")

    @routes.get("/")
    async def home(request: Request) -> Response:
        current = await access.page(request)
        async with database.read() as session:
            agencies = await list_agencies(session)
        mine = [
            {
                "agency": agency,
                "roles": sorted(current.principal.roles[agency.id]),
                "tools": bar.tools_at(agency.id, current.principal.roles[agency.id]),
            }
            for agency in agencies
            if agency.id in current.principal.roles
        ]
        return pages.render(
            request, "home.html", current=current, agencies=mine, role_words=ROLE_WORDS
        )

    return routes


def account_router(
    access: Access,
    sessions: SessionService,
    passwords: PasswordService,
    factors: FactorService,
    pages: Pages,
    provider: OwnProvider | None,
) -> APIRouter:
    """``/account``: password, second factor and sessions of one's own; ``/sign-in/password``: choosing the first."""
    routes = APIRouter(include_in_schema=False)

    async def show(
        request: Request, current: Current, *, status: int = 200, problem: str = ""
    ) -> Response:
        account_id = current.principal.account_id
        return pages.render(
            request,
            "account.html",
            status,
            current=current,
            sessions=await sessions.own_sessions(current),
            readable=readable,
            held=await factors.held(account_id),
            has_password=await passwords.has_one(account_id),
            provider=provider.name if provider else "",
            linked=await provider.service.linked(account_id) if provider else None,
            administrator=is_administrator(current.principal.roles),
            problem=problem,
            done=request.query_params.get("done", ""),
        )

    def choose(
        request: Request, current: Current, back: str, *, status: int = 200, problem: str = ""
    ) -> Response:
        return pages.render(
            request, "own_password.html", status, current=current, next=back, problem=problem
        )

    @routes.get("/account")
    async def account_page(request: Request) -> Response:
        return await show(request, await access.page(request))

    @routes.post("/account/password", dependencies=[Depends(access.verify_form)])
    async def change_password(request: Request, old: Field, new: Field, repeat: Field) -> Response:
        current = await access.page(request)
        if new != repeat:
            return await show(request, current, status=422, problem="not-repeated")
        try:
            begun = await passwords.change_own(current, old, new, access.visitor(request))
        except (InvalidInputError, TooManyRequestsError) as error:
            return await show(request, current, status=error.status, problem=error.slug)
        return access.enter(RedirectResponse(begun.location, status_code=303), begun)

    @routes.get("/sign-in/password")
    async def own_password_page(request: Request, next: str = "/") -> Response:
        current, back = await access.signed_in(request), access.next(next)
        if current.due != "password":
            return RedirectResponse(location(current.due, back), status_code=303)
        return choose(request, current, back)

    @routes.post("/sign-in/password", dependencies=[Depends(access.verify_form)])
    async def own_password(
        request: Request, new: Field, repeat: Field, next: Next = "/"
    ) -> Response:
        current, back = await access.signed_in(request), access.next(next)
        if current.due != "password":
            return RedirectResponse(location(current.due, back), status_code=303)
        if new != repeat:
            return choose(request, current, back, status=422, problem="not-repeated")
        try:
            begun = await passwords.choose_own(current, new, back, access.visitor(request))
        except InvalidInputError as error:
            return choose(request, current, back, status=error.status, problem=error.slug)
        return access.enter(RedirectResponse(begun.location, status_code=303), begun)

    @routes.post("/account/sessions/end-others", dependencies=[Depends(access.verify_form)])
    async def end_others(request: Request) -> Response:
        await sessions.end_others(await access.page(request))
        return RedirectResponse("/account?done=others-ended", status_code=303)

    @routes.post("/account/sessions/{session_id}/end", dependencies=[Depends(access.verify_form)])
    async def end_session(request: Request, session_id: UUID) -> Response:
        current = await access.page(request)
        await sessions.end_own(current, session_id)
        return RedirectResponse("/account", status_code=303)

    return routes
