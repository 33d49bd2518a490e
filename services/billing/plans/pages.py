"""What is sold, and the choice that leads to a payment: plans, passes, one article, gifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from services.billing.bundles.repository import Held
from services.billing.orders.codes import as_gift_code
from services.billing.orders.pages import CARD, TRANSFER, ways_to_pay
from services.billing.plans.repository import Offer
from services.billing.plans.rules import (
    ARTICLE,
    BUNDLE,
    CONTRIBUTION,
    MONTHS,
    ONCE_BY_CARD,
    PASS,
    saving_percent,
)
from services.billing.readers.models import Reader
from services.billing.readers.web import Place, ReaderFront, plain, see_other, with_return
from services.billing.seats.rules import parse_seats
from services.billing.subscriptions.rules import State
from shared.contracts.articles import article_id
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.web.i18n import request_language


@dataclass(frozen=True, slots=True)
class Choice:
    """What a reader chose, as their form says it and as it comes back from signing in. ``shown``: the offer's đồng that they saw."""

    price: str
    way: str
    article: str
    gift: bool
    return_to: str
    seats: str = ""
    shown: str = ""

    def query(self) -> dict[str, str]:
        return {
            "price": self.price,
            "way": self.way,
            "article": self.article,
            "gift": "1" if self.gift else "",
            "seats": self.seats,
            "shown": self.shown,
        }


def _from_form(
    price: str = Form(""),
    way: str = Form(""),
    article: str = Form(""),
    gift: str = Form(""),
    return_to: str = Form(""),
    seats: str = Form(""),
    shown: str = Form(""),
) -> Choice:
    return _choice(price, way, article, gift, return_to, seats, shown)


def _from_query(
    price: str = Query(""),
    way: str = Query(""),
    article: str = Query(""),
    gift: str = Query(""),
    return_to: str = Query(""),
    seats: str = Query(""),
    shown: str = Query(""),
) -> Choice:
    return _choice(price, way, article, gift, return_to, seats, shown)


def _choice(
    price: str, way: str, article: str, gift: str, return_to: str, seats: str, shown: str
) -> Choice:
    words = price[:50], plain(way, 20), article_id(article)
    return Choice(*words, gift == "1", return_to, plain(seats, 5), plain(shown, 20))


