"""``/r/{agency}/account/seats/{subscription}/networks``: who pays for a company's or a school's group asks for a range of addresses."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.networks import rules
from services.billing.networks.rules import RefusedRangeError
from services.billing.readers.models import Reader
from services.billing.readers.web import ReaderFront, plain, see_other, uuid_of
from shared.errors import ConflictError
from shared.web.i18n import request_language


def page_of(agency: str, subscription_id: UUID) -> str:
    return f"/r/{agency}/account/seats/{subscription_id}/networks"


class NetworkPages:
    """A group's networks, and the forms of its owner."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._networks = front.billing.networks

    async def shown(
        self,
        request: Request,
        agency: str,
        reader: Reader,
        id_: UUID,
        status: int = 200,
        **more: Any,
    ) -> Response:
        place = await self._front.enter(request, agency)
        group = await self._networks.of_group(reader, id_)
        came_from = rules.address_of(self._front.visitor(request).address)
        answer = self._front.render(
            request,
            "networks.html",
            place,
            status,
            reader=reader,
            group=group,
            name=group.offer.name(request_language(request)),
            came_from=came_from,
            days=rules.SEEN_FOR.days,
            most_typed=rules.MOST_TYPED,
            zone=place.agency.zone,
            **{"typed": "", "refused": "", "right": "", "notice": "", **more},
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def ask(
        self, request: Request, agency: str, reader: Reader, id_: UUID, typed: str
    ) -> Response:
        address = self._front.visitor(request).address
        try:
            await self._networks.ask(reader, id_, typed, address)
        except RefusedRangeError as error:
            more = {"typed": typed, "refused": error.slug, "right": error.right}
            return await self.shown(request, agency, reader, id_, 422, **more)
        except ConflictError as error:
            more = {"typed": typed, "refused": error.slug}
            return await self.shown(request, agency, reader, id_, 409, **more)
        return see_other(f"{page_of(agency, id_)}?notice=network-asked")


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = NetworkPages(front)
    own = "/r/{agency}/account/seats/{subscription}/networks"

    @routes.get(own)
    async def shown(request: Request, agency: str, subscription: str, notice: str = "") -> Response:
        await front.enter(request, agency)
        found, id_ = await front.reader(request, agency), uuid_of(subscription)
        if found is None:
            return front.to_sign_in(agency, page_of(agency, id_))
        return await pages.shown(request, agency, found[1], id_, notice=notice)

    @routes.post(own)
    async def ask(
        request: Request,
        agency: str,
        subscription: str,
        addresses: str = Form("", alias="range"),
    ) -> Response:
        found = await front.acting(request, agency)
        if isinstance(found, Response):
            return found
        typed = plain(addresses, rules.MOST_TYPED)
        return await pages.ask(request, agency, found[1], uuid_of(subscription), typed)

    @routes.post("/r/{agency}/account/seats/{subscription}/networks/end")
    async def end(
        request: Request, agency: str, subscription: str, network: str = Form("")
    ) -> Response:
        found = await front.acting(request, agency)
        if isinstance(found, Response):
            return found
        await front.billing.networks.end(found[1], uuid_of(network))
        return see_other(f"{page_of(agency, uuid_of(subscription))}?notice=network-ended")

    return routes
