"""``/r/{agency}/account/data``: what is kept about a reader, a copy of it, and its deletion."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response, StreamingResponse

from services.billing.mydata.erasing import Answer, HinderedError
from services.billing.readers.models import Reader
from services.billing.readers.web import Place, ReaderFront, plain, see_other
from shared.errors import ConflictError, TooManyRequestsError, UnavailableError
from shared.web.i18n import request_language
from shared.web.spreadsheet import download_headers

PATH = "/r/{agency}/account/data"


class DataPages:
    """What a signed-in reader sees of their data."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def show(self, request: Request, agency_id: str) -> Response:
        place = await self._front.enter(request, agency_id)
        found = await self._front.reader(request, agency_id)
        if found is None:
            return self._front.to_sign_in(agency_id, PATH.format(agency=agency_id))
        return await self.page(request, place, found[1])

    async def page(
        self, request: Request, place: Place, reader: Reader, status: int = 200, **more: Any
    ) -> Response:
        answer = self._front.render(
            request,
            "mydata.html",
            place,
            status,
            **{"problem": ""} | more,
            reader=reader,
            obstacles=await self._billing.erasing.obstacles(reader.id),
            sent=await self._billing.erasing.code_sent(reader),
            zone=place.agency.zone,
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def copy(self, request: Request, agency_id: str) -> Response:
        acting = await self._front.acting_by_mailbox(request, agency_id, "data")
        if isinstance(acting, Response):
            return acting
        place, reader = await self._front.enter(request, agency_id), acting[1]
        try:
            copy = await self._billing.my_data.copy(reader, place.agency)
        except TooManyRequestsError as error:
            answer = await self.page(request, place, reader, 429, problem="often")
            answer.headers.update(error.headers)
            return answer
        return StreamingResponse(
            copy.chunks(),
            media_type="application/json",
            headers=download_headers(copy.name) | {"Content-Length": str(copy.length)},
        )

    async def ask(self, request: Request, agency_id: str) -> Response:
        """Send the code that confirms a deletion."""
        acting = await self._front.acting(request, agency_id)
        if isinstance(acting, Response):
            return acting
        place, reader = await self._front.enter(request, agency_id), acting[1]
        letters, language = self._billing.letters, request_language(request)
        letter = partial(letters.erasure_code, place.agency, language)
        try:
            await self._billing.erasing.ask_code(reader, letter)
        except HinderedError:
            return await self.page(request, place, reader, 409, problem="hindered")
        except TooManyRequestsError:
            return await self.page(request, place, reader, 429, problem="codes")
        except UnavailableError:
            return await self.page(request, place, reader, 503, problem="away")
        return see_other(f"{PATH.format(agency=agency_id)}#delete")

    async def erase(self, request: Request, agency_id: str, code: str) -> Response:
        acting = await self._front.acting(request, agency_id)
        if isinstance(acting, Response):
            return acting
        place, reader = await self._front.enter(request, agency_id), acting[1]
        try:
            answer = await self._billing.erasing.enter_code(reader, plain(code, 400))
        except ConflictError:
            return await self.page(request, place, reader, 409, problem="hindered")
        if answer is Answer.WRONG:
            return await self.page(request, place, reader, 422, problem="code")
        gone = see_other(f"/r/{agency_id}/sign-in?notice=erased")
        self._front.forms.end_session(gone, agency_id)
        gone.headers["Clear-Site-Data"] = '"cache", "storage"'  # as signing out does
        return gone


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = DataPages(front)

    @routes.get(PATH)
    async def show(request: Request, agency: str) -> Response:
        return await pages.show(request, agency)

    @routes.post(PATH + "/copy")
    async def copy(request: Request, agency: str) -> Response:
        return await pages.copy(request, agency)

    @routes.post(PATH + "/delete/code")
    async def ask(request: Request, agency: str) -> Response:
        return await pages.ask(request, agency)

    @routes.post(PATH + "/delete")
    async def erase(request: Request, agency: str, code: str = Form("")) -> Response:
        return await pages.erase(request, agency, code)

    return routes
