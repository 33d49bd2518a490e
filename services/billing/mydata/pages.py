"""``/r/{agency}/account/data``: what is kept about a reader, a copy of it, and its deletion."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from services.billing.readers.models import Reader
from services.billing.readers.web import Place, ReaderFront
from shared.errors import TooManyRequestsError
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
            **{"problem": "", "wait": 0} | more,
            reader=reader,
            zone=place.agency.zone,
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def copy(self, request: Request, agency_id: str) -> Response:
        acting = await self._front.acting(request, agency_id)
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


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = DataPages(front)

    @routes.get(PATH)
    async def show(request: Request, agency: str) -> Response:
        return await pages.show(request, agency)

    @routes.post(PATH + "/copy")
    async def copy(request: Request, agency: str) -> Response:
        return await pages.copy(request, agency)

    return routes
