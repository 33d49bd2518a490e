"""``/r/{agency}/student``: a student's address is verified. ``/r/{agency}/back/{token}``: an offer for who left, by a letter's link.

The link shows one offer and opens nothing: to take it one signs in, and it is looked at anew for whoever that is.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.letters.links import BackLink, BadLinkError
from services.billing.readers.models import Reader
from services.billing.readers.web import Place, ReaderFront, guarded, plain, see_other
from shared.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    TooManyRequestsError,
    UnavailableError,
)
from shared.web.i18n import request_language

MAX_ADDRESS = 300


class OfferPages:
    """What readers see of offers."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def student(
        self, request: Request, place: Place, reader: Reader, status: int = 200, **more: Any
    ) -> Response:
        billing, agency = self._billing, place.agency
        sold = await billing.plans.offers(agency.id)
        page = self._front.render(
            request,
            "student.html",
            place,
            status,
            **{"typed": "", "problem": "", "sent": "", "done": False} | more,
            reader=reader,
            address=await billing.students.address(reader),
            now=billing.clock.now(),
            sold=sold,
            students=await billing.offers.students(sold),
            name=lambda offer: offer.name(request_language(request)),
            zone=agency.zone,
        )
        page.headers["Cache-Control"] = "no-store"
        return page

    async def send(self, request: Request, agency: str, typed: str) -> Response:
        acting = await self._front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        place, reader = await self._front.enter(request, agency), acting[1]
        offered = await self._billing.offers.students(await self._billing.plans.offers(agency))
        language, letters = request_language(request), self._billing.letters
        try:
            await self._billing.students.ask_code(
                reader,
                typed,
                list(offered.values()),
                lambda to, code: letters.student_code(place.agency, language, to, code),
            )
        except InvalidInputError:
            problem = "This is no e-mail address. It looks like name@school.edu.vn."
            return await self.student(request, place, reader, 422, typed=typed, problem=problem)
        except ConflictError:
            problem = (
                "The student's price is for addresses of schools only: the page names which ones."
            )
            return await self.student(request, place, reader, 422, typed=typed, problem=problem)
        except TooManyRequestsError:
            problem = "Too many codes were sent. Please wait an hour and try again."
            return await self.student(request, place, reader, 429, typed=typed, problem=problem)
        except UnavailableError:
            problem = "The mail could not be sent. Please try again in a moment."
            return await self.student(request, place, reader, 503, typed=typed, problem=problem)
        return await self.student(request, place, reader, sent=typed)

    async def enter(self, request: Request, agency: str, code: str, sent: str) -> Response:
        acting = await self._front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        place, reader = await self._front.enter(request, agency), acting[1]
        try:
            until = await self._billing.students.enter_code(reader, code)
        except ConflictError:
            problem = "Another account is verified by this address. It can verify one account only."
            return await self.student(request, place, reader, 409, problem=problem)
        if until is None:
            problem = "This code is not right, or its 10 minutes are over. After five wrong ones only a new code helps."
            return await self.student(request, place, reader, 422, sent=sent, problem=problem)
        return see_other(f"/r/{agency}/student?done=1")

    def _read(self, agency: str, token: str) -> BackLink | None:
        try:
            return self._billing.links.read_back(agency, token, self._billing.clock.now())
        except BadLinkError:
            return None

    async def back(self, request: Request, agency: str, token: str, *, stopped: bool) -> Response:
        """The offer, while it is for whom the letter was written; and for nobody else who is signed in here."""
        billing, place = self._billing, await self._front.enter(request, agency)
        link, found = self._read(agency, token), await self._front.reader(request, agency)
        shown = None
        if link is not None and (found is None or found[1].id == link.reader_id):
            sold = await billing.plans.offers(agency)
            shown = await billing.offers.win_back(link.reader_id, link.offer_id, sold)
        page = self._front.render(
            request,
            "back.html",
            place,
            200 if link is not None or stopped else 404,
            shown=shown,
            name=shown.sold.name(request_language(request)) if shown else "",
            ways=await self._ways(agency),
            token=token if link is not None else "",
            stopped=stopped,
            zone=place.agency.zone,
        )
        return guarded(page)

    async def stop(self, request: Request, agency: str, token: str) -> Response:
        """No more of such letters: a consent that is taken back."""
        await self._front.enter(request, agency)
        try:
            link = self._billing.links.read_stop(agency, token)
        except BadLinkError:
            raise NotFoundError from None
        reader = await self._billing.accounts.reader(agency, link.reader_id)
        latest = await self._billing.readers.consents(reader)
        kept = {name for name, one in latest.items() if one.granted} - {"offers"}
        await self._billing.readers.change_consents(
            reader, frozenset(kept), self._front.visitor(request)
        )
        return guarded(see_other(f"/r/{agency}/back/{token}?stopped=1"))

    async def _ways(self, agency: str) -> list[str]:
        by_transfer = bool(await self._billing.transfers.accounts(agency))
        return ["transfer"] * by_transfer + ["card"] * bool(
            self._billing.settings.stripe_secret_key
        )


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = OfferPages(front)

    @routes.get("/r/{agency}/student")
    async def student(request: Request, agency: str, done: str = "") -> Response:
        place = await front.enter(request, agency)
        found = await front.reader(request, agency)
        if found is None:
            return front.to_sign_in(agency, f"/r/{agency}/student")
        return await pages.student(request, place, found[1], done=done == "1")

    @routes.post("/r/{agency}/student")
    async def send(request: Request, agency: str, address: str = Form("")) -> Response:
        return await pages.send(request, agency, plain(address, MAX_ADDRESS))

    @routes.post("/r/{agency}/student/code")
    async def enter(
        request: Request, agency: str, code: str = Form(""), sent: str = Form("")
    ) -> Response:
        return await pages.enter(request, agency, plain(code, 400), plain(sent, MAX_ADDRESS))

    @routes.get("/r/{agency}/back/{token}")
    async def back(request: Request, agency: str, token: str, stopped: str = "") -> Response:
        return await pages.back(request, agency, token, stopped=stopped == "1")

    @routes.post("/r/{agency}/back/{token}/stop")
    async def stop(request: Request, agency: str, token: str) -> Response:
        return await pages.stop(request, agency, token)

    return routes
