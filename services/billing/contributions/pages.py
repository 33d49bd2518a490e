"""``/r/{agency}/contribute``: a reader gives an amount of their own."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.contributions.rules import amount_of
from services.billing.orders.pages import CARD, TRANSFER, ways_to_pay
from services.billing.readers.models import Reader
from services.billing.readers.web import Place, ReaderFront, plain, see_other, with_return
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.web.i18n import request_language

PROBLEMS = {
    "contribution-amount": "Write an amount within the limits that stand below the field.",
    "no-vat-rate": "The newspaper cannot take contributions today. Nothing was charged; please try again later.",
    "payment-processing": "Your bank has not decided about your last payment yet. Please wait for it; nothing is charged twice.",
    "order-not-open": "Another plan was chosen in another window. Please choose again.",
    "away": "The payment page cannot be reached right now. Nothing was charged; please try again.",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form says: the amount as it was typed, and the way to pay."""

    amount: str
    way: str
    return_to: str


class ContributionPages:
    """The page, and the press that leads to a payment; whoever is not signed in is sent there and finds the amount again."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def show(
        self, request: Request, place: Place, asked: Asked, status: int = 200, problem: str = ""
    ) -> Response:
        """Raises :class:`NotFoundError` where the agency takes none."""
        offer = await self._billing.contributions.offer(place.agency.id)
        if offer is None:
            raise NotFoundError
        found = await self._front.reader(request, place.agency.id)
        language, back = request_language(request), place.back(asked.return_to)
        return self._front.render(
            request,
            "contribute.html",
            place,
            status,
            reader=found[1] if found else None,
            offer=offer,
            name=offer.name(language),
            description=offer.description(language),
            ways=await ways_to_pay(self._billing, place.agency.id),
            typed=asked.amount,
            problem=problem,
            return_to=back,
            returning=with_return(back),
        )

    async def give(self, request: Request, agency_id: str, asked: Asked) -> Response:
        place = await self._front.enter(request, agency_id)
        await self._front.forms.verify(request)
        found = await self._front.reader(request, agency_id)
        if found is None:
            typed = urlencode({"amount": asked.amount, "return_to": place.back(asked.return_to)})
            return self._front.to_sign_in(agency_id, f"/r/{agency_id}/contribute?{typed}")
        try:
            return see_other(await self._payment_page(request, place, found[1], asked))
        except ConflictError as error:
            problem = PROBLEMS.get(error.slug, PROBLEMS["order-not-open"])
            status = 422 if error.slug == "contribution-amount" else 409
            return await self.show(request, place, asked, status, problem)
        except UnavailableError:
            answer = await self.show(request, place, asked, 503, PROBLEMS["away"])
            answer.headers["Retry-After"] = "5"
            return answer

    async def _payment_page(
        self, request: Request, place: Place, reader: Reader, asked: Asked
    ) -> str:
        language = request_language(request)
        ways = await ways_to_pay(self._billing, reader.agency)
        if not ways:
            raise NotFoundError
        amount_vnd = amount_of(asked.amount) or 0
        order = await self._billing.contributions.start(
            reader, amount_vnd, place.back(asked.return_to), language
        )
        by_card = (asked.way == CARD and CARD in ways) or TRANSFER not in ways
        offer = await self._billing.contributions.offer(reader.agency)
        given = offer is not None and order.price_id == offer.price_id
        # Of an order that a part was transferred for its own page says so: no card is asked for.
        if by_card and given and order.list_vnd == amount_vnd:
            try:
                return await self._billing.charges.page(reader, order.code, language)
            except ConflictError as error:
                if error.slug != "order-begun":
                    raise
        return f"/r/{reader.agency}/orders/{order.code}"


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = ContributionPages(front)

    @routes.get("/r/{agency}/contribute")
    async def show(
        request: Request, agency: str, amount: str = "", return_to: str = ""
    ) -> Response:
        place = await front.enter(request, agency)
        return await pages.show(request, place, Asked(plain(amount, 30), "", return_to))

    @routes.post("/r/{agency}/contribute")
    async def give(
        request: Request,
        agency: str,
        amount: str = Form(""),
        way: str = Form(""),
        return_to: str = Form(""),
    ) -> Response:
        return await pages.give(request, agency, Asked(plain(amount, 30), way, return_to))

    return routes
