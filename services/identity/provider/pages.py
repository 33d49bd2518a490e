"""To the provider and back: sign-in, an invitation, one's own account's link, and proving again who one is.

Every way there begins with a form of ours and its token, and with a page that leads on: the redirect of a form's answer would
have to be in its page's content security policy, with all that the provider redirects to.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.identity.access import CONFIRM_ACTION, Access
from services.identity.provider.rules import CALLBACK, MAX_FORM_BYTES, Problem, Purpose
from services.identity.provider.service import (
    Back,
    Confirmed,
    Entered,
    Failed,
    Linked,
    Outcome,
    OwnProvider,
)
from services.identity.sessions.rules import safe_next
from shared.errors import InvalidInputError
from shared.web import Pages
from shared.web.i18n import request_language

Next = Annotated[str, Form(max_length=4096)]
Token = Annotated[str, Form(max_length=200)]
MAX_PARAMETER = 4096

STATUS = {
    Problem.UNKNOWN: 400,
    Problem.UNAVAILABLE: 503,
    Problem.INVALID: 502,
    Problem.TOO_MANY: 429,
    Problem.ELSEWHERE: 409,
    Problem.LINKED_ALREADY: 409,
    Problem.NO_PASSWORD: 409,
    Problem.INVITATION_ENDED: 409,
    Problem.SESSION_ENDED: 401,
}


def again_at(failed: Failed) -> str:
    """Where one may try again; an invitation's link is in the mail only."""
    if failed.purpose is Purpose.LINK:
        return "/account"
    if failed.purpose is Purpose.CONFIRM:
        return "/"
    return f"/sign-in?{urlencode({'next': failed.next})}"


class _Answers:
    """The pages that lead to the provider, and that say why nothing came of it."""

    def __init__(self, own: OwnProvider, access: Access, pages: Pages) -> None:
        self._own = own
        self._access = access
        self._pages = pages

    def failed(self, request: Request, outcome: Failed) -> Response:
        status = STATUS.get(outcome.problem, 403)
        answer = self._pages.render(
            request,
            "provider.html",
            status,
            provider=self._own.name,
            problem=outcome.problem,
            purpose=outcome.purpose,
            email=outcome.email,
            wait=outcome.wait,
            again=again_at(outcome),
        )
        if status in (429, 503):
            answer.headers["Retry-After"] = str(outcome.wait)
        return answer

    async def leave(self, request: Request, purpose: Purpose, **how: Any) -> Response:
        """``how``: see ``ProviderService.start``."""
        outcome = await self._own.service.start(
            purpose, self._access.visitor(request), request_language(request), **how
        )
        if isinstance(outcome, Failed):
            return self.failed(request, outcome)
        page = self._pages.render(request, "leaving.html", provider=self._own.name, url=outcome.url)
        return self._access.visiting(page, outcome.state, outcome.browser)

    def confirmed(self, request: Request, outcome: Confirmed) -> Response:
        if outcome.action == "/confirm":  # from another tool: nothing was typed
            back = self._access.next(dict(outcome.fields).get("next", "/"))
            return RedirectResponse(back, status_code=303)
        return self._pages.render(
            request, "confirmed.html", action=outcome.action, fields=outcome.fields
        )


def router(own: OwnProvider, access: Access, pages: Pages) -> APIRouter:
    """Leave, come back, unlink."""
    routes = APIRouter(include_in_schema=False)
    answers = _Answers(own, access, pages)
    _add_strangers(routes, access, answers)
    _add_own(routes, access, answers, own)
    _add_callback(routes, access, answers, own)
    for path, back in (
        ("/sign-in/provider", "/sign-in"),
        ("/account/provider/link", "/account"),
        ("/account/provider/unlink", "/account"),
    ):
        _leads_back(routes, path, back)
    return routes


def _leads_back(routes: APIRouter, path: str, back: str) -> None:
    """Reloaded, or asked for in the other language, a page that answered a form begins again."""

    async def handler(request: Request) -> Response:
        return RedirectResponse(f"{back}?{request.url.query}", status_code=303)

    routes.add_api_route(path, handler, methods=["GET"])


def _add_strangers(routes: APIRouter, access: Access, answers: _Answers) -> None:
    """For who has no session yet."""

    @routes.post("/sign-in/provider", dependencies=[Depends(access.verify_form)])
    async def sign_in(request: Request, next: Next = "/") -> Response:
        return await answers.leave(request, Purpose.SIGN_IN, next=access.next(next))

    @routes.post("/invitation/provider", dependencies=[Depends(access.verify_form)])
    async def accept(request: Request, token: Token) -> Response:
        return await answers.leave(request, Purpose.INVITATION, invitation=token)


def _add_own(routes: APIRouter, access: Access, answers: _Answers, own: OwnProvider) -> None:
    """For who is signed in."""

    @routes.post("/account/provider/link", dependencies=[Depends(access.verify_form)])
    async def link(request: Request) -> Response:
        current = await access.page(request)
        await access.require_fresh(request, current)
        return await answers.leave(request, Purpose.LINK, session_id=current.session_id)

    @routes.post("/account/provider/unlink", dependencies=[Depends(access.verify_form)])
    async def unlink(request: Request) -> Response:
        current = await access.page(request)
        await access.require_fresh(request, current)
        problem = await own.service.unlink(current)
        if problem is not None:
            return answers.failed(request, Failed(problem, Purpose.LINK))
        return RedirectResponse("/account?done=unlinked", status_code=303)

    @routes.post("/confirm/provider", dependencies=[Depends(access.verify_form)])
    async def confirm(request: Request) -> Response:
        """``confirm_action`` and all other fields: the form that is sent again when the proof is there."""
        current = await access.page(request)
        action = (await request.form()).get(CONFIRM_ACTION)
        fields = await access.fields_to_repeat(request)
        size = sum(len(name) + len(value) for name, value in fields)
        if not isinstance(action, str) or size > MAX_FORM_BYTES:
            raise InvalidInputError("This form cannot be kept", slug="form")
        return await answers.leave(
            request,
            Purpose.CONFIRM,
            next=safe_next(action, ()),
            session_id=current.session_id,
            fields=fields,
        )


def _add_callback(routes: APIRouter, access: Access, answers: _Answers, own: OwnProvider) -> None:
    @routes.get(CALLBACK)
    async def callback(
        request: Request, state: str = "", code: str = "", error: str = "", iss: str = ""
    ) -> Response:
        """A page in every case: whoever comes here sees it in a browser."""
        back = Back(state, access.visited(request, state), code, error, iss)
        outcome: Outcome = Failed(Problem.UNKNOWN)
        if all(len(value) <= MAX_PARAMETER for value in (state, code, error, iss)):
            current = await access.current(request)
            if current is not None:
                access.show_bar(request, current)
            outcome = await own.service.finish(
                back, current, access.visitor(request), access.token(request)
            )
        answer: Response
        if isinstance(outcome, Entered):
            answer = RedirectResponse(outcome.begun.location, status_code=303)
            access.enter(answer, outcome.begun)
        elif isinstance(outcome, Linked):
            answer = RedirectResponse("/account?done=linked", status_code=303)
        elif isinstance(outcome, Confirmed):
            answer = answers.confirmed(request, outcome)
        else:
            answer = answers.failed(request, outcome)
        if back.browser:
            access.forget_visit(answer, state)
        return answer
