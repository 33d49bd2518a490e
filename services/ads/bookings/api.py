"""Routes of orders and lines. ``Idempotency-Key`` on every POST that changes something; ``If-Match`` on lines."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel

from services.ads.access import EVERYONE, AgencyPath, Desk, known_agency, require
from services.ads.bookings import repository, service
from services.ads.bookings.idempotency import Answer, once
from services.ads.bookings.rules import Action, Status
from services.ads.bookings.schemas import (
    ActionIn,
    AvailsOut,
    DayOut,
    LineIn,
    LineOut,
    OrderIn,
    OrderOut,
)
from shared.auth import Role
from shared.database import Session
from shared.errors import NotFoundError, PreconditionError
from shared.web.known_first import known_first

#: Who may ask for which step (administrators always may).
ROLES: dict[Action, tuple[Role, ...]] = {
    Action.ASK_RESERVATION: (Role.SELLER,),
    Action.RESERVE: (Role.SELLER, Role.APPROVER),
    Action.ASK_BOOKING: (Role.SELLER,),
    Action.BOOK: (Role.SELLER, Role.APPROVER),
    Action.DECLINE: (Role.APPROVER,),
    Action.CANCEL: (Role.SELLER, Role.APPROVER),
    Action.PAUSE: (Role.TRAFFIC, Role.APPROVER),
    Action.RESUME: (Role.TRAFFIC, Role.APPROVER),
    Action.STOP: (Role.TRAFFIC, Role.APPROVER),
}
ActionName = Literal[
    "ask-reservation",
    "reserve",
    "ask-booking",
    "book",
    "decline",
    "cancel",
    "pause",
    "resume",
    "stop",
]
IfMatch = Annotated[str | None, Header(alias="If-Match")]
KEY = Header(default=None, alias="Idempotency-Key", max_length=200)


def version_of(if_match: str | None) -> int | None:
    """The version an ETag names. Raises 412 for a tag that is not one of ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = if_match.strip().removeprefix("W/").strip('"')
    if not (tag.isascii() and tag.isdigit() and len(tag) < 10):
        raise PreconditionError("If-Match is the ETag of the line as it was read")
    return int(tag)


def _answer(body: BaseModel, status: int = 200, **headers: str) -> Answer:
    return Answer(body.model_dump_json().encode(), status, headers)


def _line_answer(view: repository.LineView) -> Answer:
    return _answer(LineOut.of(view), ETag=f'"{view.version}"')


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(
        prefix="/v1/agencies/{agency}", tags=["bookings"], route_class=known_first(desk.access)
    )
    _reading(routes, desk)
    _changing(routes, desk)
    return routes


