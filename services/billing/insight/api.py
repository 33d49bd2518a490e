"""The reader-revenue metrics for programs: another agency's are 404."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.billing.composition import Billing
from services.billing.insight.schemas import ReaderRevenueOut, out_of
from services.billing.staff.api import READERS
from services.billing.staff.rules import parse_period
from shared.auth import KeyPrincipal
from shared.auth.roles import Scope
from shared.web.known_first import known_first
from shared.web.staff import StaffAccess


def router(billing: Billing, access: StaffAccess) -> APIRouter:
    routes = APIRouter(
        prefix="/v1/agencies/{agency}", tags=["staff"], route_class=known_first(access)
    )

    @routes.get("/reader-revenue")
    async def reader_revenue(
        request: Request,
        agency: str,
        month: Annotated[
            str,
            Query(pattern="^20[0-9]{2}-(0[1-9]|1[0-2])$", description="A month, such as 2026-11"),
        ],
    ) -> ReaderRevenueOut:
        """Recurring revenue, paid readers, renewals, churn, trials and cohorts of a month; so far, while it runs."""
        principal = await access.staff_or_key(request)
        if isinstance(principal, KeyPrincipal):
            principal.require(agency, Scope.BILLING_READ)
        else:
            principal.require(agency, *READERS)
        return out_of(agency, await billing.insight.month(agency, parse_period(month).first))

    return routes