class PlanPages:
    """What a reader chooses from; whoever is not signed in is sent there and comes back."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing

    async def plans(
        self,
        request: Request,
        place: Place,
        return_to: str,
        article: str,
        status: int = 200,
        *,
        canceled: bool = False,
        problem: str = "",
    ) -> Response:
        found = await self._front.reader(request, place.agency.id)
        reader = found[1] if found else None
        own = await self._billing.accounts.of_reader(reader.id) if reader else []
        current = next((one for one in own if one.renews), None)
        ending = next((one for one in own if one.state is State.ENDING), None)
        term_until = await self._billing.subscriptions.term_until(reader.id) if reader else None
        ways = await ways_to_pay(self._billing, place.agency.id)
        sold = await self._billing.plans.offers(place.agency.id)
        tries = CARD in ways and (reader is None or await self._billing.accounts.is_new(reader.id))
        language = request_language(request)
        priced = await self._billing.offers.prices(sold, reader.id if reader else None)
        students = await self._billing.offers.students(sold)
        offers = [
            _shown(offer, language, current.offer if current else None)
            | {"trial": offer.trial_days if tries else None}
            | {"priced": priced.get(offer.price_id), "student": students.get(offer.price_id)}
            | worth(offer, sold)
            for offer in sold
        ]
        back = place.back(return_to)
        return self._front.render(
            request,
            "plans.html",
            place,
            status,
            reader=reader,
            open_groups=await self._front.open_groups(request, reader),
            places=await self._billing.seats.places(reader) if reader else [],
            current=current,
            ending=ending,
            term_until=term_until,
            term=next((one for one in own if one.changeable and not one.renews), None),
            ways=ways,
            zone=place.agency.zone,
            canceled=canceled,
            problem=problem,
            return_to=back,
            returning=with_return(back),
            article=article,
            plans=by_plan(offers),
            best=best_value(offers),
            once=[one for one in offers if _for_now(one, ways, article)],
            gifts=TRANSFER in ways,
            gives=any(one["kind"] == CONTRIBUTION for one in offers),
            held=await self._held(reader, article),
        )

    async def _held(self, reader: Reader | None, article: str) -> tuple[Held, int] | None:
        """The bundle that opens the article before which the reader stands."""
        return await self._billing.bundles.offered(reader.id) if reader and article else None

    async def checkout(self, request: Request, agency_id: str, chosen: Choice) -> Response:
        """A plan and a way to pay were chosen: to the payment page, by way of signing in where that is needed."""
        place = await self._front.enter(request, agency_id)
        await self._front.forms.verify(request)
        found = await self._front.reader(request, agency_id)
        if found is None:
            proof = self._front.forms.choice(request, agency_id, chosen.price)
            back = {"choice": proof, "return_to": place.back(chosen.return_to)}
            query = urlencode(chosen.query() | back)
            return self._front.to_sign_in(agency_id, f"/r/{agency_id}/checkout?{query}")
        return await self._start(request, place, found[1], chosen)

    async def chosen(
        self, request: Request, agency_id: str, chosen: Choice, choice: str
    ) -> Response:
        """Back from signing in: straight to the payment of what this browser chose before.

        An address alone starts nothing: ``choice`` proves that the plan was chosen here.
        """
        place = await self._front.enter(request, agency_id)
        found = await self._front.reader(request, agency_id)
        proof = self._front.forms.choice(request, agency_id, chosen.price)
        if found is None or not compare_digest(choice.encode(), proof.encode()):
            return see_other(f"/r/{agency_id}/plans?{with_return(place.back(chosen.return_to))}")
        return await self._start(request, place, found[1], chosen)

    async def _start(
        self, request: Request, place: Place, reader: Reader, chosen: Choice
    ) -> Response:
        back = place.back(chosen.return_to)
        try:
            price_id = UUID(chosen.price)
        except ValueError:
            raise NotFoundError from None
        try:
            url = await self._payment_page(request, reader, price_id, chosen, back)
        except ConflictError as error:
            if error.slug == "already-subscribed":
                account = f"/r/{place.agency.id}/account?notice=subscribed"
                return see_other(f"{account}&{with_return(back)}" if back else account)
            problem = "This price has just changed. Please choose again."
            if error.slug == "payment-processing":
                problem = "Your bank has not decided about your last payment yet. Please wait for it; nothing is charged twice."
            elif error.slug == "seats-number":
                problem = "So many seats are not sold in this plan."
            elif error.slug == "order-not-open":
                problem = "Another plan was chosen in another window. Please choose again."
            elif error.slug == "not-your-offer":
                problem = "That offer is not for your account: it is for who has never had a plan, or its time is over. These are your prices; nothing was charged."
            return await self.plans(
                request, place, chosen.return_to, chosen.article, 409, problem=problem
            )
        except UnavailableError:
            problem = "The payment page cannot be reached right now. Nothing was charged; please try again."
            answer = await self.plans(
                request, place, chosen.return_to, chosen.article, 503, problem=problem
            )
            answer.headers["Retry-After"] = "5"
            return answer
        return see_other(url)

    async def _payment_page(
        self, request: Request, reader: Reader, price_id: UUID, chosen: Choice, back: str
    ) -> str:
        """Raises what starting an order, and opening its page, raise."""
        language, ways = request_language(request), await ways_to_pay(self._billing, reader.agency)
        offer = await self._billing.plans.offer(reader.agency, price_id)
        once = chosen.gift or offer.kind != "period"
        way = chosen.way if chosen.way in ways else (ways or [CARD])[0]
        renews = way == CARD and not once
        by_card = renews or (way == CARD and offer.kind in ONCE_BY_CARD and not chosen.gift)
        if not by_card and TRANSFER not in ways:
            raise NotFoundError
        if chosen.shown and not chosen.gift:
            priced = await self._billing.offers.priced(reader.id, offer)
            if chosen.shown != str(priced.amount_vnd):
                raise ConflictError(slug="not-your-offer")
        order = await self._billing.orders.start(
            reader,
            price_id,
            back,
            language,
            article=chosen.article if offer.kind == "article" and chosen.article else None,
            gift=chosen.gift,
            renews=renews,
            seats=parse_seats(chosen.seats),
        )
        # Of an order that a part was transferred for its own page says so: no card is asked for.
        asked = (order.price_id, order.gift, order.renews) == (price_id, chosen.gift, renews)
        if by_card and asked:
            try:
                return await self._billing.charges.page(reader, order.code, language)
            except ConflictError as error:
                if error.slug != "order-begun":
                    raise
        return f"/r/{reader.agency}/orders/{order.code}"

    async def gifts(
        self, request: Request, place: Place, code: str, status: int = 200, problem: str = ""
    ) -> Response:
        """To give a period to somebody else, and to redeem one."""
        found = await self._front.reader(request, place.agency.id)
        offers = await self._billing.plans.offers(place.agency.id)
        ways = await ways_to_pay(self._billing, place.agency.id)
        return self._front.render(
            request,
            "gifts.html",
            place,
            status,
            reader=found[1] if found else None,
            offers=[
                _shown(offer, request_language(request), None)
                for offer in offers
                if offer.kind == "period" and TRANSFER in ways and not offer.per_seat
            ],
            code=code,
            problem=problem,
        )

    async def redeem(self, request: Request, agency_id: str, code: str) -> Response:
        place = await self._front.enter(request, agency_id)
        await self._front.forms.verify(request)
        found = await self._front.reader(request, agency_id)
        if found is None:
            typed = urlencode({"code": code})
            return self._front.to_sign_in(agency_id, f"/r/{agency_id}/gifts?{typed}")
        plain = as_gift_code(code)
        try:
            if plain is None:
                raise NotFoundError
            await self._billing.orders.redeem(found[1], plain)
        except NotFoundError:
            problem = "There is no gift with this code. It has sixteen letters and digits: please look again."
            return await self.gifts(request, place, code, 404, problem)
        except ConflictError as error:
            problem = "This gift was redeemed before."
            if error.slug == "gift-returned":
                problem = "The money of this gift was given back: it opens nothing any more."
            if error.slug == "already-subscribed":
                problem = "Your subscription renews by itself. Cancel it in your account first; then the gift begins when it ends."
            return await self.gifts(request, place, code, 409, problem)
        return see_other(f"/r/{agency_id}/account?notice=gift")


def worth(offer: Offer, sold: Sequence[Offer]) -> dict[str, Any]:
    """What a long period costs a month, and what it saves beside paying by the month."""
    months = MONTHS.get(offer.period, 0)
    saved = {
        one.price_id: saving_percent(one.amount_vnd, one.period, month.amount_vnd)
        for month in sold
        for one in sold
        if month.plan_id == one.plan_id == offer.plan_id and month.period == "month"
    }
    saves = saved.get(offer.price_id, 0)
    return {"monthly": offer.amount_vnd // months if months > 1 else None, "saves": saves}


def best_value(offers: Sequence[dict[str, Any]]) -> str | None:
    """The price that saves most of all that are shown: where several do, that of the fewest readers, then the lowest. None where none
    saves anything."""
    saving = [one for one in offers if one["saves"] > 0]
    if not saving:
        return None
    best = min(
        saving, key=lambda one: (-one["saves"], one["per_seat"], one["seats"], one["amount"])
    )
    return str(best["id"])


def by_plan(offers: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What is sold by the period, the prices of a plan together."""
    periods = [one for one in offers if one["kind"] == "period"]
    return [list(prices) for _, prices in groupby(periods, key=lambda one: one["plan"])]


