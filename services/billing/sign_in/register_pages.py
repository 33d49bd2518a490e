"""``/r/{agency}/sign-in/address``: who has proved a number that no account has gives the address of one, theirs or a new one."""

from __future__ import annotations

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.readers.rules import hash_token
from services.billing.readers.web import Place, ReaderFront, browser_cookie, see_other, with_return
from services.billing.sign_in.pages import STALE, SignInPages
from shared.mail.address import normalise_email
from shared.security.report import refused
from shared.texts.number import shown
from shared.web.csrf import StaleFormError


class RegisterPages:
    """The second step of who begins with a number."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._phones = front.billing.phones
        self.sign_in = SignInPages(front)

    async def _number(self, request: Request, agency: str) -> str:
        """What this browser has proved; empty where nothing is in time."""
        browser = request.cookies.get(browser_cookie(agency, secure=self._front.forms.secure), "")
        proof = await self._phones.proof(agency, hash_token(browser)) if browser else None
        return proof[0] if proof else ""

    async def show(
        self,
        request: Request,
        place: Place,
        return_to: str,
        status: int = 200,
        *,
        typed: str = "",
        problem: str = "",
        wait: int = 0,
    ) -> Response:
        number = await self._number(request, place.agency.id)
        if not number:
            return see_other(f"/r/{place.agency.id}/sign-in?{with_return(return_to)}")
        answer = self._front.render(
            request,
            "sign_in_address.html",
            place,
            status,
            return_to=return_to,
            number=shown(number),
            email=typed[:254],
            problem=problem,
            wait=wait,
        )
        answer.headers["Cache-Control"] = "no-store"
        if wait:
            answer.headers["Retry-After"] = str(wait)
        return answer

    async def give(self, request: Request, agency_id: str, email: str, return_to: str) -> Response:
        """Send a code to the address. The answer is the same whether it has an account or not."""
        place = await self._front.enter(request, agency_id)
        if await self._front.reader(request, agency_id):
            return see_other(self.sign_in.target(place, return_to))
        try:
            await self._front.forms.verify(request)
        except StaleFormError as error:
            refused(error)
            if not await self._number(request, agency_id):
                return self.sign_in.email_page(
                    request, place, return_to, 403, email=email, problem=STALE
                )
            return await self.show(request, place, return_to, 403, typed=email, problem=STALE)
        if not await self._number(request, agency_id):  # its half hour is over
            return see_other(f"/r/{agency_id}/sign-in?{with_return(return_to)}")
        status, problem, wait = await self.sign_in.send(request, place, email, numbers=False)
        if problem:
            return await self.show(
                request, place, return_to, status, typed=email, problem=problem, wait=wait
            )
        browser = hash_token(self._front.forms.browser(request, agency_id))
        await self._phones.name_address(agency_id, browser, normalise_email(email) or "")
        return self.sign_in.to_code(request, agency_id, return_to)


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = RegisterPages(front)

    @routes.get("/r/{agency}/sign-in/address")
    async def show(request: Request, agency: str, return_to: str = "") -> Response:
        place = await front.enter(request, agency)
        if await front.reader(request, agency):
            return see_other(pages.sign_in.target(place, return_to))
        return await pages.show(request, place, return_to)

    @routes.post("/r/{agency}/sign-in/address")
    async def give(
        request: Request, agency: str, email: str = Form(""), return_to: str = Form("")
    ) -> Response:
        return await pages.give(request, agency, email, return_to)

    return routes
