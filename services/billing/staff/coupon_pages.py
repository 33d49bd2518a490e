"""``/staff/{agency}/coupons``: what runs and how often it was used, a new one, ending one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.coupons.rules import as_code
from services.billing.coupons.service import NewCoupon
from services.billing.readers.web import BillingFormTokens, plain, see_other
from services.billing.staff.api import READERS
from services.billing.staff.entry import enter
from shared.agencies import Agency
from shared.auth.roles import Role
from shared.clock import local_date, start_of_day
from shared.errors import ConflictError, NotFoundError
from shared.web import Pages
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed
from shared.web.staff import StaffAccess

MOST_USES = 10_000_000
MOST_OFF = 10**9


@dataclass(frozen=True, slots=True)
class Typed:
    """A new coupon as the form says it; what is wrong is named by its field."""

    code: str
    percent: str
    off: str
    plan: str
    until: str
    uses: str
    many: str

    def read(self, agency: Agency, plans: dict[str, UUID], today: date) -> NewCoupon | str:
        """The coupon, or the name of the field that is wrong. The last day is included, in the agency's calendar."""
        code, plan_id = as_code(self.code), plans.get(self.plan)
        percent = number_typed(self.percent, 100)
        off = number_typed(self.off, MOST_OFF)
        uses = number_typed(self.uses, MOST_USES)
        until = day_typed(self.until)
        wrong = (
            (code is None, "code"),
            (percent == 0 or off == 0 or (percent is None) is (off is None), "price"),
            (self.plan != "" and plan_id is None, "plan"),
            (self.until != "" and (until is None or until < today), "until"),
            (uses == 0, "uses"),
        )
        field = next((name for is_wrong, name in wrong if is_wrong), None)
        if field is not None or code is None:
            return field or "code"
        return NewCoupon(
            code,
            percent,
            off,
            plan_id,
            start_of_day(today, agency.zone),
            start_of_day(until + date.resolution, agency.zone) if until else None,
            uses,
            self.many != "1",
        )


NOTHING = Typed("", "", "", "", "", "", "")


def number_typed(text: str, most: int) -> int | None:
    """None for nothing, 0 for what is no whole number from 1 to ``most``."""
    digits = text.replace(".", "").replace(" ", "")
    if not digits:
        return None
    fits = digits.isascii() and digits.isdigit() and len(digits) <= 12 and int(digits) <= most
    return int(digits) if fits else 0


def day_typed(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _typed(
    code: str = Form(""),
    percent: str = Form(""),
    off: str = Form(""),
    plan: str = Form(""),
    until: str = Form(""),
    uses: str = Form(""),
    many: str = Form(""),
) -> Typed:
    given = (code, percent, off, plan, until, uses, many)
    return Typed(*(plain(one.strip(), 60) for one in given))


def router(
    billing: Billing, pages: Pages, access: StaffAccess, forms: BillingFormTokens
) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(access.page))

    async def allowed(request: Request, agency: str, *roles: Role) -> Agency:
        return await enter(access, billing.database, request, agency, *roles)

    async def plans_of(agency: str) -> dict[str, UUID]:
        return {one.plan_code: one.plan_id for one in await billing.plans.offers(agency)}

    async def page(request: Request, found: Agency, status: int = 200, **more: Any) -> Response:
        return pages.render(
            request,
            "staff_coupons.html",
            status,
            agency=found,
            coupons=await billing.coupons.listing(found.id),
            plans=sorted(await plans_of(found.id)),
            now=billing.clock.now(),
            zone=found.zone,
            **{"typed": NOTHING, **more},
        )

    @routes.get("/staff/{agency}/coupons")
    async def listing(request: Request, agency: str, notice: str = "") -> Response:
        return await page(request, await allowed(request, agency, *READERS), notice=notice)

    @routes.post("/staff/{agency}/coupons")
    async def make(request: Request, agency: str, typed: Typed = Depends(_typed)) -> Response:
        found = await allowed(request, agency, Role.FINANCE)
        await forms.verify(request)
        await access.require_fresh(request)
        today = local_date(billing.clock.now(), found.zone)
        new = typed.read(found, await plans_of(agency), today)
        if isinstance(new, str):
            return await page(request, found, 422, wrong=new, typed=typed)
        try:
            await billing.coupons.make(agency, new)
        except ConflictError:
            return await page(request, found, 409, wrong="known", typed=typed)
        return see_other(f"/staff/{agency}/coupons?notice=made")

    @routes.post("/staff/{agency}/coupons/end")
    async def end(
        request: Request, agency: str, code: str = Form(""), confirmed: Confirmed = False
    ) -> Response:
        found = await allowed(request, agency, Role.FINANCE)
        await forms.verify(request)
        await access.require_fresh(request)
        named = as_code(plain(code, 40))
        if named is None:
            raise NotFoundError
        if not confirmed:
            return await page(request, found, asked=f"{request.url.path}#{named}")
        try:
            await billing.coupons.end(agency, named)
        except ConflictError:
            return await page(request, found, 409, wrong="ended")
        return see_other(f"/staff/{agency}/coupons?notice=ended")

    return routes