def _for_now(offer: dict[str, Any], ways: Sequence[str], article: str) -> bool:
    """Whether it is offered beside the plans: passes and, before an article, that one alone are paid by transfer only; bundles in every
    way."""
    if offer["kind"] == BUNDLE:
        return bool(ways)
    return TRANSFER in ways and (
        offer["kind"] == PASS or (offer["kind"] == ARTICLE and bool(article))
    )


def _shown(offer: Offer, language: str, own: Offer | None) -> dict[str, Any]:
    return {
        "id": str(offer.price_id),
        "plan": offer.plan_code,
        "kind": offer.kind,
        "days": offer.days,
        "uses": offer.uses,
        "name": offer.name(language),
        "description": offer.description(language),
        "period": offer.period,
        "amount": offer.amount_vnd,
        "seats": offer.seats,
        "per_seat": offer.per_seat,
        # By plan and period: the price may have changed since it was bought.
        "own": own is not None and (offer.plan_id, offer.period) == (own.plan_id, own.period),
    }


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = PlanPages(front)

    @routes.get("/r/{agency}/plans")
    async def plans(
        request: Request, agency: str, return_to: str = "", canceled: str = "", article: str = ""
    ) -> Response:
        place = await front.enter(request, agency)
        named = article_id(article)
        return await pages.plans(request, place, return_to, named, canceled=bool(canceled))

    @routes.post("/r/{agency}/checkout")
    async def checkout(
        request: Request, agency: str, chosen: Choice = Depends(_from_form)
    ) -> Response:
        return await pages.checkout(request, agency, chosen)

    @routes.get("/r/{agency}/checkout")
    async def back_again(
        request: Request, agency: str, choice: str = "", chosen: Choice = Depends(_from_query)
    ) -> Response:
        return await pages.chosen(request, agency, chosen, choice)

    @routes.get("/r/{agency}/gifts")
    async def gifts(request: Request, agency: str, code: str = "") -> Response:
        place = await front.enter(request, agency)
        return await pages.gifts(request, place, plain(code, 40))

    @routes.post("/r/{agency}/gifts/redeem")
    async def redeem(request: Request, agency: str, code: str = Form("")) -> Response:
        return await pages.redeem(request, agency, plain(code, 40))

    return routes
