"""``/r/{agency}/s/{token}``: one subscription, opened by a letter's link without signing in.

The token is the proof: it stands in for the form token, and a form of another site is refused by its origin like any other. What
another site may learn of the address: nothing (``Referrer-Policy``); ``no-referrer`` would take the forms' origin away as well.
"""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.billing.account import links
from services.billing.account.wishes_pages import canceled_notice, notice_of
from services.billing.letters.links import BadLinkError, Link
from services.billing.readers.models import Reader
from services.billing.readers.web import (
    Place,
    ReaderFront,
    guarded,
    see_other,
    uuid_or_none,
    with_return,
)
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.web.i18n import request_language


class LinkPages:
    """What whoever holds a letter may see and do."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    def _read(self, agency: str, token: str) -> Link | None:
        try:
            return self._billing.links.read(agency, token, self._billing.clock.now())
        except BadLinkError:
            return None

    async def show(
        self, request: Request, agency_id: str, token: str, notice: str, paid: str, card: str
    ) -> Response:
        place = await self._front.enter(request, agency_id)
        link = self._read(agency_id, token)
        if link is None:
            return self._over(request, place)
        came_back = uuid_or_none(paid)
        confirming = False
        if came_back is not None:
            await self._billing.charges.look(came_back, link.reader_id)
            state = await self._billing.accounts.page_state(came_back, link.reader_id)
            confirming = state in ("created", "open", "processing")
            notice = {"captured": "paid", "failed": "declined"}.get(state, notice)
        given = uuid_or_none(card)
        if given is not None:
            notice = await links.card_notice(self._billing, given, link.reader_id) or notice
        try:
            await self._billing.accounts.reader(agency_id, link.reader_id)
            own = await self._billing.accounts.one(agency_id, link.reader_id, link.subscription_id)
        except NotFoundError:
            return self._over(request, place)
        agency = place.agency
        answer = self._front.render(
            request,
            "link.html",
            place,
            own=own,
            token=token,
            name=lambda offer: offer.name(request_language(request)),
            notice=notice,
            confirming=confirming,
            cards=bool(self._billing.settings.stripe_secret_key),
            account=with_return(f"{self._front.base}/r/{agency_id}/account"),
            order=with_return(f"{self._front.base}/r/{agency_id}/orders/{own.owed.code}")
            if own.owed
            else "",
            back=agency.website,
            zone=agency.zone,
        )
        links.let_go(self._front, request, answer, agency_id)
        return guarded(answer)

    def _over(self, request: Request, place: Place) -> Response:
        account = with_return(f"{self._front.base}/r/{place.agency.id}/account")
        page = self._front.render(request, "link.html", place, 404, own=None, account=account)
        return guarded(page)

    async def _opened(
        self, request: Request, agency: str, token: str
    ) -> tuple[Place, Link, Reader] | Response:
        """What a form of the link's page is about."""
        place = await self._front.enter(request, agency)
        link = self._read(agency, token)
        if link is None:
            return self._over(request, place)
        return place, link, await self._billing.accounts.reader(agency, link.reader_id)

    async def set_cancel(
        self, request: Request, agency: str, token: str, *, cancel: bool
    ) -> Response:
        opened = await self._opened(request, agency, token)
        if isinstance(opened, Response):
            return opened
        _, link, reader = opened
        own = await self._billing.accounts.one(agency, reader.id, link.subscription_id)
        if not cancel and not own.row.cancel_at_period_end:
            return self._to(agency, token, "resumed")  # a link ends no pause: that would charge
        wish = self._billing.wishes.cancel if cancel else self._billing.wishes.resume
        try:
            row = await wish(agency, reader.id, link.subscription_id)
        except ConflictError as error:
            return self._to(agency, token, notice_of(error))
        return self._to(agency, token, canceled_notice(row) if cancel else "resumed")

    async def pay(self, request: Request, agency: str, token: str) -> Response:
        """To the provider's page, where what is owed is paid."""
        opened = await self._opened(request, agency, token)
        if isinstance(opened, Response):
            return opened
        _, link, reader = opened
        own = await self._billing.accounts.one(agency, reader.id, link.subscription_id)
        if own.owed is None:
            return self._to(agency, token, "not-owed")
        language = request_language(request)
        try:
            page = await self._billing.charges.page(reader, own.owed.code, language)
        except ConflictError as error:
            return self._to(agency, token, notice_of(error))
        except UnavailableError:
            return self._to(agency, token, "away")
        return self._leaves(agency, token, page)

    async def card(self, request: Request, agency: str, token: str) -> Response:
        """To the provider's page, where another card is given."""
        opened = await self._opened(request, agency, token)
        if isinstance(opened, Response):
            return opened
        _, link, reader = opened
        id_: UUID = link.subscription_id
        try:
            page = await self._billing.charges.card_page(reader, id_, request_language(request))
        except ConflictError as error:
            return self._to(agency, token, notice_of(error))
        except UnavailableError:
            return self._to(agency, token, "away")
        return self._leaves(agency, token, page)

    def _to(self, agency: str, token: str, notice: str) -> Response:
        return guarded(see_other(links.address(agency, token, notice=notice)))

    def _leaves(self, agency: str, token: str, page: str) -> Response:
        answer = see_other(page)
        links.hold(self._front, answer, agency, token)
        return guarded(answer)


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = LinkPages(front)

    @routes.get("/r/{agency}/s/{token}")
    async def show(
        request: Request,
        agency: str,
        token: str,
        notice: str = "",
        paid: str = "",
        card: str = "",
    ) -> Response:
        return await pages.show(request, agency, token, notice, paid, card)

    @routes.post("/r/{agency}/s/{token}/cancel")
    async def cancel(request: Request, agency: str, token: str) -> Response:
        return await pages.set_cancel(request, agency, token, cancel=True)

    @routes.post("/r/{agency}/s/{token}/resume")
    async def resume(request: Request, agency: str, token: str) -> Response:
        return await pages.set_cancel(request, agency, token, cancel=False)

    @routes.post("/r/{agency}/s/{token}/pay")
    async def pay(request: Request, agency: str, token: str) -> Response:
        return await pages.pay(request, agency, token)

    @routes.post("/r/{agency}/s/{token}/card")
    async def card(request: Request, agency: str, token: str) -> Response:
        return await pages.card(request, agency, token)

    return routes
