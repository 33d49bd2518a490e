"""``/staff/{agency}/offers``: what is offered, who took it and who stayed, a new offer, ending one. Reached from the coupons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.offers.rules import Kind, as_domains
from services.billing.offers.service import NewOffer
from services.billing.plans.repository import Offer
from services.billing.readers.web import (
    BillingFormTokens,
    plain,
    see_other,
    uuid_of,
    uuid_or_none,
)
from services.billing.staff.api import READERS
from services.billing.staff.coupon_pages import MOST_OFF, day_typed, number_typed
from services.billing.staff.entry import enter
from shared.agencies import Agency
from shared.auth.roles import Role
from shared.clock import local_date, start_of_day
from shared.errors import ConflictError
from shared.web import Pages
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed
from shared.web.staff import StaffAccess

MOST_PERIODS, MOST_DAYS = 60, 3_650
#: How long after a winback the next one may be, where the form leaves it open.
AGAIN_DAYS = 365


@dataclass(frozen=True, slots=True)
class Typed:
    """A new offer as the form says it; what is wrong is named by its field."""

    kind: str
    price: str
    amount: str
    periods: str
    until: str
    lapsed: str
    again: str
    domains: str

    def read(self, agency: Agency, sold: dict[UUID, Offer], today: date) -> NewOffer | str:
        """The offer, or the name of the field that is wrong. The last day is included, in the agency's calendar."""
        price = sold.get(uuid_or_none(self.price) or UUID(int=0))
        amount, periods = (
            number_typed(self.amount, MOST_OFF),
            number_typed(self.periods, MOST_PERIODS),
        )
        lapsed, again = number_typed(self.lapsed, MOST_DAYS), number_typed(self.again, MOST_DAYS)
        until, domains = day_typed(self.until), as_domains(self.domains)
        student, back = self.kind == Kind.STUDENT, self.kind == Kind.WINBACK
        wrong = (
            (self.kind not in tuple(Kind), "kind"),
            (price is None, "price"),
            (not amount or price is None or amount >= price.amount_vnd, "amount"),
            (not student and not periods, "periods"),
            (self.until != "" and (until is None or until < today), "until"),
            (back and (not lapsed or again == 0), "lapsed"),
            (student and domains is None, "domains"),
        )
        field = next((name for is_wrong, name in wrong if is_wrong), None)
        if field is not None or price is None or amount is None:
            return field or "price"
        return NewOffer(
            price.price_id,
            Kind(self.kind),
            amount,
            None if student else periods,
            start_of_day(until + date.resolution, agency.zone) if until else None,
            lapsed if back else None,
            (again or AGAIN_DAYS) if back else None,
            (domains or ()) if student else (),
        )


NOTHING = Typed("intro", "", "", "", "", "", "", "")


def _typed(
    kind: str = Form(""),
    price: str = Form(""),
    amount: str = Form(""),
    periods: str = Form(""),
    until: str = Form(""),
    lapsed: str = Form(""),
    again: str = Form(""),
    domains: str = Form(""),
) -> Typed:
    given = (kind, price, amount, periods, until, lapsed, again, domains)
    return Typed(*(plain(one.strip(), 500) for one in given))


def router(
    billing: Billing, pages: Pages, access: StaffAccess, forms: BillingFormTokens
) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(access.page))

    async def allowed(request: Request, agency: str, *roles: Role) -> Agency:
        return await enter(access, billing.database, request, agency, *roles)

    async def sold_by(agency: str) -> dict[UUID, Offer]:
        return {
            one.price_id: one
            for one in await billing.plans.offers(agency)
            if one.kind == "period" and not one.per_seat
        }

    async def page(request: Request, found: Agency, status: int = 200, **more: Any) -> Response:
        return pages.render(
            request,
            "staff_offers.html",
            status,
            agency=found,
            offers=await billing.offers.listing(found.id),
            sold=(await sold_by(found.id)).values(),
            now=billing.clock.now(),
            zone=found.zone,
            **{"typed": NOTHING, **more},
        )

    @routes.get("/staff/{agency}/offers")
    async def listing(request: Request, agency: str, notice: str = "") -> Response:
        return await page(request, await allowed(request, agency, *READERS), notice=notice)

    @routes.post("/staff/{agency}/offers")
    async def make(request: Request, agency: str, typed: Typed = Depends(_typed)) -> Response:
        found = await allowed(request, agency, Role.FINANCE)
        await forms.verify(request)
        await access.require_fresh(request)
        new = typed.read(found, await sold_by(agency), local_date(billing.clock.now(), found.zone))
        if isinstance(new, str):
            return await page(request, found, 422, wrong=new, typed=typed)
        try:
            await billing.offers.make(agency, new)
        except ConflictError:  # the price has changed meanwhile
            return await page(request, found, 409, wrong="price", typed=typed)
        return see_other(f"/staff/{agency}/offers?notice=made")

    @routes.post("/staff/{agency}/offers/end")
    async def end(
        request: Request, agency: str, offer: str = Form(""), confirmed: Confirmed = False
    ) -> Response:
        found = await allowed(request, agency, Role.FINANCE)
        await forms.verify(request)
        await access.require_fresh(request)
        id_ = uuid_of(offer)
        if not confirmed:
            return await page(request, found, asked=f"{request.url.path}#{id_}")
        try:
            await billing.offers.end(agency, id_)
        except ConflictError:
            return await page(request, found, 409, wrong="ended")
        return see_other(f"/staff/{agency}/offers?notice=ended")

    return routes
