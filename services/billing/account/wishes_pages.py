"""What a reader does with a subscription on their account page: cancel, keep, pause, pay, give another card."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.readers.models import Reader
from services.billing.readers.web import ReaderFront, plain, see_other, uuid_of
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import LIVE, State
from shared.errors import ConflictError, InvalidInputError, UnavailableError
from shared.web.i18n import request_language
from shared.web.params import EARLIEST, LATEST

#: What a page says of a wish that could not be, by the reason.
NOTICES = {
    "already-subscribed": "another",
    "subscription-ended": "ended",
    "payment-processing": "processing",
    "order-not-open": "processing",
    "not-active": "not-active",
    "price-superseded": "superseded",
    "same-plan": "same-plan",
    "refund-under-way": "refunding",
    "seats-taken": "seats-taken",
    "seats-number": "seats-number",
}


def notice_of(error: ConflictError) -> str:
    return NOTICES.get(error.slug, "not-active")


def canceled_notice(row: Subscription) -> str:
    """What a page says of a cancellation: it is read on, or what was owed or paused is over at once."""
    return "canceled" if State(row.state) in LIVE else "over"


def day_of(text: str) -> date | None:
    """A day as browsers send it (2027-01-31) or as people write it (31/01/2027, 31-1-2027, 31.1.2027); None for what is none."""
    typed = text.strip().replace("-", "/").replace(".", "/")
    for pattern in ("%Y/%m/%d", "%d/%m/%Y"):
        try:
            day = datetime.strptime(typed, pattern).date()  # noqa: DTZ007 - a day of the agency's
        except ValueError:
            continue
        return day if EARLIEST <= day <= LATEST else None
    return None


async def collected(billing: Billing, reader: Reader, subscription_id: UUID) -> str | None:
    """Ask about the charge that is on its way for what is owed; the order's code, None where nothing is owed."""
    own = await billing.accounts.one(reader.agency, reader.id, subscription_id)
    if own.owed is None:
        return None
    charge = await billing.accounts.charging(own.owed.id)
    if charge is not None:
        await billing.charges.ask_now(charge)
    return own.owed.code


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    billing = front.billing

    def to_account(agency: str, notice: str) -> Response:
        return see_other(f"/r/{agency}/account?notice={notice}")

    @routes.post("/r/{agency}/account/cancel")
    async def cancel(request: Request, agency: str, subscription: str = Form("")) -> Response:
        acting = await front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        try:
            row = await billing.wishes.cancel(agency, acting[1].id, uuid_of(subscription))
        except ConflictError as error:
            return to_account(agency, notice_of(error))
        return to_account(agency, canceled_notice(row))

    @routes.post("/r/{agency}/account/resume")
    async def resume(request: Request, agency: str, subscription: str = Form("")) -> Response:
        """Renew after all; a pause that has begun ends, and its next period is collected at once."""
        acting = await front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        reader, id_ = acting[1], uuid_of(subscription)
        try:
            await billing.wishes.resume(agency, reader.id, id_)
        except ConflictError as error:
            return to_account(agency, notice_of(error))
        code = await collected(billing, reader, id_)
        return see_other(f"/r/{agency}/orders/{code}") if code else to_account(agency, "resumed")

    @routes.post("/r/{agency}/account/pause")
    async def pause(
        request: Request, agency: str, subscription: str = Form(""), until: str = Form("")
    ) -> Response:
        acting = await front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        id_, day = uuid_of(subscription), day_of(plain(until, 20))
        if day is None:
            return to_account(agency, "pause-day")
        try:
            await billing.wishes.pause(agency, acting[1].id, id_, day)
        except ConflictError as error:
            return to_account(agency, notice_of(error))
        except InvalidInputError:
            return to_account(agency, "pause-day")
        return to_account(agency, "paused")

    @routes.post("/r/{agency}/account/pay")
    async def pay(request: Request, agency: str, subscription: str = Form("")) -> Response:
        """The saved card is tried at once; the order's page shows how it went, and other ways to pay."""
        acting = await front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        reader, id_ = acting[1], uuid_of(subscription)
        try:
            await billing.wishes.pay_now(agency, reader.id, id_)
        except ConflictError as error:
            return to_account(agency, notice_of(error))
        code = await collected(billing, reader, id_)
        return see_other(f"/r/{agency}/orders/{code}") if code else to_account(agency, "not-owed")

    @routes.post("/r/{agency}/account/card")
    async def card(request: Request, agency: str, subscription: str = Form("")) -> Response:
        """To the provider's page, where another card is given."""
        acting = await front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        id_, language = uuid_of(subscription), request_language(request)
        try:
            return see_other(await billing.charges.card_page(acting[1], id_, language))
        except ConflictError as error:
            return to_account(agency, notice_of(error))
        except UnavailableError:
            return to_account(agency, "away")

    return routes
