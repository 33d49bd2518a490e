"""The reader's pages around paying: plans, the way to the payment page, the receipt, the account."""

from __future__ import annotations

from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.readers import rules as reader_rules
from services.billing.readers.models import Reader, ReaderSession
from services.billing.readers.service import CONSENTS
from services.billing.readers.web import (
    BillingFormTokens,
    return_address,
    see_other,
    session_cookie,
    visitor,
)
from services.billing.subscriptions.rules import LIVE, State
from shared.agencies import Agency, get_agency
from shared.clock import local_date
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.web import Pages
from shared.web.address import header_address
from shared.web.i18n import request_language

BACK_SECONDS = 20  # time to read the receipt


class ReaderPages:
    """What a signed-in reader sees; whoever is not signed in is sent there and comes back."""

    def __init__(self, billing: Billing, pages: Pages, forms: BillingFormTokens) -> None:
        self._billing = billing
        self._pages = pages
        self._forms = forms

    async def _agency(self, agency: str) -> Agency:
        async with self._billing.database.read() as session:
            return await get_agency(session, agency)

    async def _reader(self, request: Request, agency: str) -> tuple[ReaderSession, Reader] | None:
        cookie = request.cookies.get(session_cookie(agency), "")
        return await self._billing.readers.current(agency, cookie)

    def _to_sign_in(self, agency: str, back: str) -> Response:
        target = f"{self._billing.settings.billing_url.rstrip('/')}{back}"
        return see_other(f"/r/{agency}/sign-in?return_to={quote(target, safe='')}")

    async def plans(
        self, request: Request, agency_id: str, return_to: str, canceled: str, problem: str = ""
    ) -> Response:
        agency = await self._agency(agency_id)
        found = await self._reader(request, agency_id)
        reader = found[1] if found else None
        current = await self._billing.subscriptions.live_of_reader(reader.id) if reader else None
        language = request_language(request)
        offers = await self._billing.plans.offers(agency_id)
        return self._pages.render(
            request,
            "plans.html",
            409 if problem else 200,
            agency=agency,
            reader=reader,
            current=current,
            canceled=bool(canceled),
            problem=problem,
            return_to=return_address(self._billing.settings, agency, return_to),
            offers=[
                {
                    "id": str(offer.price_id),
                    "name": offer.name(language),
                    "description": offer.description(language),
                    "period": offer.period,
                    "amount": offer.amount_vnd,
                }
                for offer in offers
            ],
        )

    async def checkout(
        self, request: Request, agency_id: str, price: str, return_to: str
    ) -> Response:
        agency = await self._agency(agency_id)
        await self._forms.verify(request)
        found = await self._reader(request, agency_id)
        if found is None:
            # After signing in the reader is back on the plans page, which still knows the article.
            back = f"/r/{agency_id}/plans"
            return self._to_sign_in(
                agency_id, f"{back}?return_to={quote(return_to, safe='')}" if return_to else back
            )
        try:
            price_id = UUID(price)
        except ValueError:
            raise NotFoundError from None
        try:
            url = await self._billing.checkouts.start(
                found[1],
                price_id,
                return_address(self._billing.settings, agency, return_to),
                request_language(request),
            )
        except ConflictError as error:
            if error.slug == "already-subscribed":
                return see_other(f"/r/{agency_id}/account?notice=subscribed")
            problem = "This price has just changed. Please choose again."
            return await self.plans(request, agency_id, return_to, "", problem)
        except UnavailableError:
            problem = "The payment page cannot be reached right now. Nothing was charged; please try again."
            answer = await self.plans(request, agency_id, return_to, "", problem)
            answer.status_code = 503
            answer.headers["Retry-After"] = "5"
            return answer
        return see_other(url)

    async def done(self, request: Request, agency_id: str, session_id: str) -> Response:
        agency = await self._agency(agency_id)
        found = await self._reader(request, agency_id)
        if found is None:
            return self._to_sign_in(
                agency_id, f"/r/{agency_id}/checkout/done?session_id={quote(session_id, safe='')}"
            )
        receipt = await self._billing.checkouts.receipt(found[1], session_id)
        back = return_address(self._billing.settings, agency, receipt.checkout.return_to)
        subscription = await self._billing.subscriptions.live_of_reader(found[1].id)
        answer = self._pages.render(
            request,
            "receipt.html",
            agency=agency,
            reader=found[1],
            receipt=receipt,
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
        agency = await self._agency(agency_id)
        found = await self._reader(request, agency_id)
        if found is None:
            return self._to_sign_in(agency_id, f"/r/{agency_id}/account")
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
                    "ends_on": local_date(row.period_end, agency.zone),
                }
            )
        sessions = await self._billing.readers.sessions(reader)
        latest = await self._billing.readers.consents(reader)
        answer = self._pages.render(
            request,
            "account.html",
            agency=agency,
            reader=reader,
            subscriptions=subscriptions,
            payments=await self._billing.payments.of_reader(reader.id),
            sessions=[
                {
                    "row": row,
                    "device": reader_rules.device_name(row.user_agent),
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
            back=return_address(self._billing.settings, agency, return_to) or agency.website,
            zone=agency.zone,
        )
        return answer

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
        answer = see_other(f"/r/{agency_id}/sign-in")
        answer.delete_cookie(session_cookie(agency_id), path="/")
        return answer

    async def set_consents(self, request: Request, agency_id: str, granted: list[str]) -> Response:
        acting = await self._acting(request, agency_id)
        if isinstance(acting, Response):
            return acting
        await self._billing.readers.change_consents(
            acting[1], frozenset(granted), visitor(self._billing.settings, request)
        )
        return see_other(f"/r/{agency_id}/account?notice=consents")

    async def _acting(
        self, request: Request, agency_id: str
    ) -> tuple[ReaderSession, Reader] | Response:
        """The reader behind a form of the account page, or the way to sign in."""
        await self._agency(agency_id)
        await self._forms.verify(request)
        found = await self._reader(request, agency_id)
        return found or self._to_sign_in(agency_id, f"/r/{agency_id}/account")


def router(billing: Billing, pages: Pages, forms: BillingFormTokens) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    reader_pages = ReaderPages(billing, pages, forms)

    @routes.get("/r/{agency}/plans")
    async def plans(
        request: Request, agency: str, return_to: str = "", canceled: str = ""
    ) -> Response:
        return await reader_pages.plans(request, agency, return_to, canceled)

    @routes.post("/r/{agency}/checkout")
    async def checkout(
        request: Request, agency: str, price: str = Form(""), return_to: str = Form("")
    ) -> Response:
        return await reader_pages.checkout(request, agency, price, return_to)

    @routes.get("/r/{agency}/checkout/done")
    async def done(request: Request, agency: str, session_id: str = "") -> Response:
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
