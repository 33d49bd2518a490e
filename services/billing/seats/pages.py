"""``/r/{agency}/account/seats/…``: what owners do with their group; ``/r/{agency}/invitations/{id}``: where a seat is accepted."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.readers.models import Reader
from services.billing.readers.web import ReaderFront, plain, see_other, uuid_of
from shared.errors import (
    ConflictError,
    InvalidInputError,
    TooManyRequestsError,
    UnavailableError,
)
from shared.web.i18n import request_language

MAX_ADDRESS = 254


class SeatPages:
    """Forms of the account page, and the page of an invitation."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def acting(self, request: Request, agency: str) -> Reader | Response:
        """The reader behind a form of theirs, or the way to sign in."""
        found = await self._front.acting(request, agency)
        return found if isinstance(found, Response) else found[1]

    async def done(self, agency: str, act: Awaitable[object], notice: str) -> Response:
        """Back to the account page, which says what became of it."""
        try:
            await act
        except ConflictError as error:
            notice = error.slug
        except InvalidInputError:
            notice = "seat-address"
        except TooManyRequestsError:
            notice = "seat-domain-codes"
        except UnavailableError:
            notice = "seat-mail-away"
        return see_other(f"/r/{agency}/account?notice={notice}#seats")

    async def ask_domain(
        self, request: Request, agency: str, reader: Reader, id_: UUID, address: str
    ) -> Response:
        place = await self._front.enter(request, agency)
        language = request_language(request)
        letter = partial(self._billing.letters.domain_code, place.agency, language)
        asked = self._billing.seat_domains.ask(reader, id_, address, letter)
        return await self.done(agency, asked, "seat-domain-sent")

    async def verify(self, agency: str, reader: Reader, id_: UUID, code: str) -> Response:
        notice = "seat-domain-wrong"
        try:
            if await self._billing.seat_domains.verify(reader, id_, code):
                notice = "seat-domain-verified"
        except ConflictError as error:
            notice = error.slug
        return see_other(f"/r/{agency}/account?notice={notice}#seats")

    async def invitation(
        self, request: Request, agency: str, id_: UUID, status: int = 200
    ) -> Response:
        place = await self._front.enter(request, agency)
        found = await self._front.reader(request, agency)
        if found is None:
            return self._front.to_sign_in(agency, f"/r/{agency}/invitations/{id_}")
        shown = await self._billing.seats.invited(found[1], id_)
        answer = self._front.render(
            request,
            "invitation.html",
            place,
            status,
            reader=found[1],
            shown=shown,
            name=shown.offer.name(request_language(request)),
            back=place.agency.website or f"/r/{agency}/account",
            zone=place.agency.zone,
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def accept(self, request: Request, agency: str, id_: UUID) -> Response:
        place = await self._front.enter(request, agency)
        await self._front.forms.verify(request)
        found = await self._front.reader(request, place.agency.id)
        if found is None:
            return self._front.to_sign_in(agency, f"/r/{agency}/invitations/{id_}")
        try:
            await self._billing.seats.accept(found[1], id_)
        except ConflictError:  # the page says why
            return await self.invitation(request, agency, id_, 409)
        return see_other(f"/r/{agency}/account?notice=seat-taken-up#places")


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages, account = SeatPages(front), "/r/{agency}/account/seats"

    @routes.post(account + "/invite")
    async def invite(
        request: Request, agency: str, subscription: str = Form(""), email: str = Form("")
    ) -> Response:
        reader = await pages.acting(request, agency)
        if isinstance(reader, Response):
            return reader
        id_, address = uuid_of(subscription), plain(email, MAX_ADDRESS + 1)
        act = front.billing.seats.invite(reader, id_, address)
        return await pages.done(agency, act, "seat-invited")

    @routes.post(account + "/invite-again")
    async def invite_again(request: Request, agency: str, invitation: str = Form("")) -> Response:
        reader = await pages.acting(request, agency)
        if isinstance(reader, Response):
            return reader
        act = front.billing.seats.invite_again(reader, uuid_of(invitation))
        return await pages.done(agency, act, "seat-invited")

    @routes.post(account + "/withdraw")
    async def withdraw(request: Request, agency: str, invitation: str = Form("")) -> Response:
        reader = await pages.acting(request, agency)
        if isinstance(reader, Response):
            return reader
        act = front.billing.seats.withdraw(reader, uuid_of(invitation))
        return await pages.done(agency, act, "seat-withdrawn")

    @routes.post(account + "/end")
    async def end(request: Request, agency: str, seat: str = Form("")) -> Response:
        reader = await pages.acting(request, agency)
        if isinstance(reader, Response):
            return reader
        act = front.billing.seats.end(reader, uuid_of(seat))
        return await pages.done(agency, act, "seat-is-ended")

    @routes.post(account + "/leave")
    async def leave(request: Request, agency: str, seat: str = Form("")) -> Response:
        reader = await pages.acting(request, agency)
        if isinstance(reader, Response):
            return reader
        act = front.billing.seats.leave(reader, uuid_of(seat))
        return await pages.done(agency, act, "seat-left")

    @routes.post(account + "/join")
    async def join(request: Request, agency: str, subscription: str = Form("")) -> Response:
        reader = await pages.acting(request, agency)
        if isinstance(reader, Response):
            return reader
        address = front.visitor(request).address
        act = front.billing.seats.join(reader, uuid_of(subscription), address)
        return await pages.done(agency, act, "seat-taken-up")

    @routes.post(account + "/domain")
    async def ask_domain(
        request: Request, agency: str, subscription: str = Form(""), address: str = Form("")
    ) -> Response:
        reader = await pages.acting(request, agency)
        if isinstance(reader, Response):
            return reader
        id_, typed = uuid_of(subscription), plain(address, MAX_ADDRESS + 1)
        return await pages.ask_domain(request, agency, reader, id_, typed)

    @routes.post(account + "/domain/verify")
    async def verify(
        request: Request, agency: str, subscription: str = Form(""), code: str = Form("")
    ) -> Response:
        reader = await pages.acting(request, agency)
        if isinstance(reader, Response):
            return reader
        return await pages.verify(agency, reader, uuid_of(subscription), plain(code, 40))

    @routes.post(account + "/domain/end")
    async def end_domain(request: Request, agency: str, domain: str = Form("")) -> Response:
        reader = await pages.acting(request, agency)
        if isinstance(reader, Response):
            return reader
        act = front.billing.seat_domains.end(reader, uuid_of(domain))
        return await pages.done(agency, act, "seat-domain-ended")

    @routes.get("/r/{agency}/invitations/{invitation}")
    async def shown(request: Request, agency: str, invitation: str) -> Response:
        return await pages.invitation(request, agency, uuid_of(invitation))

    @routes.post("/r/{agency}/invitations/{invitation}/accept")
    async def accept(request: Request, agency: str, invitation: str) -> Response:
        return await pages.accept(request, agency, uuid_of(invitation))

    return routes
