"""``/r/{agency}/orders/{code}/recipient``: whom a gift is sent to, and when. A page of its own: the order's looks for money and is
shown anew while somebody would type."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.account.wishes_pages import day_of
from services.billing.gifts import rules
from services.billing.gifts.service import Wish
from services.billing.orders.codes import is_code
from services.billing.readers.models import Reader
from services.billing.readers.web import Place, ReaderFront, plain, see_other
from shared.clock import local_date
from shared.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    TooManyRequestsError,
)
from shared.web.i18n import show_date

#: What is read of a form at most.
MAX_ADDRESS, MAX_MESSAGE, MAX_DAY = 300, 4_000, 20

PROBLEMS = {
    "email": "This is not an e-mail address. Example: name@example.vn",
    "message": "The message is too long, or has the address of a website in it.",
    "day": "The gift cannot be sent on that day. The first and the last possible day stand beside the field.",
}
BUSY = "Too many letters were asked for. Please wait an hour and try again."


class GiftPages:
    """The form of a giver."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def known(
        self, request: Request, agency: str, code: str
    ) -> tuple[Place, Reader] | Response:
        place = await self._front.enter(request, agency)
        found = await self._front.reader(request, agency)
        if not is_code(code):
            raise NotFoundError
        if found is None:
            return self._front.to_sign_in(agency, f"/r/{agency}/orders/{code}/recipient")
        return place, found[1]

    async def page(
        self,
        request: Request,
        place: Place,
        reader: Reader,
        code: str,
        status: int = 200,
        *,
        typed: tuple[str, str, str] | None = None,
        problem: str = "",
    ) -> Response:
        view = await self._billing.orders.view(reader, code)
        if not view.order.gift or view.order.state == "closed":
            raise NotFoundError
        going = await self._billing.gifts.going(view.order)
        today = local_date(self._billing.clock.now(), place.agency.zone)
        shown = (going.email, going.message, _typed_day(going.send_on)) if going else ("", "", "")
        answer = self._front.render(
            request,
            "gift_send.html",
            place,
            status,
            view=view,
            going=going,
            typed=typed or shown,
            problem=problem,
            first=today,
            last=rules.last_day(today),
            most=rules.MESSAGE_MOST,
            hour=rules.SEND_AT_HOUR,
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def save(
        self, request: Request, agency: str, code: str, typed: tuple[str, str, str]
    ) -> Response:
        """``typed``: address, message, day."""
        await self._front.enter(request, agency)
        await self._front.forms.verify(request)
        known = await self.known(request, agency, code)
        if isinstance(known, Response):
            return known
        place, reader = known
        day = day_of(typed[2])
        if typed[0].strip() and typed[2].strip() and day is None:
            return await self.page(
                request, place, reader, code, 422, typed=typed, problem=PROBLEMS["day"]
            )
        try:
            await self._billing.gifts.name(reader, code, Wish(typed[0], typed[1], day))
        except InvalidInputError as error:
            problem = PROBLEMS[error.errors[0].field]
            return await self.page(request, place, reader, code, 422, typed=typed, problem=problem)
        except TooManyRequestsError:
            return await self.page(request, place, reader, code, 429, typed=typed, problem=BUSY)
        except ConflictError as error:
            return see_other(f"/r/{agency}/orders/{code}?notice={error.slug}")
        return see_other(f"/r/{agency}/orders/{code}#gift")

    async def again(self, request: Request, agency: str, code: str) -> Response:
        await self._front.enter(request, agency)
        await self._front.forms.verify(request)
        known = await self.known(request, agency, code)
        if isinstance(known, Response):
            return known
        notice = ""
        try:
            await self._billing.gifts.again(known[1], code)
        except TooManyRequestsError:
            notice = "gift-busy"
        except ConflictError as error:
            notice = error.slug
        path = f"/r/{agency}/orders/{code}"
        return see_other(f"{path}?notice={notice}" if notice else f"{path}#gift")


def _typed_day(day: date) -> str:
    """As people write it, in either language."""
    return show_date(day, "vi")


def _lines(text: str) -> str:
    """A message with its line ends, which ``plain`` takes out of every other field."""
    kept = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(plain(line, MAX_MESSAGE) for line in kept)[:MAX_MESSAGE]


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = GiftPages(front)

    @routes.get("/r/{agency}/orders/{code}/recipient")
    async def show(request: Request, agency: str, code: str) -> Response:
        known = await pages.known(request, agency, code)
        return known if isinstance(known, Response) else await pages.page(request, *known, code)

    @routes.post("/r/{agency}/orders/{code}/recipient")
    async def save(
        request: Request,
        agency: str,
        code: str,
        email: str = Form(""),
        message: str = Form(""),
        day: str = Form(""),
    ) -> Response:
        typed = (plain(email, MAX_ADDRESS), _lines(message), plain(day, MAX_DAY))
        return await pages.save(request, agency, code, typed)

    @routes.post("/r/{agency}/orders/{code}/recipient/again")
    async def again(request: Request, agency: str, code: str) -> Response:
        return await pages.again(request, agency, code)

    return routes
