"""``/r/{agency}/orders/{code}``: how to pay, until it is paid; then the receipt.

``/r/{agency}/renew/{subscription}``: where letters about a term's end lead, one press before such an order.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import segno
from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response

from services.billing.account import links
from services.billing.account.service import OwnSubscription
from services.billing.composition import Billing
from services.billing.coupons.service import CouponRefusedError
from services.billing.invoices.models import Invoice
from services.billing.orders.codes import is_code
from services.billing.orders.models import SalesOrder
from services.billing.orders.service import OrderView
from services.billing.plans.repository import Offer
from services.billing.plans.rules import BUNDLE, ONCE_BY_CARD
from services.billing.readers.models import Reader
from services.billing.readers.web import (
    Place,
    ReaderFront,
    plain,
    see_other,
    uuid_of,
    uuid_or_none,
)
from services.billing.transfers.models import BankAccount
from services.billing.transfers.vietqr import BANKS, vietqr
from shared.clock import local_date
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.web.i18n import request_language

#: Ways to pay.
TRANSFER, CARD = "transfer", "card"
#: Without script the page looks again by itself.
LOOK_AGAIN_SECONDS = 5
#: States of a charge of which it is not known whether it was paid.
UNDECIDED = ("created", "open", "processing")


class OrderPages:
    """An order's page, for the reader who ordered."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing
        self._cards = bool(front.billing.settings.stripe_secret_key)

    async def _back_to_link(self, request: Request, agency: str, code: str) -> Response | None:
        """Who comes back from the provider's page, where a letter's link led, is shown that link's page again."""
        found = links.held(self._front, request, agency)
        if found is None:
            return None
        token, link = found
        try:
            own = await self._billing.accounts.order(agency, link.reader_id, code)
        except NotFoundError:
            return None
        if own.subscription_id != link.subscription_id:
            return None
        paid = request.query_params.get("paid", "")
        return see_other(links.address(agency, token, paid=paid))

    async def known(
        self, request: Request, agency: str, code: str
    ) -> tuple[Place, Reader] | Response:
        """Who asks, or the way to sign in. Raises :class:`NotFoundError` for what is no code."""
        place = await self._front.enter(request, agency)
        reader = await self._front.reader(request, agency)
        if reader is None:
            back = await self._back_to_link(request, agency, code) if is_code(code) else None
            path = f"/r/{agency}/orders/{quote(code, safe='')}"
            return back or self._front.to_sign_in(agency, path)
        if not is_code(code):
            raise NotFoundError
        return place, reader[1]

    async def page_of(
        self,
        request: Request,
        place: Place,
        reader: Reader,
        code: str,
        status: int = 200,
        **more: str,
    ) -> Response:
        billing, view = self._billing, await self._billing.orders.view(reader, code)
        agency = place.agency
        accounts = await billing.transfers.accounts(agency.id)
        back = place.back(view.order.return_to)
        is_open = view.order.state == "open"
        page = self._front.render(
            request,
            "order.html",
            place,
            status,
            **{"refused": "", "coupon": "", "confirming": "", "away": "", "notice": "", **more},
            view=view,
            going=await billing.gifts.going(view.order),
            own=await _own(billing, reader, view),
            invoice=await _invoice(billing, view),
            plan_name=view.offer.name(request_language(request)),
            transfer=_transfer(view, accounts[0], billing.settings.bank_sandbox_url)
            if accounts and is_open and _by_transfer(view)
            else None,
            card=is_open and _by_card(view) and self._cards and not view.begun,
            bundle=await billing.bundles.of_order(view.order.id)
            if view.offer.kind == BUNDLE
            else None,
            collecting=view.collecting,
            failure=view.failure,
            gift_url=f"{self._front.base}/r/{agency.id}/gifts?code={view.gift.code}"
            if view.gift
            else "",
            back=back or agency.website or f"/r/{agency.id}/account",
            sent_back=bool(back),
            zone=agency.zone,
            look_again=LOOK_AGAIN_SECONDS,
        )
        page.headers["Cache-Control"] = "no-store"
        return page

    async def show(
        self, request: Request, agency: str, code: str, paid: str, notice: str
    ) -> Response:
        answer = await self.known(request, agency, code)
        if isinstance(answer, Response):
            return answer
        came_back, waits = uuid_or_none(paid), False
        if came_back is not None:
            reader_id = answer[1].id
            await self._billing.charges.look(came_back, reader_id)
            waits = await self._billing.accounts.page_state(came_back, reader_id) in UNDECIDED
        confirming = "1" if waits else ""
        return await self.page_of(request, *answer, code, confirming=confirming, notice=notice)

    async def by_card(self, request: Request, agency: str, code: str) -> Response:
        """To the provider's page, where this order is paid by card."""
        place = await self._front.enter(request, agency)
        await self._front.forms.verify(request)
        answer = await self.known(request, agency, code)
        if isinstance(answer, Response):
            return answer
        language = request_language(request)
        try:
            return see_other(await self._billing.charges.page(answer[1], code, language))
        except ConflictError:  # it was paid, closed, or is being collected
            return see_other(f"/r/{agency}/orders/{code}")
        except UnavailableError:
            return await self.page_of(request, place, answer[1], code, 503, away="1")

    async def discount(self, request: Request, agency: str, code: str, coupon: str) -> Response:
        place = await self._front.enter(request, agency)
        await self._front.forms.verify(request)
        answer = await self.known(request, agency, code)
        if isinstance(answer, Response):
            return answer
        reader, typed = answer[1], plain(coupon, 40)
        try:
            order = await self._billing.orders.discount(reader, code, typed)
        except ConflictError:  # it was closed, begun to be paid or given a coupon in another window
            return see_other(f"/r/{agency}/orders/{code}")
        except CouponRefusedError as error:
            return await self.page_of(
                request, place, reader, code, 422, refused=error.reason, coupon=typed
            )
        return see_other(f"/r/{agency}/orders/{order.code}")

    async def state(self, request: Request, agency: str, code: str) -> Response:
        """What the page's script asks for again and again: whether there is something new to show."""
        answer = await self.known(request, agency, code)
        if isinstance(answer, Response):
            return answer
        now, received_vnd, collecting = await self._billing.orders.state(answer[1], code)
        return JSONResponse(
            {"state": now, "received_vnd": received_vnd, "collecting": collecting},
            headers={"Cache-Control": "no-store"},
        )

    async def renew(self, request: Request, agency: str, subscription: str) -> Response:
        """Another period of a term. An address alone orders nothing; an order that is open for it is shown at once."""
        billing, place = self._billing, await self._front.enter(request, agency)
        found, id_ = await self._front.reader(request, agency), uuid_of(subscription)
        if found is None:
            return self._front.to_sign_in(agency, f"/r/{agency}/renew/{id_}")
        row = await billing.subscriptions.term(found[1], id_)
        offer = await billing.plans.successor(agency, row.price_id)
        if offer is None or not await billing.transfers.accounts(agency):
            return see_other(f"/r/{agency}/plans")
        order = await billing.orders.open_of_reader(found[1])
        if order is not None and _renews_term(order, offer):
            return see_other(f"/r/{agency}/orders/{order.code}")
        seats = max(row.seats, offer.seats)
        return self._front.render(
            request,
            "renew.html",
            place,
            offer=offer,
            priced=await billing.offers.priced(found[1].id, offer, seats),
            seats=seats,
            name=offer.name(request_language(request)),
            runs=row.period_end > billing.clock.now(),
            ends_on=local_date(row.period_end, place.agency.zone),
        )


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = OrderPages(front)

    @routes.get("/r/{agency}/orders/{code}")
    async def show(
        request: Request, agency: str, code: str, paid: str = "", notice: str = ""
    ) -> Response:
        return await pages.show(request, agency, code, paid, notice)

    @routes.post("/r/{agency}/orders/{code}/card")
    async def by_card(request: Request, agency: str, code: str) -> Response:
        return await pages.by_card(request, agency, code)

    @routes.post("/r/{agency}/orders/{code}/coupon")
    async def discount(
        request: Request, agency: str, code: str, coupon: str = Form("")
    ) -> Response:
        return await pages.discount(request, agency, code, coupon)

    @routes.get("/r/{agency}/orders/{code}/state")
    async def state(request: Request, agency: str, code: str) -> Response:
        return await pages.state(request, agency, code)

    @routes.get("/r/{agency}/renew/{subscription}")
    async def renew(request: Request, agency: str, subscription: str) -> Response:
        return await pages.renew(request, agency, subscription)

    return routes


