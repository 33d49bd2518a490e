"""The reader's pages around paying: plans, the way to the payment page, the receipt, the account."""

from __future__ import annotations

from hmac import compare_digest
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.readers.devices import device_name
from services.billing.readers.models import Reader, ReaderSession
from services.billing.readers.service import CONSENTS
from services.billing.readers.web import (
    Place,
    ReaderFront,
    see_other,
    with_return,
)
from services.billing.subscriptions.rules import LIVE, State
from shared.clock import local_date
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.web.address import header_address
from shared.web.i18n import request_language
from shared.web.params import PlainText

BACK_SECONDS = 20  # time to read the receipt
#: Ways to pay.
TRANSFER, CARD = "transfer", "card"


class ReaderPages:
    """What a signed-in reader sees; whoever is not signed in is sent there and comes back."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def plans(
        self, request: Request, agency_id: str, return_to: str, canceled: str
    ) -> Response:
        place = await self._front.enter(request, agency_id)
        return await self._plans_page(request, place, return_to, canceled=bool(canceled))

    async def _plans_page(
        self,
        request: Request,
        place: Place,
        return_to: str,
        status: int = 200,
        *,
        canceled: bool = False,
        problem: str = "",
    ) -> Response:
        agency_id = place.agency.id
        found = await self._front.reader(request, agency_id)
        reader = found[1] if found else None
        subscriptions = self._billing.subscriptions
        current = await subscriptions.live_of_reader(reader.id) if reader else None
        term_until = await subscriptions.term_until(reader.id) if reader else None
        language = request_language(request)
        offers = await self._billing.plans.offers(agency_id)
        own = await self._billing.plans.offer(agency_id, current.price_id) if current else None
        back = place.back(return_to)
        return self._front.render(
            request,
            "plans.html",
            place,
            status,
            reader=reader,
            current=current,
            term_until=term_until,
            # Beside a term that runs a card would pay for the same days again.
            ways=[way for way in await self._ways(agency_id) if way != CARD or term_until is None],
            zone=place.agency.zone,
            canceled=canceled,
            problem=problem,
            return_to=back,
            returning=with_return(back),
            offers=[
                {
                    "id": str(offer.price_id),
                    "name": offer.name(language),
                    "description": offer.description(language),
                    "period": offer.period,
                    "amount": offer.amount_vnd,
                    # By plan and period: the price may have changed since it was bought.
                    "own": own is not None
                    and (offer.plan_id, offer.period) == (own.plan_id, own.period),
                }
                for offer in offers
            ],
        )

    async def _ways(self, agency_id: str) -> list[str]:
        """How an agency's readers may pay, the usual way first."""
        by_transfer = bool(await self._billing.transfers.accounts(agency_id))
        by_card = bool(self._billing.settings.stripe_secret_key)
        return [TRANSFER] * by_transfer + [CARD] * by_card

    async def checkout(
        self, request: Request, agency_id: str, price: str, way: str, return_to: str
    ) -> Response:
        """A plan and a way to pay were chosen: to the payment page, by way of signing in where that is needed."""
        place = await self._front.enter(request, agency_id)
        await self._front.forms.verify(request)
        found = await self._front.reader(request, agency_id)
        if found is None:
            choice = {
                "price": price[:50],
                "way": way,
                "choice": self._front.forms.choice(request, agency_id, price[:50]),
                "return_to": place.back(return_to),
            }
            return self._front.to_sign_in(agency_id, f"/r/{agency_id}/checkout?{urlencode(choice)}")
        return await self._start(request, place, found[1], price, way, return_to)

    async def chosen(
        self,
        request: Request,
        agency_id: str,
        price: str,
        way: str,
        choice: str,
        return_to: str,
    ) -> Response:
        """Back from signing in: straight to the payment of the plan that this browser chose before.

        An address alone starts nothing: ``choice`` proves that the plan was chosen here.
        """
        place = await self._front.enter(request, agency_id)
        found = await self._front.reader(request, agency_id)
        proof = self._front.forms.choice(request, agency_id, price)
        if found is None or not compare_digest(choice.encode(), proof.encode()):
            return see_other(f"/r/{agency_id}/plans?{with_return(place.back(return_to))}")
        return await self._start(request, place, found[1], price, way, return_to)

    async def _start(
        self,
        request: Request,
        place: Place,
        reader: Reader,
        price: str,
        way: str,
        return_to: str,
    ) -> Response:
        back = place.back(return_to)
        if way not in (ways := await self._ways(place.agency.id)):
            way = ways[0] if ways else CARD
        try:
            price_id = UUID(price)
        except ValueError:
            raise NotFoundError from None
        language = request_language(request)
        try:
            if way == TRANSFER:
                url = await self._order(reader, price_id, back, language)
            else:
                url = await self._billing.checkouts.start(reader, price_id, back, language)
        except ConflictError as error:
            if error.slug == "already-subscribed":
                account = f"/r/{place.agency.id}/account?notice=subscribed"
                return see_other(f"{account}&{with_return(back)}" if back else account)
            problem = "This price has just changed. Please choose again."
            return await self._plans_page(request, place, return_to, 409, problem=problem)
        except UnavailableError:
            problem = "The payment page cannot be reached right now. Nothing was charged; please try again."
            answer = await self._plans_page(request, place, return_to, 503, problem=problem)
            answer.headers["Retry-After"] = "5"
            return answer
        return see_other(url)

    async def _order(self, reader: Reader, price_id: UUID, back: str, language: str) -> str:
        await self._billing.checkouts.leave(reader)
        order = await self._billing.orders.start(reader, price_id, back, language)
        return f"/r/{reader.agency}/orders/{order.code}"

    async def done(self, request: Request, agency_id: str, session_id: str) -> Response:
        place = await self._front.enter(request, agency_id)
        agency = place.agency
        found = await self._front.reader(request, agency_id)
        if found is None:
            return self._front.to_sign_in(
                agency_id, f"/r/{agency_id}/checkout/done?session_id={quote(session_id, safe='')}"
            )
        receipt = await self._billing.checkouts.receipt(found[1], session_id)
        back = place.back(receipt.checkout.return_to)
        subscription = await self._billing.subscriptions.live_of_reader(found[1].id)
        paid = [receipt.payment.id] if receipt.payment else []
        invoices = await self._billing.invoices.of_payments(paid)
        answer = self._front.render(
            request,
            "receipt.html",
            place,
            reader=found[1],
            receipt=receipt,
            invoice=next(iter(invoices.values()), None),
            subscription=subscription,
            plan_name=receipt.offer.name(request_language(request)),
            back=back or agency.website or f"/r/{agency_id}/account",
            sent_back=bool(back),
            zone=agency.zone,
        )
        if receipt.payment is None:
            answer.headers["Refresh"] = "3"  # confirmed in a moment: look again
        elif back:
            answer.headers["Refresh"] = f"{BACK_SECONDS}; url={header_address(back)}"
        return answer

    async def account(
        self, request: Request, agency_id: str, return_to: str, notice: str
    ) -> Response:
        place = await self._front.enter(request, agency_id)
        agency, back = place.agency, place.back(return_to)
        found = await self._front.reader(request, agency_id)
        if found is None:
            return self._front.to_sign_in(agency_id, f"/r/{agency_id}/account?{with_return(back)}")
        session_row, reader = found
        language = request_language(request)
        subscriptions = []
        for row in await self._billing.subscriptions.of_reader(reader.id):
            offer = await self._billing.plans.offer(agency_id, row.price_id)
            subscriptions.append(
                {
                    "row": row,
                    "name": offer.name(language),
                    "period": offer.period,
                    "amount": offer.amount_vnd,
                    "live": State(row.state) in LIVE,
                    "price": str(row.price_id) if offer.current else "",
                    "ends_on": local_date(row.period_end, agency.zone),
                }
            )
        payments = await self._billing.payments.of_reader(reader.id)
        sessions = await self._billing.readers.sessions(reader)
        latest = await self._billing.readers.consents(reader)
        return self._front.render(
            request,
            "account.html",
            place,
            reader=reader,
            subscriptions=subscriptions,
            order=await self._billing.orders.open_of_reader(reader),
            payments=payments,
            invoices=await self._billing.invoices.of_payments([one.id for one in payments]),
            sessions=[
                {
                    "row": row,
                    "device": device_name(row.user_agent),
                    "own": row.id == session_row.id,
                }
                for row in sessions
            ],
            consents=[
                {
                    "purpose": purpose,
                    "wording": wording,
                    "granted": purpose in latest and latest[purpose].granted,
                }
                for purpose, (_, wording) in CONSENTS.items()
            ],
            notice=notice,
            back=back or agency.website,
            returning=with_return(back),
            zone=agency.zone,
        )

    async def set_cancel(
        self, request: Request, agency_id: str, subscription: str, *, cancel: bool
    ) -> Response:
        reader = await self._acting(request, agency_id)
        if isinstance(reader, Response):
            return reader
        try:
            subscription_id = UUID(subscription)
        except ValueError:
            raise NotFoundError from None
        try:
            await self._billing.subscriptions.set_cancel_at_period_end(
                agency_id, reader[1].id, subscription_id, cancel=cancel
            )
        except ConflictError as error:
            notice = "another" if error.slug == "already-subscribed" else "ended"
            return see_other(f"/r/{agency_id}/account?notice={notice}")
        return see_other(f"/r/{agency_id}/account?notice={'canceled' if cancel else 'resumed'}")

    async def end_session(self, request: Request, agency_id: str, session: str) -> Response:
        acting = await self._acting(request, agency_id)
        if isinstance(acting, Response):
            return acting
        own, reader = acting
        wanted = session or str(own.id)
        rows = {str(row.id): row for row in await self._billing.readers.sessions(reader)}
        if wanted not in rows:
            raise NotFoundError
        await self._billing.readers.end_session(reader, rows[wanted])
        if wanted != str(own.id):
            return see_other(f"/r/{agency_id}/account?notice=session")
        answer = see_other(f"/r/{agency_id}/sign-in?notice=signed-out")
        self._front.forms.end_session(answer, agency_id)
        # Not "cookies": browsers take that as the whole site's, the newspaper's and staff's with it (W3C Clear Site Data).
        answer.headers["Clear-Site-Data"] = '"cache", "storage"'
        return answer

    async def set_consents(self, request: Request, agency_id: str, granted: list[str]) -> Response:
        acting = await self._acting(request, agency_id)
        if isinstance(acting, Response):
            return acting
        await self._billing.readers.change_consents(
            acting[1], frozenset(granted), self._front.visitor(request)
        )
        return see_other(f"/r/{agency_id}/account?notice=consents")

    async def _acting(
        self, request: Request, agency_id: str
    ) -> tuple[ReaderSession, Reader] | Response:
        """The reader behind a form of the account page, or the way to sign in."""
        await self._front.enter(request, agency_id)
        await self._front.forms.verify(request)
        found = await self._front.reader(request, agency_id)
        return found or self._front.to_sign_in(agency_id, f"/r/{agency_id}/account")


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    reader_pages = ReaderPages(front)

    @routes.get("/r/{agency}/plans")
    async def plans(
        request: Request, agency: str, return_to: str = "", canceled: str = ""
    ) -> Response:
        return await reader_pages.plans(request, agency, return_to, canceled)

    @routes.post("/r/{agency}/checkout")
    async def checkout(
        request: Request,
        agency: str,
        price: str = Form(""),
        way: str = Form(""),
        return_to: str = Form(""),
    ) -> Response:
        return await reader_pages.checkout(request, agency, price, way[:20], return_to)

    @routes.get("/r/{agency}/checkout")
    async def chosen(
        request: Request,
        agency: str,
        price: str = "",
        way: str = "",
        choice: str = "",
        return_to: str = "",
    ) -> Response:
        return await reader_pages.chosen(request, agency, price, way, choice, return_to)

    @routes.get("/r/{agency}/checkout/done")
    async def done(request: Request, agency: str, session_id: PlainText = "") -> Response:
        return await reader_pages.done(request, agency, session_id)

    @routes.get("/r/{agency}/account")
    async def account(
        request: Request, agency: str, return_to: str = "", notice: str = ""
    ) -> Response:
        return await reader_pages.account(request, agency, return_to, notice)

    @routes.post("/r/{agency}/account/cancel")
    async def cancel(request: Request, agency: str, subscription: str = Form("")) -> Response:
        return await reader_pages.set_cancel(request, agency, subscription, cancel=True)

    @routes.post("/r/{agency}/account/resume")
    async def resume(request: Request, agency: str, subscription: str = Form("")) -> Response:
        return await reader_pages.set_cancel(request, agency, subscription, cancel=False)

    @routes.post("/r/{agency}/account/sessions/end")
    async def end_session(request: Request, agency: str, session: str = Form("")) -> Response:
        return await reader_pages.end_session(request, agency, session)

    @routes.post("/r/{agency}/account/consents")
    async def consents(request: Request, agency: str, consent: list[str] = Form([])) -> Response:
        return await reader_pages.set_consents(request, agency, consent)

    return routes
