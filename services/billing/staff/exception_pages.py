"""``/staff/{agency}/exceptions``: what does not fit by itself, for finance to look into."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.exceptions.service import Aside
from services.billing.readers.web import BillingFormTokens, see_other
from services.billing.staff.entry import enter
from services.billing.staff.reader_pages import MOST_REASON
from shared.agencies import Agency
from shared.auth.roles import Role
from shared.web import Pages
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed, PlainText
from shared.web.staff import StaffAccess

SHOWN = 500


def router(
    billing: Billing, pages: Pages, access: StaffAccess, forms: BillingFormTokens
) -> APIRouter:
    routes = APIRouter(
        prefix="/staff/{agency}/exceptions",
        include_in_schema=False,
        route_class=signed_in_first(access.page),
    )

    async def allowed(request: Request, agency: str) -> Agency:
        return await enter(access, billing.database, request, agency, Role.FINANCE)

    async def show(request: Request, found: Agency, status: int = 200, **more: Any) -> Response:
        return pages.render(
            request,
            "staff_exceptions.html",
            status,
            agency=found,
            waiting=await billing.exceptions.listing(found.id, SHOWN),
            most_reason=MOST_REASON,
            zone=found.zone,
            **{"typed": "", "notice": "", "refused": "", **more},
        )

    @routes.get("")
    async def listed(request: Request, agency: str, notice: str = "") -> Response:
        return await show(request, await allowed(request, agency), notice=notice)

    @routes.post("/{kind}/{subject}/done")
    async def done(
        request: Request,
        agency: str,
        kind: Aside,
        subject: UUID,
        reason: Annotated[PlainText, Form()] = "",
        confirmed: Confirmed = False,
    ) -> Response:
        found = await allowed(request, agency)
        await forms.verify(request)
        await access.require_fresh(request)
        more: dict[str, Any] = {"asked": request.url.path, "typed": reason}
        why = reason.strip()
        if not confirmed:
            return await show(request, found, **more)
        if not 0 < len(why) <= MOST_REASON:
            return await show(request, found, 422, refused="reason", **more)
        await billing.exceptions.put_aside(agency, kind, subject, why)
        return see_other(f"/staff/{agency}/exceptions?notice=done")

    return routes
