"""``/staff/{agency}/refunds``: money that is to go back by bank transfer, and what finance does with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, Field

from services.billing.composition import Billing
from services.billing.readers.web import BillingFormTokens, see_other
from services.billing.refunds.service import By
from services.billing.staff.api import READERS
from services.billing.staff.entry import enter
from services.billing.staff.reader_pages import MOST_REASON, parse_cursor
from shared.agencies import Agency
from shared.auth import StaffPrincipal
from shared.auth.roles import Role
from shared.errors import ConflictError
from shared.web import Pages
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed, PlainText
from shared.web.staff import StaffAccess

REQUESTS_A_PAGE = 50
MOST_REFERENCE = 100
Group = Literal["approve", "pay", "done"]
Typed = Annotated[PlainText, Form()]


def cursor_of(request: dict[str, Any]) -> str:
    """Where the page after this request begins: when it was asked, and its id."""
    at: datetime = request["asked_at"]
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%f}_{request['id']}"


def _cursor(value: str) -> str:
    try:
        parse_cursor(value)
    except ValueError:
        raise ValueError("the value of `after` of the page before") from None
    return value


class RefundsQuery(BaseModel):
    group: Group = "approve"
    after: Annotated[str | None, Field(max_length=80), AfterValidator(_cursor)] = None
    notice: Annotated[str, Field(max_length=20)] = ""

    def cursor(self) -> tuple[datetime, UUID] | None:
        return parse_cursor(self.after) if self.after else None


class RefundDesk:
    """The list of requests, and what finance decides."""

    def __init__(
        self, billing: Billing, pages: Pages, access: StaffAccess, forms: BillingFormTokens
    ) -> None:
        self.billing = billing
        self._pages = pages
        self._access = access
        self._forms = forms

    async def allowed(
        self, request: Request, agency: str, *roles: Role
    ) -> tuple[Agency, StaffPrincipal]:
        found = await enter(self._access, self.billing.database, request, agency, *roles)
        return found, request.state.staff

    async def show(
        self,
        request: Request,
        found: Agency,
        principal: StaffPrincipal,
        asked_for: RefundsQuery,
        status: int = 200,
        **more: Any,
    ) -> Response:
        page = await self.billing.refunds.page(
            found.id, asked_for.group, limit=REQUESTS_A_PAGE, after=asked_for.cursor()
        )
        return self._pages.render(
            request,
            "staff_refunds.html",
            status,
            agency=found,
            page=page,
            asked_for=asked_for,
            next=cursor_of(page.requests[-1]) if page.more else None,
            decides=principal.holds(found.id, Role.FINANCE),
            me=str(principal.account_id),
            limit_vnd=self.billing.refunds.approval_vnd,
            most_reason=MOST_REASON,
            most_reference=MOST_REFERENCE,
            zone=found.zone,
            **{"typed": "", "refused": "", **more},
        )

    async def act(
        self,
        request: Request,
        agency: str,
        group: Group,
        typed: str,
        most: int,
        done: str,
        *,
        confirmed: bool,
        do: Callable[[str, By], Awaitable[None]],
    ) -> Response:
        """Finance, with a form of ours, a fresh proof and a second press. ``most``: characters that are to be typed, 0 for none."""
        found, principal = await self.allowed(request, agency, Role.FINANCE)
        await self._forms.verify(request)
        await self._access.require_fresh(request)
        more: dict[str, Any] = {"asked": request.url.path, "typed": typed}
        words, listed = typed.strip(), RefundsQuery(group=group)
        if not confirmed:
            return await self.show(request, found, principal, listed, **more)
        if most and not 0 < len(words) <= most:
            return await self.show(request, found, principal, listed, 422, refused="typed", **more)
        try:
            await do(words, By(str(principal.account_id), principal.name or principal.email))
        except ConflictError as error:
            return await self.show(
                request, found, principal, listed, 409, refused=error.slug, **more
            )
        return see_other(f"/staff/{agency}/refunds?group={group}&notice={done}")


def router(
    billing: Billing, pages: Pages, access: StaffAccess, forms: BillingFormTokens
) -> APIRouter:
    routes = APIRouter(
        prefix="/staff/{agency}/refunds",
        include_in_schema=False,
        route_class=signed_in_first(access.page),
    )
    desk = RefundDesk(billing, pages, access, forms)

    @routes.get("")
    async def listed(
        request: Request, agency: str, asked_for: Annotated[RefundsQuery, Query()]
    ) -> Response:
        found, principal = await desk.allowed(request, agency, *READERS)
        return await desk.show(request, found, principal, asked_for)

    @routes.post("/{request_id}/approve")
    async def approve(
        request: Request, agency: str, request_id: UUID, confirmed: Confirmed = False
    ) -> Response:
        async def do(_: str, by: By) -> None:
            await billing.refunds.approve(agency, request_id, by)

        return await desk.act(
            request, agency, "approve", "", 0, "approved", confirmed=confirmed, do=do
        )

    @routes.post("/{request_id}/refuse")
    async def refuse(
        request: Request,
        agency: str,
        request_id: UUID,
        reason: Typed = "",
        group: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        async def do(why: str, by: By) -> None:
            await billing.refunds.refuse(agency, request_id, why, by)

        stood_on: Group = "pay" if group == "pay" else "approve"
        return await desk.act(
            request, agency, stood_on, reason, MOST_REASON, "refused", confirmed=confirmed, do=do
        )

    @routes.post("/{request_id}/pay")
    async def pay(
        request: Request,
        agency: str,
        request_id: UUID,
        reference: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        async def do(words: str, by: By) -> None:
            await billing.refunds.pay(agency, request_id, words, by)

        return await desk.act(
            request, agency, "pay", reference, MOST_REFERENCE, "paid", confirmed=confirmed, do=do
        )

    return routes
