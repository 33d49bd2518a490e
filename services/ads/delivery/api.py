"""The click route, ads.js and the figures of a line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel

from services.ads import metrics
from services.ads.access import EVERYONE, AgencyPath, Desk, require
from services.ads.bookings.service import get_line
from services.ads.delivery import repository
from services.ads.delivery.models import Kind
from services.ads.delivery.rules import is_declared_bot
from services.ads.delivery.service import Delivery
from services.ads.delivery.tokens import ForgedTokenError
from shared.database import RAW_FAILURES, OverloadedError
from shared.errors import BadRequestError, NotFoundError, ProblemError
from shared.web.address import header_address
from shared.web.assets import embedded_routes
from shared.web.known_first import known_first

log = structlog.get_logger(__name__)
STATIC = Path(__file__).parent / "static"
EMBEDDED = ("ads.js", "ads.css")  # in the websites' pages


class GoneError(ProblemError):
    status, slug, title = 410, "token-expired", "This link has expired"


class DayStats(BaseModel):
    """A day of a line in the agency's zone."""

    day: str
    impressions: int
    viewables: int
    clicks: int
    recognised_vnd: int


def router(delivery: Delivery) -> APIRouter:
    routes = APIRouter(tags=["delivery"])

    @routes.get(
        "/v1/clicks/{token}",
        status_code=302,
        response_class=Response,
        responses={400: {"description": "Not a link of ours"}, 410: {"description": "Too old"}},
        openapi_extra={"x-public": True},
    )
    async def click(
        request: Request, token: Annotated[str, PathParameter(max_length=400)]
    ) -> Response:
        """Public: counts the click at most once and leads to the creative's stored address."""
        try:
            verified = delivery.keys.verify(token)
        except ForgedTokenError:
            metrics.COUNTED.labels("click", "forged").inc()
            raise BadRequestError("This is not one of our links", slug="token-forged") from None
        target = await delivery.click_url(verified.creative_id)
        if target is None:
            raise NotFoundError("There is no such creative", slug="creative-unknown")
        if delivery.expired(verified, Kind.CLICK):
            metrics.COUNTED.labels("click", "expired").inc()
            raise GoneError
        if is_declared_bot(request.headers.get("user-agent", "")):
            metrics.COUNTED.labels("click", "bot").inc()
        else:
            try:
                fresh = await delivery.count(verified, Kind.CLICK)
                metrics.COUNTED.labels("click", "counted" if fresh else "duplicate").inc()
            except (OverloadedError, *RAW_FAILURES) as error:
                # Declared failure mode: the reader still arrives; a lost click costs nobody money.
                metrics.COUNTED.labels("click", "shed").inc()
                log.warning("click_not_counted", error=repr(error))
        return Response(
            status_code=302,
            headers={
                "Location": header_address(target),
                "Cache-Control": "no-store",
                "Referrer-Policy": "origin",
            },
        )

    routes.include_router(embedded_routes({f"/{name}": STATIC / name for name in EMBEDDED}))

    return routes


def staff_router(desk: Desk) -> APIRouter:
    """What a line has delivered, for whoever sells it."""
    routes = APIRouter(
        prefix="/v1/agencies/{agency}", tags=["delivery"], route_class=known_first(desk.access)
    )

    @routes.get("/lines/{line_id}/stats")
    async def stats(request: Request, agency: AgencyPath, line_id: UUID) -> list[DayStats]:
        await require(desk, request, agency, *EVERYONE)
        async with desk.database.read() as session:
            await get_line(session, agency, line_id)
            rows = await repository.stats(session, line_id)
        return [
            DayStats(
                day=row.counted_on.isoformat(),
                impressions=row.impressions,
                viewables=row.viewables,
                clicks=row.clicks,
                recognised_vnd=row.recognised_vnd,
            )
            for row in rows
        ]

    return routes
