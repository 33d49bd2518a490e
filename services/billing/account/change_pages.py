"""``/r/{agency}/account/change``: another plan, shown to the đồng before it is confirmed."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.account.wishes_pages import notice_of
from services.billing.orders.pages import TRANSFER
from services.billing.readers.models import Reader
from services.billing.readers.web import Place, ReaderFront, plain, see_other, uuid_of
from services.billing.seats.rules import parse_seats
from shared.errors import ConflictError
from shared.web.i18n import request_language


class ChangePages:
    """Preview, confirmation, and staying with the plan after all."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def preview(
        self,
        request: Request,
        place: Place,
        reader: Reader,
        chosen: tuple[str, str, str],
        *,
        changed: bool = False,
    ) -> Response:
        """``chosen``: the subscription, the price and the seats, as the address or the form says."""
        agency, id_, price_id = place.agency, uuid_of(chosen[0]), uuid_of(chosen[1])
        try:
            seats = parse_seats(chosen[2])
            found = await self._billing.changes.preview(reader, id_, price_id, seats)
        except ConflictError as error:
            return see_other(f"/r/{agency.id}/account?notice={notice_of(error)}")
        return self._front.render(
            request,
            "change.html",
            place,
            409 if changed else 200,
            preview=found,
            own=await self._billing.accounts.one(agency.id, reader.id, id_),
            transfer=bool(await self._billing.transfers.accounts(agency.id)),
            name=lambda offer: offer.name(request_language(request)),
            now=self._billing.clock.now(),
            changed=changed,
            zone=agency.zone,
        )

    async def confirm(
        self, request: Request, agency: str, chosen: tuple[str, str, str], amount: str, way: str
    ) -> Response:
        """Changed as shown; where something is to be paid the order's page shows how, or how it went by the card (``way``: it is to be
        paid by ``transfer``)."""
        acting = await self._front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        place, reader = await self._front.enter(request, agency), acting[1]
        id_, price_id = uuid_of(chosen[0]), uuid_of(chosen[1])
        shown_vnd = (
            int(amount) if amount.isascii() and amount.isdigit() and len(amount) < 16 else -1
        )
        try:
            done = await self._billing.changes.confirm(
                reader,
                id_,
                price_id,
                shown_vnd,
                request_language(request),
                parse_seats(chosen[2]),
                by_card=way != TRANSFER,
            )
        except ConflictError as error:
            if error.slug == "price-changed":
                return await self.preview(request, place, reader, chosen, changed=True)
            return see_other(f"/r/{agency}/account?notice={notice_of(error)}")
        if done.order is None:
            return see_other(f"/r/{agency}/account?notice=change-comes")
        if done.charge_id is not None:
            await self._billing.charges.ask_now(done.charge_id)
        return see_other(f"/r/{agency}/orders/{done.order.code}")


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = ChangePages(front)

    @routes.get("/r/{agency}/account/change")
    async def preview(
        request: Request, agency: str, subscription: str = "", price: str = "", seats: str = ""
    ) -> Response:
        place = await front.enter(request, agency)
        chosen = (str(uuid_of(subscription)), str(uuid_of(price)), plain(seats, 5))
        found = await front.reader(request, agency)
        if found is None:
            query = urlencode({"subscription": chosen[0], "price": chosen[1], "seats": chosen[2]})
            return front.to_sign_in(agency, f"/r/{agency}/account/change?{query}")
        return await pages.preview(request, place, found[1], chosen)

    @routes.post("/r/{agency}/account/change")
    async def confirm(
        request: Request,
        agency: str,
        subscription: str = Form(""),
        price: str = Form(""),
        seats: str = Form(""),
        amount: str = Form(""),
        way: str = Form(""),
    ) -> Response:
        chosen = (subscription, price, plain(seats, 5))
        return await pages.confirm(request, agency, chosen, amount, way)

    @routes.post("/r/{agency}/account/keep")
    async def keep(request: Request, agency: str, subscription: str = Form("")) -> Response:
        """A change that was to come with the next period does not come."""
        acting = await front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        await front.billing.changes.keep(acting[1], uuid_of(subscription))
        return see_other(f"/r/{agency}/account?notice=kept")

    return routes
