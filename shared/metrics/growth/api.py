"""The growth of an agency as JSON, for staff of its finance and for systems with a key."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query, Request

from shared.auth import KeyPrincipal
from shared.auth.roles import VIEWERS, Scope
from shared.clock import Clock
from shared.database import Database
from shared.metrics.growth import service
from shared.metrics.growth.schemas import GrowthOut, growth_out
from shared.web.known_first import known_first
from shared.web.params import Day
from shared.web.staff import StaffAccess


def growth_router(
    database: Database, access: StaffAccess, clock: Clock, default_target: Decimal
) -> APIRouter:
    router = APIRouter(tags=["growth"], route_class=known_first(access))

    @router.get("/v1/agencies/{agency}/growth")
    async def growth(
        request: Request,
        agency: str,
        as_of: Annotated[Day | None, Query(description="A day; by default today.")] = None,
        baseline_version: Annotated[
            int | None, Query(ge=1, le=2**31 - 1, description="An older frozen version.")
        ] = None,
    ) -> GrowthOut:
        """Growth to date, trailing and projected, by both definitions of revenue."""
        principal = await access.staff_or_key(request)
        if isinstance(principal, KeyPrincipal):
            principal.require(agency, Scope.METRICS_READ)
        else:
            principal.require(agency, *VIEWERS)
        report = await service.agency_report(
            database,
            agency,
            now=clock.now(),
            default_target=default_target,
            as_of=as_of,
            baseline_version=baseline_version,
        )
        return growth_out(report)

    return router