def _renews_term(order: SalesOrder, offer: Offer) -> bool:
    """Whether an order is for the next period of its reader's own term: no gift, and nothing that a card renews from then on."""
    return order.price_id == offer.price_id and not (order.gift or order.renews)


def _by_transfer(view: OrderView) -> bool:
    """What begins to renew is paid by the card that renews it; what is owed, and another plan, is paid in any way."""
    return not view.order.renews or view.order.purpose != "sale"


def _by_card(view: OrderView) -> bool:
    """What renews, another plan, and what is paid once by any way; of nothing that is paid once no card is asked for."""
    once = view.offer.kind in ONCE_BY_CARD and view.order.amount_vnd > 0
    return view.order.renews or view.order.purpose == "change" or (once and not view.order.gift)


async def ways_to_pay(billing: Billing, agency_id: str) -> list[str]:
    """How an agency's readers may pay, the usual way first."""
    by_transfer = bool(await billing.transfers.accounts(agency_id))
    by_card = bool(billing.settings.stripe_secret_key)
    return [TRANSFER] * by_transfer + [CARD] * by_card


async def _own(billing: Billing, reader: Reader, view: OrderView) -> OwnSubscription | None:
    """The subscription that an order is of: paid by it, or to be."""
    id_ = view.payment.subscription_id if view.payment else view.order.subscription_id
    if id_ is None or view.order.gift:
        return None
    return await billing.accounts.one(reader.agency, reader.id, id_)


async def _invoice(billing: Billing, view: OrderView) -> Invoice | None:
    """The invoice of a paid order."""
    if view.payment is None:
        return None
    found = await billing.invoices.of_payments([view.payment.id])
    return found.get(view.payment.id)


def _transfer(view: OrderView, account: BankAccount, sandbox_url: str) -> dict[str, Any]:
    """What is to be transferred: what is still missing of the order, by QR or by hand."""
    payload = vietqr(
        account.bank_bin, account.number, amount_vnd=view.missing_vnd, note=view.order.code
    )
    return {
        "account": account,
        "bank": BANKS.get(account.bank_bin, account.bank_bin),
        "picture": segno.make(payload, error="m").svg_data_uri(
            scale=6, border=3, dark="#111", light="#fff"
        ),
        "demo": f"{sandbox_url}/transfer?qr={quote(payload, safe='')}" if sandbox_url else "",
    }
