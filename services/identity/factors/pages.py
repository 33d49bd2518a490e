"""``/sign-in/code`` and ``/sign-in/enrol``, the steps of a pending session; ``/account/factor``, one's own app."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.identity.access import Access
from services.identity.authenticators.service import Refused, TooMany
from services.identity.factors.service import FactorService
from services.identity.sessions.rules import Step, location
from services.identity.sessions.service import Current
from shared.errors import ConflictError
from shared.web import Pages

Code = Annotated[str, Form(max_length=100)]
Next = Annotated[str, Form(max_length=4096)]


def router(access: Access, factors: FactorService, pages: Pages) -> APIRouter:
    """Prove, enrol, renew, give up."""
    routes = APIRouter(include_in_schema=False)

    def ask(
        request: Request, current: Current, back: str, *, status: int = 200, problem: str = ""
    ) -> Response:
        return pages.render(
            request, "second_factor.html", status, current=current, next=back, problem=problem
        )

    async def offer(
        request: Request, current: Current, back: str, *, status: int = 200, problem: str = ""
    ) -> Response:
        return pages.render(
            request,
            "enrol.html",
            status,
            current=current,
            next=back,
            problem=problem,
            enrolment=await factors.offer(current),
        )

    def codes(request: Request, shown: object, back: str) -> Response:
        # Without the bar's forms: after an enrolment they would carry the token of the session's old cookie.
        return pages.render(request, "recovery_codes.html", codes=shown, next=back)

    @routes.get("/sign-in/code")
    async def code_page(request: Request, next: str = "/") -> Response:
        current, back = await access.signed_in(request), access.next(next)
        if current.due is not Step.SECOND_FACTOR:
            return RedirectResponse(location(current.due, back), status_code=303)
        return ask(request, current, back)

    @routes.post("/sign-in/code", dependencies=[Depends(access.verify_form)])
    async def code(request: Request, code: Code = "", next: Next = "/") -> Response:
        current, back = await access.signed_in(request), access.next(next)
        if current.due is not Step.SECOND_FACTOR:
            return RedirectResponse(location(current.due, back), status_code=303)
        outcome = await factors.prove(current, code, back, access.visitor(request))
        if isinstance(outcome, Refused):
            return ask(request, current, back, status=401, problem="wrong")
        if isinstance(outcome, TooMany):
            return ask(request, current, back, status=429, problem="too-many")
        return access.enter(RedirectResponse(outcome.location, status_code=303), outcome)

    @routes.get("/sign-in/enrol")
    async def enrol_page(request: Request, next: str = "/") -> Response:
        current, back = await access.signed_in(request), access.next(next)
        if current.due is not Step.ENROL:
            return RedirectResponse(location(current.due, back), status_code=303)
        return await offer(request, current, back)

    @routes.post("/sign-in/enrol", dependencies=[Depends(access.verify_form)])
    async def enrol(request: Request, code: Code = "", next: Next = "/") -> Response:
        current, back = await access.signed_in(request), access.next(next)
        if current.due not in (None, Step.ENROL):
            return RedirectResponse(location(current.due, back), status_code=303)
        if current.due is None:  # a change of one's own: only who has just proved to be themselves
            await access.require_fresh(request, current)
        try:
            enrolled = await factors.enrol(current, code, back, access.visitor(request))
        except ConflictError:
            return RedirectResponse("/account", status_code=303)
        if enrolled is None:
            return await offer(request, current, back, status=422, problem="wrong")
        return access.enter(codes(request, enrolled.codes, enrolled.begun.location), enrolled.begun)

    @routes.post("/account/factor", dependencies=[Depends(access.verify_form)])
    async def begin(request: Request) -> Response:
        current = await access.page(request)
        await access.require_fresh(request, current)
        return await offer(request, current, "/account")

    @routes.post("/account/factor/codes", dependencies=[Depends(access.verify_form)])
    async def renew(request: Request) -> Response:
        current = await access.page(request)
        await access.require_fresh(request, current)
        shown = await factors.renew_codes(current)
        return codes(request, shown, "/account")

    @routes.post("/account/factor/remove", dependencies=[Depends(access.verify_form)])
    async def remove(request: Request) -> Response:
        current = await access.page(request)
        await access.require_fresh(request, current)
        await factors.remove(current)
        return RedirectResponse("/account?done=factor-removed", status_code=303)

    return routes
