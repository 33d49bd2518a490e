"""Letters' pages that lead to an order, ``/back/…`` and ``/renew/…``: with links and in browsers in which they are not what was meant."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import pytest

from services.billing.offers.rules import Kind
from shared.audit import Actor, acting
from tests.integration.billing.lives import DAY, Lives
from tests.integration.billing.paying import credited, credits
from tests.integration.billing.test_offers import FULL, INTRO, amounts, back_link, offered
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, Browser, World

LAN, MAI = "lan@example.vn", "mai@example.vn"


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def letter(world: World, **more: Any) -> tuple[str, dict[str, str]]:
    """The address in a letter to who left, and the form of its page."""
    await offered(world, Kind.WINBACK, **more)
    lives = Lives(world)
    await lives.transfers(LAN, "week")
    await world.advance(45 * DAY)
    await world.deliver()
    token = world.billing.links.back_token(await back_link(world, LAN), world.clock.now())
    price = str((await lives.price("month")).price_id)
    return f"/r/{AGENCY}/back/{token}", {"price": price, "shown": str(INTRO)}


async def press(browser: Browser, page: str, form: dict[str, str], way: str = "transfer") -> Any:
    return await browser.submit(page, f"/r/{AGENCY}/checkout", {**form, "way": way})


async def test_an_offers_page_is_of_one_reader_and_its_order_is_made_once(world: World) -> None:
    """Others who press are told that it is not for them, before anything is ordered; of many presses one order is made."""
    page, form = await letter(world)
    visitor, lan, mai = world.browser(), await world.signed_in(LAN), await world.signed_in(MAI)
    assert "checkout" not in (await mai.get(page)).text
    assert (await press(mai, f"/r/{AGENCY}/plans", form)).status_code == 409
    way_in = (await press(visitor, page, form)).headers["location"]
    answer = await visitor.submit(way_in, f"/r/{AGENCY}/sign-in", {"email": MAI})
    code = f"/r/{AGENCY}/sign-in/code"
    answer = await visitor.submit(code, code, {"code": await world.last_code(MAI)})
    back = way_in.split("return_to=", 1)[1]
    answer = await visitor.get(unquote(back).removeprefix(OWN))
    assert answer.status_code == 409, "who signs in there is somebody else"
    assert await world.value("SELECT count(*) FROM sales_order WHERE state = 'open'") == 0
    pressed = await asyncio.gather(*(press(lan, page, form) for _ in range(4)))
    assert len({one.headers["location"] for one in pressed}) == 1
    assert await world.value("SELECT count(*) FROM sales_order WHERE state = 'open'") == 1
    for wrong in (f"{page[:-3]}abc", page.replace(AGENCY, OTHER_AGENCY), f"{page}{'a' * 2_000}"):
        assert (await lan.get(wrong)).status_code == 404
        stop = await lan.client.post(f"{wrong}/stop", headers={"Origin": OWN})
        assert stop.status_code == 404
    stop = await lan.client.post(f"{page}/stop", headers={"Origin": "https://evil.example"})
    assert stop.status_code == 403
    await world.advance(36 * DAY)
    assert (await lan.get(page)).status_code == 404
    await world.assert_sound()


async def test_an_offer_that_is_over_is_paid_by_the_page_that_was_opened_before(
    world: World,
) -> None:
    """By one of them: what is transferred for another order of it waits for finance."""
    page, form = await letter(world)
    lan = await world.signed_in(LAN)
    by_transfer = (await press(lan, page, form)).headers["location"].rsplit("/", 1)[1]
    by_card = (await press(lan, page, form, "card")).headers["location"]
    with acting(Actor.system("test")):
        await world.billing.offers.end(AGENCY, (await back_link(world, LAN)).offer_id)
    assert "checkout" not in (await lan.get(page)).text
    assert (await press(lan, f"/r/{AGENCY}/plans", form)).status_code == 409
    assert (await world.pay(by_card)).status_code == 303
    await world.deliver()
    await credited(world, by_transfer, INTRO, id_=55)
    assert (await amounts(world, LAN))[1:] == [INTRO]
    assert (await credits(world))[-1][:2] == (INTRO, INTRO)
    answer = await press(lan, f"/r/{AGENCY}/plans", form)
    assert answer.headers["location"].endswith("notice=subscribed")
    await world.assert_sound()


@pytest.mark.parametrize("other", [{"gift": True, "renews": False}, {"renews": True}])
async def test_a_letter_about_a_terms_end_leads_to_no_order_for_something_else(
    world: World, other: dict[str, bool]
) -> None:
    """Who was about to give a month away, or to let a card renew it, is led to a month of their own, for once."""
    lives = Lives(world)
    await lives.transfers(LAN)
    await world.advance(25 * DAY)
    await lives.chooses(LAN, "month", **other)
    row = (await lives.subscriptions(LAN))[0]
    lan = await world.signed_in(LAN)
    page = f"/r/{AGENCY}/renew/{row.id}"
    shown = await lan.get(page)
    assert shown.status_code == 200
    price = shown.text.split('name="price" value="', 1)[1].split('"', 1)[0]
    answer = await lan.submit(page, f"/r/{AGENCY}/checkout", {"price": price, "way": "transfer"})
    code = answer.headers["location"].rsplit("/", 1)[1]
    await credited(world, code, FULL, id_=9)
    assert (await lives.subscriptions(LAN))[0].period_end > row.period_end + 25 * DAY
    assert await world.value("SELECT count(*) FROM gift") == 0
    await world.assert_sound()
