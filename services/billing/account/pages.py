"""``/r/{agency}/account``: what a reader subscribes to and has paid, and where they are signed in."""

from __future__ import annotations

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.account import links
from services.billing.account.service import others
from services.billing.plans.rules import CONTRIBUTION
from services.billing.readers.devices import device_name
from services.billing.readers.models import Reader, ReaderSession
from services.billing.readers.service import CONSENTS
from services.billing.readers.web import (
    Place,
    ReaderFront,
    see_other,
    uuid_or_none,
    with_return,
)
from shared.errors import NotFoundError
from shared.texts.number import shown
from shared.web.i18n import request_language


class ReaderPages:
    """What a signed-in reader sees; whoever is not signed in is sent there and comes back."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def account(
        self, request: Request, agency_id: str, return_to: str, notice: str, card: str
    ) -> Response:
        place = await self._front.enter(request, agency_id)
        found = await self._front.reader(request, agency_id)
        if found is None:
            held = None if return_to else links.held(self._front, request, agency_id)
            if held is not None:  # back from the provider's page, where a letter's link led
                return see_other(links.address(agency_id, held[0], card=card))
            back = with_return(place.back(return_to))
            return self._front.to_sign_in(agency_id, f"/r/{agency_id}/account?{back}")
        given = uuid_or_none(card)
        if given is not None:
            notice = await links.card_notice(self._billing, given, found[1].id) or notice
        return await self._shown(request, place, found, return_to, notice)

    async def _shown(
        self,
        request: Request,
        place: Place,
        found: tuple[ReaderSession, Reader],
        return_to: str,
        notice: str,
    ) -> Response:
        reader, agency, back = found[1], place.agency, place.back(return_to)
        await self._front.seen(request, reader)
        number = await self._billing.phones.number_of(reader.id)
        payments = await self._billing.payments.of_reader(reader.id)
        offers = await self._billing.plans.offers(agency.id)
        return self._front.render(
            request,
            "account.html",
            place,
            reader=reader,
            number=shown(number) if number else "",
            numbers=self._billing.phones.texting.serves(agency.id),
            subscriptions=await self._billing.accounts.of_reader(reader.id),
            others=lambda own: others(own, offers),
            students=await self._billing.offers.students(offers),
            groups=await self._billing.seats.groups(reader),
            places=await self._billing.seats.places(reader),
            now=self._billing.clock.now(),
            name=lambda offer: offer.name(request_language(request)),
            order=await self._billing.orders.open_of_reader(reader),
            bundles=await self._billing.bundles.of_reader(reader.id),
            gives=any(offer.kind == CONTRIBUTION for offer in offers),
            once=await self._billing.orders.once_of_reader(reader.id),
            bought=await self._billing.orders.bought(
                [one.order_id for one in payments if one.order_id]
            ),
            payments=payments,
            refunding=await self._billing.refunds.open_of_reader(reader.id),
            invoices=await self._billing.invoices.of_payments([one.id for one in payments]),
            sessions=await self._devices(found),
            consents=await self._consents(reader),
            notice=notice,
            back=back or agency.website,
            returning=with_return(back),
            zone=agency.zone,
        )

    async def _devices(self, found: tuple[ReaderSession, Reader]) -> list[dict[str, object]]:
        """The browsers that are signed in, and which of them this one is."""
        rows = await self._billing.readers.sessions(found[1])
        return [
            {"row": row, "device": device_name(row.user_agent), "own": row.id == found[0].id}
            for row in rows
        ]

    async def _consents(self, reader: Reader) -> list[dict[str, object]]:
        """What may be agreed to, and what is."""
        latest = await self._billing.readers.consents(reader)
        return [
            {
                "purpose": purpose,
                "wording": wording,
                "granted": purpose in latest and latest[purpose].granted,
            }
            for purpose, (_, wording) in CONSENTS.items()
        ]

    async def end_session(self, request: Request, agency_id: str, session: str) -> Response:
        acting = await self._front.acting(request, agency_id)
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
        acting = await self._front.acting(request, agency_id)
        if isinstance(acting, Response):
            return acting
        await self._billing.readers.change_consents(
            acting[1], frozenset(granted), self._front.visitor(request)
        )
        return see_other(f"/r/{agency_id}/account?notice=consents")


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    reader_pages = ReaderPages(front)

    @routes.get("/r/{agency}/account")
    async def account(
        request: Request, agency: str, return_to: str = "", notice: str = "", card: str = ""
    ) -> Response:
        return await reader_pages.account(request, agency, return_to, notice, card)

    @routes.post("/r/{agency}/account/sessions/end")
    async def end_session(request: Request, agency: str, session: str = Form("")) -> Response:
        return await reader_pages.end_session(request, agency, session)

    @routes.post("/r/{agency}/account/consents")
    async def consents(request: Request, agency: str, consent: list[str] = Form([])) -> Response:
        return await reader_pages.set_consents(request, agency, consent)

    return routes
