"""The flow of a payment, end to end inside one process."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from sqlalchemy import text

from services.billing.payments.adapters.port import PageOpen
from services.billing.webhooks import service
from services.billing.webhooks.repository import Incoming
from tests.integration.billing.world import AGENCY, DECLINED_CARD, GOOD_CARD, SITE, World


def types(events) -> list[str]:
    return [event["type"].removeprefix("vn.press.") for event in events]


async def test_a_reader_who_comes_back_from_paying_reads_on_before_any_webhook(world: World):
    browser = await world.signed_in()
    article = f"{SITE}/bai/1"
    page = await world.start_checkout(browser, return_to=article)
    back = await world.pay(page)
    receipt = await browser.get(back.headers["location"])
    assert receipt.status_code == 200
    assert "59.000" in receipt.text and article in receipt.text
    session = (await browser.get(f"/v1/agencies/{AGENCY}/session")).json()
    assert session["signed_in"] and session["token"]
    assert "billing.entitlement.granted.v1" in types(await world.events())

    await world.deliver()
    booked = await world.rows("SELECT kind, count(*) FROM journal_entry GROUP BY 1 ORDER BY 1")
    assert booked == [("payment", 1), ("recognition", 1)]
    assert await world.value("SELECT count(*) FROM payment") == 1
    assert await world.rows("SELECT DISTINCT state FROM webhook_event") == [("handled",)]
    await world.assert_sound()


async def test_a_payment_is_deferred_and_earned_day_by_day_to_the_last_dong(world: World):
    await world.subscribed()
    await world.deliver()
    sums = "SELECT account, sum(amount_vnd)::bigint FROM journal_line GROUP BY 1 ORDER BY 1"
    first = 59_000 // 30  # 23 November to 22 December
    assert await world.rows(sums) == [
        ("deferred_subscription", -(59_000 - first)),
        ("revenue_subscription", -first),
        ("stripe_receivable", 59_000),
    ]
    for _ in range(40):
        world.clock.advance(timedelta(days=1))
        await world.billing.recognition.run_due()
    assert await world.value("SELECT count(*) FROM journal_entry WHERE kind = 'recognition'") == 30
    assert (await world.rows(sums))[0] == ("deferred_subscription", 0)
    recorded = [
        e for e in await world.events() if e["type"] == "vn.press.metrics.revenue.recorded.v1"
    ]
    assert sum(e["data"]["amount"] for e in recorded) == 59_000
    deferred = [
        e for e in await world.events() if e["type"] == "vn.press.metrics.deferred.recorded.v1"
    ]
    assert sum(e["data"]["amount"] for e in deferred) == 0
    await world.assert_sound()


async def test_a_declined_card_buys_nothing_and_a_good_one_afterwards_does(world: World):
    browser = await world.signed_in()
    page = await world.start_checkout(browser)
    declined = await world.pay(page, DECLINED_CARD)
    assert "declined=1" in declined.headers["location"]
    await world.deliver()
    assert await world.value("SELECT count(*) FROM payment") == 0
    again = await world.start_checkout(browser)
    assert urlsplit(again).path == urlsplit(page).path, "the same payment page is still open"
    paid = await world.pay(again, GOOD_CARD)
    assert (await browser.get(paid.headers["location"])).status_code == 200
    await world.deliver()
    assert await world.rows("SELECT amount_vnd FROM payment") == [(59_000,)]
    assert await world.rows("SELECT state FROM subscription") == [("active",)]
    await world.assert_sound()


async def test_the_receipt_is_shown_also_when_the_article_has_a_vietnamese_address(world: World):
    browser = await world.signed_in()
    article = f"{SITE}/bài-viết/nhãn-lồng?trang=1"
    back = await world.pay(await world.start_checkout(browser, return_to=article))
    receipt = await browser.get(back.headers["location"])
    assert receipt.status_code == 200
    assert "refresh" not in receipt.headers  # nobody is led away while they read (WCAG 2.2.1)
    assert f'id="read-on" href="{article}"' in receipt.text


async def test_who_changes_their_mind_about_the_plan_cannot_pay_for_both(world: World):
    browser = await world.signed_in()
    month = await world.start_checkout(browser, "month")
    year = await world.start_checkout(browser, "year")
    await world.deliver()  # the first page is closed at the provider
    closed = await world.pay(month)
    assert "/orders/" not in closed.headers.get("location", "")
    assert "/orders/" in (await world.pay(year)).headers["location"]
    await world.deliver()
    assert await world.rows("SELECT state FROM sales_order ORDER BY created_at, id") == [
        ("closed",),
        ("paid",),
    ]
    assert await world.value("SELECT count(*) FROM payment") == 1
    await world.assert_sound()


async def test_who_has_paid_in_one_window_is_not_charged_in_another(world: World):
    browser = await world.signed_in()
    await world.pay(await world.start_checkout(browser, "month"))
    await world.deliver()
    offers = await world.billing.plans.offers(AGENCY)
    year = next(offer for offer in offers if offer.period == "year")
    answer = await browser.submit(
        f"/r/{AGENCY}/plans",
        f"/r/{AGENCY}/checkout",
        {"price": str(year.price_id), "way": "card"},
    )
    assert answer.headers["location"] == f"/r/{AGENCY}/account?notice=subscribed"
    assert await world.value("SELECT count(*) FROM payment") == 1
    await world.assert_sound()


async def test_two_plans_chosen_at_the_same_moment_open_at_most_one_payment_page(world: World):
    browser = await world.signed_in()
    offers = await world.billing.plans.offers(AGENCY)
    cookie = browser.client.cookies[f"press_reader_{AGENCY}"]
    _, reader = await world.billing.readers.current(AGENCY, cookie)

    async def choose(price_id: UUID) -> None:
        order = await world.billing.orders.start(reader, price_id, "", "vi", renews=True)
        await world.billing.charges.page(reader, order.code, "vi")

    periods = [offer.price_id for offer in offers if offer.kind == "period"]
    await asyncio.gather(*(choose(price_id) for price_id in periods), return_exceptions=True)
    await world.billing.charges.run_due()  # the pages of orders that were replaced are closed
    found = [
        await world.billing.provider.page_facts(row[0])
        for row in await world.rows("SELECT page_id FROM charge WHERE page_id IS NOT NULL")
    ]
    assert sum(isinstance(fact, PageOpen) for fact in found) <= 1


async def test_old_notifications_are_forgotten_and_change_nothing_if_they_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FORGOTTEN_A_ROUND", 1)
    await world.subscribed()
    await world.deliver()
    kept = [
        Incoming(*row)
        for row in await world.rows(
            "SELECT source, event_id, type, created_at, payload, agency FROM webhook_event ORDER BY created_at"
        )
    ]
    assert len(kept) > 1
    for number, state in enumerate(("parked", "waiting")):
        await world.billing.inbox.take(replace(kept[0], id=f"evt_{number}"))
        async with world.billing.database.transaction() as session:
            await session.execute(
                text("UPDATE webhook_event SET state = :state WHERE event_id = :id"),
                {"state": state, "id": f"evt_{number}"},
            )
    books = "SELECT account, sum(amount_vnd)::bigint FROM journal_line GROUP BY 1 ORDER BY 1"
    before = await world.rows(books)
    world.clock.advance(timedelta(days=60))
    assert await world.billing.webhooks.forget_old(60) == 0  # to the moment
    world.clock.advance(timedelta(seconds=1))
    assert await world.billing.webhooks.forget_old(60) == len(kept)
    assert await world.rows("SELECT event_id FROM webhook_event ORDER BY 1") == [
        ("evt_0",),
        ("evt_1",),
    ]
    for one in kept:
        assert await world.billing.inbox.take(one)
    await world.billing.applier.apply_due()
    assert await world.rows(books) == before
    assert await world.value("SELECT count(*) FROM payment") == 1
