"""``/staff/{agency}/networks``: ranges of addresses that companies and schools ask for, and what staff decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.networks.rules import MOST_REASON
from services.billing.readers.web import BillingFormTokens, see_other
from services.billing.staff.api import READERS
from services.billing.staff.entry import enter
from shared.agencies import Agency
from shared.errors import ConflictError
from shared.web import Pages
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed, PlainText
from shared.web.staff import StaffAccess

Typed = Annotated[PlainText, Form()]
Act = Callable[[str], Awaitable[None]]


def router(
    billing: Billing, pages: Pages, access: StaffAccess, forms: BillingFormTokens
) -> APIRouter:
    routes = APIRouter(
        prefix="/staff/{agency}/networks",
        include_in_schema=False,
        route_class=signed_in_first(access.page),
    )

    async def show(request: Request, found: Agency, status: int = 200, **more: Any) -> Response:
        return pages.render(
            request,
            "staff_networks.html",
            status,
            agency=found,
            queue=await billing.networks.queue(found.id),
            most_reason=MOST_REASON,
            zone=found.zone,
            **{"typed": "", "notice": "", "refused": "", **more},
        )

    async def decide(
        request: Request, agency: str, reason: str, confirmed: bool, act: Act, notice: str
    ) -> Response:
        """Asks for a proof, for a second press, and for a reason or what it is known by."""
        found = await enter(access, billing.database, request, agency, *READERS)
        await forms.verify(request)
        await access.require_fresh(request)
        more: dict[str, Any] = {"asked": request.url.path, "typed": reason}
        why = reason.strip()
        if not confirmed:
            return await show(request, found, **more)
        if not 0 < len(why) <= MOST_REASON:
            return await show(request, found, 422, refused="reason", **more)
        try:
            await act(why)
        except ConflictError as error:
            return await show(request, found, 409, refused=error.slug, **more)
        return see_other(f"/staff/{agency}/networks?notice={notice}")

    @routes.get("")
    async def listed(request: Request, agency: str, notice: str = "") -> Response:
        found = await enter(access, billing.database, request, agency, *READERS)
        return await show(request, found, notice=notice)

    @routes.post("/{network_id}/approve")
    async def approve(
        request: Request,
        agency: str,
        network_id: UUID,
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        async def act(why: str) -> None:
            principal = await access.page(request)
            by = principal.name or principal.email
            await billing.networks.approve(agency, network_id, why, by)

        return await decide(request, agency, reason, confirmed, act, "approved")

    @routes.post("/{network_id}/refuse")
    async def refuse(
        request: Request,
        agency: str,
        network_id: UUID,
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        async def act(why: str) -> None:
            await billing.networks.refuse(agency, network_id, why)

        return await decide(request, agency, reason, confirmed, act, "refused")

    @routes.post("/{network_id}/end")
    async def end(
        request: Request,
        agency: str,
        network_id: UUID,
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        async def act(why: str) -> None:
            await billing.networks.stop(agency, network_id, why)

        return await decide(request, agency, reason, confirmed, act, "ended")

    return routes
