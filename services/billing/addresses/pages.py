"""``/r/{agency}/account/address``: another address to sign in with. ``/r/{agency}/address/{token}``: the change is taken back, by the
link of the letter to the old address, without signing in.

The link's token stands in for the form token, as in ``account/link_pages.py``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.addresses import rules
from services.billing.letters.links import BadLinkError, UndoLink
from services.billing.readers.models import Reader
from services.billing.readers.web import (
    DAY_SECONDS,
    Place,
    ReaderFront,
    guarded,
    plain,
    see_other,
    session_cookie,
)
from shared.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    TooManyRequestsError,
    UnavailableError,
)
from shared.security.events import SecurityEvent
from shared.security.report import tell
from shared.web.i18n import request_language

MAX_ADDRESS = 300

NO_ADDRESS = "This is not an e-mail address. Example: name@example.vn"
SAME = "This is your address already."
BUSY = "Too many codes were sent. Please wait an hour and try again."
NO_MAIL = "The mail could not be sent. Please try again in a moment."
WRONG = "This code is not right, or its 10 minutes are over. After five wrong ones only a new code helps."
TAKEN = "Meanwhile this address has got an account of its own. Your address was not changed."
AGAIN = "Something of your account changed at the same moment. Please try again."


class AddressPages:
    """What readers see of their address."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def page(
        self, request: Request, place: Place, reader: Reader, status: int = 200, **more: Any
    ) -> Response:
        shown = self._front.render(
            request,
            "address.html",
            place,
            status,
            **{"typed": "", "problem": "", "sent": ""} | more,
            reader=reader,
            by_domain=await self._billing.seat_domains.has_seat(reader),
            days=rules.UNDO_WITHIN.days,
            mail_outbox=self._billing.settings.mail_transport == "outbox",
        )
        shown.headers["Cache-Control"] = "no-store"
        return shown

    async def ask(self, request: Request, agency: str, typed: str) -> Response:
        """Send a code. The answer is the same whether the address has an account or not."""
        acting = await self._front.acting_by_mailbox(request, agency, "address")
        if isinstance(acting, Response):
            return acting
        place, reader = await self._front.enter(request, agency), acting[1]
        language, letters = request_language(request), self._billing.letters
        refused = partial(self.page, request, place, reader, typed=typed)
        try:
            await self._billing.addresses.ask(
                reader,
                typed,
                partial(letters.address_code, place.agency, language),
                partial(letters.address_taken, place.agency, language),
            )
        except InvalidInputError:
            return await refused(422, problem=NO_ADDRESS)
        except ConflictError:
            return await refused(422, problem=SAME)
        except TooManyRequestsError:
            tell(SecurityEvent.SIGN_IN_LIMITED, limit="mailbox", what="address")
            return await refused(429, problem=BUSY)
        except UnavailableError:
            return await refused(503, problem=NO_MAIL)
        return await self.page(request, place, reader, sent=typed.strip())

    async def enter(self, request: Request, agency: str, code: str, sent: str) -> Response:
        acting = await self._front.acting_by_mailbox(request, agency, "address")
        if isinstance(acting, Response):
            return acting
        place, (session, reader) = await self._front.enter(request, agency), acting
        try:
            token = await self._billing.addresses.enter(
                reader, session.id, code, self._front.visitor(request)
            )
        except ConflictError as error:
            if error.slug == "address-signed-out":
                return self._front.to_sign_in(agency, f"/r/{agency}/account/address")
            problem = TAKEN if error.slug == "address-taken" else AGAIN
            return await self.page(request, place, reader, 409, problem=problem)
        if token is None:
            tell(SecurityEvent.SIGN_IN_FAILED, reason="address")
            return await self.page(request, place, reader, 422, sent=sent, problem=WRONG)
        answer = see_other(f"/r/{agency}/account?notice=address")
        forms, seconds = self._front.forms, self._billing.readers.session_max_days * DAY_SECONDS
        forms.set_cookie(answer, session_cookie(agency, secure=forms.secure), token, seconds)
        return answer

    def _read(self, agency: str, token: str) -> UndoLink | None:
        try:
            return self._billing.links.read_undo(agency, token, self._billing.clock.now())
        except BadLinkError:
            return None

    async def link(
        self, request: Request, agency: str, token: str, status: int = 200, problem: str = ""
    ) -> Response:
        """What the link is about: nothing of the account but that change."""
        place, link = await self._front.enter(request, agency), self._read(agency, token)
        change, state = None, "over"
        if link is not None:
            try:
                change, state = await self._billing.addresses.change(link)
            except NotFoundError:  # the account is gone
                change, state = None, "over"
        answer = self._front.render(
            request,
            "address_back.html",
            place,
            404 if change is None else status,
            change=change,
            state=state,
            masked=rules.masked(change.new_email) if change else "",
            token=token,
            problem=problem,
            zone=place.agency.zone,
        )
        return guarded(answer)

    async def undo(self, request: Request, agency: str, token: str) -> Response:
        await self._front.enter(request, agency)
        link = self._read(agency, token)
        if link is None:
            return await self.link(request, agency, token)
        try:
            await self._billing.addresses.undo(link)
        except ConflictError as error:
            problem = TAKEN if error.slug == "address-taken" else AGAIN
            return await self.link(request, agency, token, 409, problem)
        return guarded(see_other(f"/r/{agency}/address/{token}"))


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = AddressPages(front)

    @routes.get("/r/{agency}/account/address")
    async def show(request: Request, agency: str) -> Response:
        place = await front.enter(request, agency)
        found = await front.reader(request, agency)
        if found is None:
            return front.to_sign_in(agency, f"/r/{agency}/account/address")
        if found[0].by_number:
            return front.to_confirm(agency, "address")
        return await pages.page(request, place, found[1])

    @routes.post("/r/{agency}/account/address")
    async def ask(request: Request, agency: str, email: str = Form("")) -> Response:
        return await pages.ask(request, agency, plain(email, MAX_ADDRESS))

    @routes.post("/r/{agency}/account/address/code")
    async def enter(
        request: Request, agency: str, code: str = Form(""), sent: str = Form("")
    ) -> Response:
        return await pages.enter(request, agency, plain(code, 400), plain(sent, MAX_ADDRESS))

    @routes.get("/r/{agency}/address/{token}")
    async def link(request: Request, agency: str, token: str) -> Response:
        return await pages.link(request, agency, token)

    @routes.post("/r/{agency}/address/{token}/back")
    async def undo(request: Request, agency: str, token: str) -> Response:
        return await pages.undo(request, agency, token)

    return routes
