"""Routes of creatives, and the public one that serves their images."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from services.ads.access import EVERYONE, AgencyPath, Desk, require
from services.ads.bookings.service import get_line
from services.ads.creatives import service
from services.ads.creatives.schemas import CreativeIn, CreativeOut
from shared.auth import Role
from shared.web.known_first import known_first

IMAGE_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    # Whatever the bytes are, nothing in them may run when the address is opened by itself.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def router(desk: Desk) -> APIRouter:
    routes = APIRouter(
        prefix="/v1/agencies/{agency}", tags=["creatives"], route_class=known_first(desk.access)
    )

    @routes.get("/lines/{line_id}/creatives")
    async def of_line(request: Request, agency: AgencyPath, line_id: UUID) -> list[CreativeOut]:
        await require(desk, request, agency, *EVERYONE)
        async with desk.database.read() as session:
            await get_line(session, agency, line_id)
            rows = await service.of_line(session, agency, line_id)
        return [CreativeOut.model_validate(row) for row in rows]

    @routes.post("/lines/{line_id}/creatives", status_code=201)
    async def add(
        request: Request, agency: AgencyPath, line_id: UUID, body: CreativeIn
    ) -> CreativeOut:
        await require(desk, request, agency, Role.SELLER, Role.TRAFFIC)
        async with desk.database.transaction() as session:
            created = await service.add(session, agency, line_id, body.words())
            return CreativeOut.model_validate(await service.get(session, agency, created))

    @routes.put("/creatives/{creative_id}")
    async def change(
        request: Request, agency: AgencyPath, creative_id: UUID, body: CreativeIn
    ) -> CreativeOut:
        await require(desk, request, agency, Role.SELLER, Role.TRAFFIC)
        async with desk.database.transaction() as session:
            await service.change(session, agency, creative_id, body.words())
            return CreativeOut.model_validate(await service.get(session, agency, creative_id))

    @routes.put(
        "/creatives/{creative_id}/image",
        openapi_extra={"requestBody": {"required": True, "content": {"image/*": {}}}},
    )
    async def set_image(request: Request, agency: AgencyPath, creative_id: UUID) -> CreativeOut:
        """The body is the image itself; its type is what its bytes say."""
        await require(desk, request, agency, Role.SELLER, Role.TRAFFIC)
        async with desk.database.transaction() as session:
            await service.get(
                session, agency, creative_id
            )  # whose it is comes before what was sent
        picture = await service.decoded(desk.images, await request.body(), agency=agency)
        async with desk.database.transaction() as session:
            # Held: a change of words, or a pause, in the same moment must not be taken back.
            row = await service.get(session, agency, creative_id, lock=True)
            words = CreativeIn.model_validate(row, from_attributes=True).words()
            await service.change(session, agency, creative_id, words, picture)
            return CreativeOut.model_validate(await service.get(session, agency, creative_id))

    return routes


def images(desk: Desk) -> APIRouter:
    """What readers' browsers fetch."""
    routes = APIRouter(tags=["creatives"])

    @routes.get(
        "/v1/creatives/{creative_id}/image/{digest}",
        response_class=Response,
        responses={200: {"content": {"image/png": {}, "image/jpeg": {}, "image/webp": {}}}},
        openapi_extra={"x-public": True},
    )
    async def image(
        creative_id: UUID, digest: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
    ) -> Response:
        """Public: shown on the agency's website."""
        async with desk.database.read() as session:
            found = await service.picture(session, creative_id, digest)
        return Response(found.content, media_type=found.content_type, headers=IMAGE_HEADERS)

    return routes
