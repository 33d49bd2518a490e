"""Routes of the catalogue."""

from __future__ import annotations

from fastapi import APIRouter, Request

from services.ads.access import EVERYONE, AgencyPath, Desk, known_agency, require
from services.ads.catalogue import service
from services.ads.catalogue.rules import RateOn
from services.ads.catalogue.schemas import (
    AdvertiserIn,
    AdvertiserOut,
    Code,
    PlacementIn,
    PlacementOut,
    ProductIn,
    ProductOut,
    RateBody,
)
from shared.auth import Role
from shared.web.known_first import known_first


def router(desk: Desk) -> APIRouter:
    """Reading for everyone of the agency; changing for traffic and approvers."""
    routes = APIRouter(
        prefix="/v1/agencies/{agency}", tags=["catalogue"], route_class=known_first(desk.access)
    )

    @routes.get("/advertisers")
    async def list_advertisers(
        request: Request, agency: AgencyPath, search: str = ""
    ) -> list[AdvertiserOut]:
        await require(desk, request, agency, *EVERYONE)
        async with desk.database.read() as session:
            rows = await service.list_advertisers(session, agency, search.replace("\x00", ""))
        return [AdvertiserOut(id=row.id, name=row.name, website=row.website) for row in rows]

    @routes.post("/advertisers", status_code=201)
    async def add_advertiser(
        request: Request, agency: AgencyPath, body: AdvertiserIn
    ) -> AdvertiserOut:
        await require(desk, request, agency, Role.SELLER)
        await known_agency(desk, agency)
        async with desk.database.transaction() as session:
            found = await service.add_advertiser(session, agency, body.name, body.website)
            row = await service.get_advertiser(session, agency, found)
        return AdvertiserOut(id=row.id, name=row.name, website=row.website)

    @routes.get("/placements")
    async def list_placements(request: Request, agency: AgencyPath) -> list[PlacementOut]:
        await require(desk, request, agency, *EVERYONE)
        async with desk.database.read() as session:
            rows = await service.list_placements(session, agency)
        return [PlacementOut.of(row) for row in rows]

    @routes.put("/placements/{code}", status_code=204)
    async def set_placement(
        request: Request, agency: AgencyPath, code: Code, body: PlacementIn
    ) -> None:
        await require(desk, request, agency, Role.TRAFFIC, Role.APPROVER)
        await known_agency(desk, agency)
        async with desk.database.transaction() as session:
            await service.set_placement(session, agency, body.model_dump() | {"code": code})

    @routes.get("/products")
    async def list_products(request: Request, agency: AgencyPath) -> list[ProductOut]:
        await require(desk, request, agency, *EVERYONE)
        async with desk.database.read() as session:
            return [ProductOut.of(card) for card in await service.list_products(session, agency)]

    @routes.put("/products/{code}", status_code=204)
    async def set_product(
        request: Request, agency: AgencyPath, code: Code, body: ProductIn
    ) -> None:
        await require(desk, request, agency, Role.APPROVER)
        await known_agency(desk, agency)
        async with desk.database.transaction() as session:
            await service.set_product(session, agency, code, body.name, body.placements)

    @routes.post("/products/{code}/rates", status_code=204)
    async def set_rate(request: Request, agency: AgencyPath, code: Code, body: RateBody) -> None:
        await require(desk, request, agency, Role.APPROVER)
        async with desk.database.transaction() as session:
            await service.set_rate(
                session, agency, code, RateOn(body.valid_from, body.cpm_vnd, body.vat_percent)
            )

    return routes
