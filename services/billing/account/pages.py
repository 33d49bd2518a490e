"""``/r/{agency}/account``: what a reader subscribes to and has paid, and where they are signed in."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.readers.devices import device_name
from services.billing.readers.models import Reader, ReaderSession
from services.billing.readers.service import CONSENTS
from services.billing.readers.web import (
    ReaderFront,
    see_other,
    with_return,
)
from services.billing.subscriptions.rules import LIVE, State
from shared.clock import local_date
from shared.errors import ConflictError, NotFoundError
from shared.web.i18n import request_language


class ReaderPages:
    """What a signed-in reader sees; whoever is not signed in is sent there and comes back."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

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
            presents=await self._billing.orders.presents(reader),
            payments=payments,
            refunding=await self._billing.refunds.open_of_reader(reader.id),
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
            wish = self._billing.wishes.cancel if cancel else self._billing.wishes.resume
            await wish(agency_id, reader[1].id, subscription_id)
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
