"""``/r/{agency}/account/phone``: a mobile number to sign in with. ``/r/{agency}/account/confirm``: a code to the mailbox, of who came in
by the number and wants what the mailbox alone may do."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.addresses.rules import masked
from services.billing.mailboxes.service import TextsSpentError
from services.billing.phones.texting import NoMobileError
from services.billing.phones.words import NO_NUMBER
from services.billing.readers.models import Reader, ReaderSession
from services.billing.readers.web import Place, ReaderFront, plain, see_other
from shared.errors import ConflictError, NotFoundError, TooManyRequestsError, UnavailableError
from shared.security.events import SecurityEvent
from shared.security.report import tell
from shared.texts.number import shown
from shared.web.i18n import request_language

MAX_NUMBER, MAX_CODE = 60, 400
#: Where a confirmed session goes on, by the last part of the page's address.
AFTER_CONFIRMING = ("phone", "address", "data")

SAME = "This is your number already."
BUSY = "Too many codes were sent. Please wait an hour and try again."
SPENT = "So many codes were asked for by text message that no more are sent for now. Please try again later."
NO_TEXT = "The text message could not be sent. Please try again in a moment."
NO_MAIL = "The mail could not be sent. Please try again in a moment."
WRONG = "This code is not right, or its 10 minutes are over. After five wrong ones only a new code helps."
TAKEN = "Meanwhile this number has got an account of its own. Nothing was changed."


class PhonePages:
    """What readers see of their number."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing
        self._phones = front.billing.phones

    async def page(
        self,
        request: Request,
        place: Place,
        own: tuple[ReaderSession, Reader],
        status: int = 200,
        **more: Any,
    ) -> Response:
        """Raises :class:`NotFoundError` where there is no channel, and no number of former times."""
        session, reader = own
        number = await self._phones.number_of(reader.id)
        offered = self._phones.texting.serves(place.agency.id)
        if not number and not offered:
            raise NotFoundError
        answer = self._front.render(
            request,
            "phone.html",
            place,
            status,
            **{"typed": "", "problem": "", "sent": "", "notice": ""} | more,
            reader=reader,
            number=shown(number) if number else "",
            offered=offered,
            by_number=session.by_number,
            outbox=self._billing.settings.shows_texts,
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def ask(self, request: Request, agency: str, typed: str) -> Response:
        """Send a code. The answer is the same whether the number has an account or not."""
        acting = await self._front.acting_by_mailbox(request, agency, "phone")
        if isinstance(acting, Response):
            return acting
        place, language = await self._front.enter(request, agency), request_language(request)
        if not self._phones.texting.serves(agency):
            raise NotFoundError
        letters = self._billing.letters
        refused = partial(self.page, request, place, acting, typed=typed)
        try:
            number = await self._phones.ask(
                acting[1],
                typed,
                partial(letters.add_text, place.agency, language),
                partial(letters.taken_text, place.agency, language),
            )
        except NoMobileError as error:
            return await refused(422, problem=NO_NUMBER[error.why])
        except ConflictError:
            return await refused(422, problem=SAME)
        except TooManyRequestsError as error:
            spent = isinstance(error, TextsSpentError)
            limit = "texts" if spent else "mailbox"
            tell(SecurityEvent.SIGN_IN_LIMITED, limit=limit, what="number")
            return await refused(429, problem=SPENT if spent else BUSY)
        except UnavailableError:
            return await refused(503, problem=NO_TEXT)
        return await self.page(request, place, acting, sent=shown(number))

    async def enter(self, request: Request, agency: str, code: str, sent: str) -> Response:
        acting = await self._front.acting_by_mailbox(request, agency, "phone")
        if isinstance(acting, Response):
            return acting
        session, reader = acting
        place = await self._front.enter(request, agency)
        try:
            right = await self._phones.enter(reader, session.id, code)
        except ConflictError:
            return await self.page(request, place, acting, 409, problem=TAKEN)
        if not right:
            tell(SecurityEvent.SIGN_IN_FAILED, reason="number")
            return await self.page(request, place, acting, 422, sent=sent, problem=WRONG)
        return see_other(f"/r/{agency}/account?notice=number")

    async def remove(self, request: Request, agency: str) -> Response:
        """Also by who came in by the number: it is not to keep anybody in an account that is not theirs."""
        acting = await self._front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        session, reader = acting
        await self._phones.remove(reader, session.id, by_number=session.by_number)
        if not session.by_number:
            return see_other(f"/r/{agency}/account?notice=number-removed")
        answer = see_other(f"/r/{agency}/sign-in?notice=number-removed")
        self._front.forms.end_session(answer, agency)
        return answer

    async def confirm_page(
        self,
        request: Request,
        place: Place,
        reader: Reader,
        then: str,
        status: int = 200,
        **more: Any,
    ) -> Response:
        answer = self._front.render(
            request,
            "confirm.html",
            place,
            status,
            **{"problem": "", "sent": False} | more,
            masked=masked(reader.email),
            then=_next(then),
            mail_outbox=self._billing.settings.mail_transport == "outbox",
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def ask_mailbox(self, request: Request, agency: str, then: str) -> Response:
        acting = await self._front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        place, reader = await self._front.enter(request, agency), acting[1]
        letter = partial(
            self._billing.letters.mailbox_code, place.agency, request_language(request)
        )
        try:
            await self._phones.ask_mailbox(reader, letter)
        except TooManyRequestsError:
            tell(SecurityEvent.SIGN_IN_LIMITED, limit="mailbox", what="confirm")
            return await self.confirm_page(request, place, reader, then, 429, problem=BUSY)
        except UnavailableError:
            return await self.confirm_page(request, place, reader, then, 503, problem=NO_MAIL)
        return await self.confirm_page(request, place, reader, then, sent=True)

    async def confirm(self, request: Request, agency: str, code: str, then: str) -> Response:
        acting = await self._front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        place, (session, reader) = await self._front.enter(request, agency), acting
        if session.by_number and not await self._phones.confirm(reader, session.id, code):
            tell(SecurityEvent.STEP_UP_FAILED, reason="mailbox")
            return await self.confirm_page(
                request, place, reader, then, 422, sent=True, problem=WRONG
            )
        return see_other(f"/r/{agency}/account/{_next(then)}")


def _next(then: str) -> str:
    return then if then in AFTER_CONFIRMING else AFTER_CONFIRMING[0]


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = PhonePages(front)
    phone, confirm = "/r/{agency}/account/phone", "/r/{agency}/account/confirm"

    @routes.get(phone)
    async def show(request: Request, agency: str, notice: str = "") -> Response:
        place = await front.enter(request, agency)
        found = await front.reader(request, agency)
        if found is None:
            return front.to_sign_in(agency, f"/r/{agency}/account/phone")
        return await pages.page(request, place, found, notice=notice)

    @routes.post(phone)
    async def ask(request: Request, agency: str, number: str = Form("")) -> Response:
        return await pages.ask(request, agency, plain(number, MAX_NUMBER))

    @routes.post(phone + "/code")
    async def enter(
        request: Request, agency: str, code: str = Form(""), sent: str = Form("")
    ) -> Response:
        return await pages.enter(request, agency, plain(code, MAX_CODE), plain(sent, MAX_NUMBER))

    @routes.post(phone + "/remove")
    async def remove(request: Request, agency: str) -> Response:
        return await pages.remove(request, agency)

    @routes.get(confirm)
    async def show_confirm(request: Request, agency: str, then: str = "") -> Response:
        place = await front.enter(request, agency)
        found = await front.reader(request, agency)
        if found is None:
            return front.to_sign_in(agency, f"/r/{agency}/account")
        if not found[0].by_number:
            return see_other(f"/r/{agency}/account/{_next(then)}")
        return await pages.confirm_page(request, place, found[1], then)

    @routes.post(confirm)
    async def ask_mailbox(request: Request, agency: str, then: str = Form("")) -> Response:
        return await pages.ask_mailbox(request, agency, then)

    @routes.post(confirm + "/code")
    async def enter_mailbox(
        request: Request, agency: str, code: str = Form(""), then: str = Form("")
    ) -> Response:
        return await pages.confirm(request, agency, plain(code, MAX_CODE), then)

    return routes
