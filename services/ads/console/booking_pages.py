"""The availability calendar and the booking form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from services.ads.access import EVERYONE, AgencyPath
from services.ads.availability import service as availability
from services.ads.bookings import service as bookings
from services.ads.bookings.rules import Action
from services.ads.bookings.service import LineSpec, Step
from services.ads.catalogue import service as catalogue
from services.ads.console import views
from services.ads.console.shell import Shell, text_of
from shared.agencies import Agency
from shared.auth import Role
from shared.errors import ConflictError, InvalidInputError, NotFoundError, ProblemError

CALENDAR_DAYS = 14
DEFAULT_UNITS = "10000"


@dataclass(frozen=True, slots=True)
class BookingForm:
    """What was typed, as it was typed."""

    product: str
    starts_on: date
    ends_on: date
    units: str
    advertiser: str = ""
    name: str = ""
    pacing: str = "even"

    def spec(self) -> LineSpec:
        return LineSpec(
            self.product,
            self.starts_on,
            self.ends_on,
            views.whole_number(self.units),
            self.name[:200],
            self.pacing,
        )


async def calendar(shell: Shell, request: Request, agency: Agency) -> Response:
    """Days downwards, products across; a click on a day starts a booking."""
    async with shell.desk.database.read() as session:
        today = await availability.agency_today(session, agency)
        first = max(views.a_date(request.query_params.get("from", ""), today), today)
        products = await catalogue.list_products(session, agency.id)
        fits = await availability.calendar(
            session, agency, {p.code: p.placement_ids for p in products}, first, CALENDAR_DAYS
        )
    step = timedelta(days=CALENDAR_DAYS)
    return shell.render(
        request,
        "calendar.html",
        section="calendar",
        agency=agency,
        products=products,
        rows=views.calendar_rows(first, fits),
        today=today,
        before=max(today, first - step) if first > today else None,
        after=first + step,
        last=first + step - timedelta(days=1),
    )


def add_routes(routes: APIRouter, shell: Shell) -> None:
    @routes.get("/console/{agency}/book")
    async def form(request: Request, agency: AgencyPath) -> Response:
        _, known = await shell.enter(request, agency, Role.SELLER, Role.APPROVER)
        filled = _from(request.query_params, await _today(shell, known))
        return await _show(shell, request, known, filled)

    @routes.get("/console/{agency}/book/quote")
    async def quote(request: Request, agency: AgencyPath) -> Response:
        """The live answer beside the form: what is free, what it costs, who stands in the way."""
        _, known = await shell.enter(request, agency, *EVERYONE)
        filled = _from(request.query_params, await _today(shell, known))
        return shell.render(
            request, "_quote.html", agency=known, **await _quoted(shell, known, filled)
        )

    @routes.post("/console/{agency}/book")
    async def book(request: Request, agency: AgencyPath) -> Response:
        staff, known = await shell.enter(request, agency, Role.SELLER, Role.APPROVER)
        form = await shell.form(request)
        values = {key: text_of(form, key) for key in form}
        await form.close()
        filled = _from(values, await _today(shell, known))
        action = Action.BOOK if values.get("action") == "book" else Action.RESERVE
        hold = timedelta(minutes=shell.desk.settings.ads_hold_minutes)
        try:
            async with shell.desk.database.transaction() as session:
                buyer = await catalogue.add_advertiser(session, agency, filled.advertiser)
                _, lines = await bookings.create_order(
                    session,
                    known,
                    advertiser_id=buyer,
                    name="",
                    specs=[filled.spec()],
                    actor=staff.email,
                )
                await bookings.act(session, known, lines[0], Step(action, staff.email, hold))
        except (InvalidInputError, ConflictError) as error:
            return await _show(shell, request, known, filled, error)
        return RedirectResponse(f"/console/{agency}/lines/{lines[0]}", 303)


async def _today(shell: Shell, agency: Agency) -> date:
    async with shell.desk.database.read() as session:
        return await availability.agency_today(session, agency)


def _from(values: Any, today: date) -> BookingForm:
    first = views.a_date(values.get("starts_on", ""), today + timedelta(days=1))
    return BookingForm(
        product=values.get("product", "")[:60],
        starts_on=first,
        ends_on=views.a_date(values.get("ends_on", ""), first + timedelta(days=13)),
        units=values.get("units", DEFAULT_UNITS)[:20],
        advertiser=" ".join(values.get("advertiser", "").split())[:200],
        name=" ".join(values.get("name", "").split())[:200],
        pacing="asap" if values.get("pacing") == "asap" else "even",
    )


async def _quoted(shell: Shell, agency: Agency, form: BookingForm) -> dict[str, Any]:
    try:
        async with shell.desk.database.read() as session:
            offer = await bookings.quote(session, agency, form.spec())
    except (InvalidInputError, NotFoundError) as error:
        return {"offer": None, "problems": views.problem_lines(error)}
    return {
        "offer": offer,
        "problems": [],
        "units": views.whole_number(form.units),
        "refusal": bookings.refusal(offer.avails, views.whole_number(form.units)),
    }


async def _show(
    shell: Shell,
    request: Request,
    agency: Agency,
    form: BookingForm,
    error: ProblemError | None = None,
) -> Response:
    async with shell.desk.database.read() as session:
        products = await catalogue.list_products(session, agency.id)
        brands = await catalogue.list_advertisers(session, agency.id)
    if not form.product and products:
        form = BookingForm(products[0].code, form.starts_on, form.ends_on, form.units)
    return shell.render(
        request,
        "book.html",
        200 if error is None else error.status,
        section="book",
        agency=agency,
        form=form,
        products=products,
        brands=brands,
        error=error,
        field_errors=views.problem_lines(error) if error else [],
        hold_minutes=shell.desk.settings.ads_hold_minutes,
        **await _quoted(shell, agency, form),
    )