def _reading(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/avails")
    async def avails(request: Request, agency: AgencyPath, body: LineIn) -> AvailsOut:
        """What is free, what it costs and who contends. Nothing is kept."""
        await require(desk, request, agency, *EVERYONE)
        known = await known_agency(desk, agency)
        async with desk.database.read() as session:
            offer = await service.quote(session, known, body.spec())
        fit = offer.avails.fit
        return AvailsOut.model_validate(
            service.refusal(offer.avails, body.quantity)
            | {
                "fits": fit.fits,
                "amount_vnd": offer.price.amount_vnd,
                "vat_vnd": offer.price.vat_vnd,
                "cpm_vnd": offer.cpm_vnd,
                "days": [
                    DayOut(
                        day=body.starts_on + timedelta(days=i),
                        capacity=day.capacity,
                        available=day.available,
                    )
                    for i, day in enumerate(fit.days)
                ],
            }
        )

    @routes.get("/orders")
    async def orders(request: Request, agency: AgencyPath) -> list[OrderOut]:
        await require(desk, request, agency, *EVERYONE)
        async with desk.database.read() as session:
            found = await repository.orders(session, agency)
            lines = await repository.line_views(session, agency, limit=1000)
        return [OrderOut.of(o, [line for line in lines if line.order_id == o.id]) for o in found]

    @routes.get("/orders/{order_id}")
    async def order(request: Request, agency: AgencyPath, order_id: UUID) -> OrderOut:
        await require(desk, request, agency, *EVERYONE)
        async with desk.database.read() as session:
            return await _order(session, agency, order_id)

    @routes.get("/lines")
    async def lines(
        request: Request,
        agency: AgencyPath,
        status: Annotated[list[Status] | None, Query()] = None,
        search: str = "",
    ) -> list[LineOut]:
        await require(desk, request, agency, *EVERYONE)
        async with desk.database.read() as session:
            found = await repository.line_views(
                session, agency, statuses=status or (), search=search.replace("\x00", "")
            )
        return [LineOut.of(view) for view in found]

    @routes.get("/lines/{line_id}", response_model=LineOut)
    async def line(request: Request, agency: AgencyPath, line_id: UUID) -> Response:
        """The ETag is the line's version, for ``If-Match``."""
        await require(desk, request, agency, *EVERYONE)
        async with desk.database.read() as session:
            return _line_answer(await service.get_line(session, agency, line_id)).response()


def _changing(routes: APIRouter, desk: Desk) -> None:
    hold = timedelta(minutes=desk.settings.ads_hold_minutes)

    @routes.post("/orders", status_code=201, response_model=OrderOut)
    async def create_order(
        request: Request, agency: AgencyPath, body: OrderIn, _key: str | None = KEY
    ) -> Response:
        """An order with draft lines, priced; hold or book each line with the step routes."""
        actor = await require(desk, request, agency, Role.SELLER)
        known = await known_agency(desk, agency)

        async def work(session: Session) -> Answer:
            order_id, _ = await service.create_order(
                session,
                known,
                advertiser_id=body.advertiser_id,
                name=body.name,
                specs=[line.spec() for line in body.lines],
                actor=actor,
            )
            return _answer(await _order(session, agency, order_id), 201)

        return await once(desk.database, request, agency, work)

    @routes.patch("/lines/{line_id}", response_model=LineOut)
    async def edit_line(
        request: Request, agency: AgencyPath, line_id: UUID, body: LineIn, if_match: IfMatch = None
    ) -> Response:
        """Change a draft; ``If-Match`` is required."""
        actor = await require(desk, request, agency, Role.SELLER)
        version = version_of(if_match)
        if version is None:
            raise PreconditionError(
                "Send If-Match with the ETag of the line", slug="if-match-missing"
            )
        known = await known_agency(desk, agency)
        async with desk.database.transaction() as session:
            await service.edit_draft(
                session, known, line_id, body.spec(), actor=actor, version=version
            )
            return _line_answer(await service.get_line(session, agency, line_id)).response()

    @routes.post("/lines/{line_id}/{action}", response_model=LineOut)
    async def step(
        request: Request,
        agency: AgencyPath,
        line_id: UUID,
        action: ActionName,
        body: ActionIn | None = None,
        if_match: IfMatch = None,
        _key: str | None = KEY,
    ) -> Response:
        """Take the line one step on: reserve (hold), book, cancel, pause …"""
        asked = Action(action)
        actor = await require(desk, request, agency, *ROLES[asked])
        known = await known_agency(desk, agency)
        expected = version_of(if_match)

        async def work(session: Session) -> Answer:
            note = body.note if body else ""
            await service.act(
                session, known, line_id, service.Step(asked, actor, hold, expected, note)
            )
            return _line_answer(await service.get_line(session, agency, line_id))

        return await once(desk.database, request, agency, work)


async def _order(session: repository.AnySession, agency: str, order_id: UUID) -> OrderOut:
    found = await repository.order(session, agency, order_id)
    if found is None:
        raise NotFoundError("There is no such order", slug="order-unknown")
    return OrderOut.of(
        found, await repository.line_views(session, agency, order_id=order_id, limit=1000)
    )
