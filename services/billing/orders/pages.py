"""``/r/{agency}/orders/{code}``: how to pay, until it is paid; then the receipt.

``/r/{agency}/renew/{subscription}``: where letters about a term's end lead, one press before such an order.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import segno
from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response

from services.billing.composition import Billing
from services.billing.coupons.service import CouponRefusedError
from services.billing.invoices.models import Invoice
from services.billing.orders.codes import is_code
from services.billing.orders.service import OrderView
from services.billing.readers.models import Reader
from services.billing.readers.web import Place, ReaderFront, plain, see_other
from services.billing.transfers.models import BankAccount
from services.billing.transfers.vietqr import BANKS, vietqr
from shared.clock import local_date
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.web.i18n import request_language

#: Without script the page looks again by itself.
LOOK_AGAIN_SECONDS = 5
#: How soon a page that a reader comes back to looks again, while their payment is not confirmed.
CONFIRMED_SECONDS = 3


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    billing = front.billing

    cards = bool(billing.settings.stripe_secret_key)

    def by_transfer(view: OrderView) -> bool:
        """What begins to renew is paid by the card that renews it; what is owed is paid in any way."""
        return not view.order.renews or view.order.purpose == "renewal"

    async def known(request: Request, agency: str, code: str) -> tuple[Place, Reader] | Response:
        place = await front.enter(request, agency)
        reader = await front.reader(request, agency)
        if reader is None:
            return front.to_sign_in(agency, f"/r/{agency}/orders/{quote(code, safe='')}")
        if not is_code(code):
            raise NotFoundError
        return place, reader[1]

    async def page_of(
        request: Request,
        place: Place,
        reader: Reader,
        code: str,
        status: int = 200,
        **more: str,
    ) -> Response:
        agency, view = place.agency.id, await billing.orders.view(reader, code)
        accounts = await billing.transfers.accounts(agency)
        back = place.back(view.order.return_to)
        page = front.render(
            request,
            "order.html",
            place,
            status,
            **{"refused": "", "coupon": "", "confirming": "", "away": "", **more},
            view=view,
            invoice=await _invoice(billing, view),
            plan_name=view.offer.name(request_language(request)),
            transfer=_transfer(view, accounts[0], billing.settings.bank_sandbox_url)
            if accounts and view.order.state == "open" and by_transfer(view)
            else None,
            card=view.order.state == "open" and view.order.renews and cards,
            collecting=view.collecting,
            failure=view.failure,
            gift_url=f"{front.base}/r/{agency}/gifts?code={view.gift.code}" if view.gift else "",
            back=back or place.agency.website or f"/r/{agency}/account",
            sent_back=bool(back),
            zone=place.agency.zone,
            look_again=LOOK_AGAIN_SECONDS,
        )
        page.headers["Cache-Control"] = "no-store"
        return page

    @routes.get("/r/{agency}/orders/{code}")
    async def show(request: Request, agency: str, code: str, paid: str = "") -> Response:
        answer = await known(request, agency, code)
        if isinstance(answer, Response):
            return answer
        came_back = uuid_or_none(paid)
        if came_back is not None:
            await billing.charges.look(came_back, answer[1].id)
        page = await page_of(request, *answer, code, confirming="1" if came_back else "")
        if came_back is not None and (await billing.orders.state(answer[1], code))[0] == "open":
            page.headers["Refresh"] = str(CONFIRMED_SECONDS)  # confirmed in a moment: look again
        return page

    @routes.post("/r/{agency}/orders/{code}/card")
    async def by_card(request: Request, agency: str, code: str) -> Response:
        """To the provider's page, where this order is paid by card."""
        place = await front.enter(request, agency)
        await front.forms.verify(request)
        answer = await known(request, agency, code)
        if isinstance(answer, Response):
            return answer
        language = request_language(request)
        try:
            return see_other(await billing.charges.page(answer[1], code, language))
        except ConflictError:  # it was paid, closed, or is being collected
            return see_other(f"/r/{agency}/orders/{code}")
        except UnavailableError:
            return await page_of(request, place, answer[1], code, 503, away="1")

    @routes.post("/r/{agency}/orders/{code}/coupon")
    async def discount(
        request: Request, agency: str, code: str, coupon: str = Form("")
    ) -> Response:
        place = await front.enter(request, agency)
        await front.forms.verify(request)
        answer = await known(request, agency, code)
        if isinstance(answer, Response):
            return answer
        reader, typed = answer[1], plain(coupon, 40)
        try:
            order = await billing.orders.discount(reader, code, typed)
        except ConflictError:  # it was closed, begun to be paid or given a coupon in another window
            return see_other(f"/r/{agency}/orders/{code}")
        except CouponRefusedError as error:
            return await page_of(
                request, place, reader, code, 422, refused=error.reason, coupon=typed
            )
        return see_other(f"/r/{agency}/orders/{order.code}")

    @routes.get("/r/{agency}/orders/{code}/state")
    async def state(request: Request, agency: str, code: str) -> Response:
        """What the page's script asks for again and again: whether there is something new to show."""
        answer = await known(request, agency, code)
        if isinstance(answer, Response):
            return answer
        now, received_vnd = await billing.orders.state(answer[1], code)
        return JSONResponse(
            {"state": now, "received_vnd": received_vnd},
            headers={"Cache-Control": "no-store"},
        )

    @routes.get("/r/{agency}/renew/{subscription}")
    async def renew(request: Request, agency: str, subscription: str) -> Response:
        """Another period of a term. An address alone orders nothing; an order that is open for it is shown at once."""
        place = await front.enter(request, agency)
        found = await front.reader(request, agency)
        try:
            id_ = UUID(subscription)
        except ValueError:
            raise NotFoundError from None
        if found is None:
            return front.to_sign_in(agency, f"/r/{agency}/renew/{id_}")
        row = await billing.subscriptions.term(found[1], id_)
        offer = await billing.plans.successor(agency, row.price_id)
        if offer is None or not await billing.transfers.accounts(agency):
            return see_other(f"/r/{agency}/plans")
        order = await billing.orders.open_of_reader(found[1])
        if order is not None and order.price_id == offer.price_id:
            return see_other(f"/r/{agency}/orders/{order.code}")
        return front.render(
            request,
            "renew.html",
            place,
            offer=offer,
            name=offer.name(request_language(request)),
            runs=row.period_end > billing.clock.now(),
            ends_on=local_date(row.period_end, place.agency.zone),
        )

    return routes


def uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


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
