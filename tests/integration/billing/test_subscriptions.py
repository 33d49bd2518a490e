"""What happens to a subscription over time: renewal, failure and recovery, cancellation, refunds."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg

from services.billing import seed
from services.billing.readers.devices import device_name
from tests.fixtures.roles import as_owner
from tests.integration.billing.lives import API
from tests.integration.billing.world import AGENCY, FAILS_ON_RENEWAL, World, make_world

DAY = timedelta(days=1)


async def review(world: World) -> None:
    await world.billing.renewals.run_due()


async def state(world: World) -> str:
    return await world.value("SELECT state FROM subscription")


async def last_entitlement(world: World) -> dict:
    told = [
        event
        for event in await world.events()
        if event["type"].startswith("vn.press.billing.entitlement")
    ]
    versions = [event["version"] for event in told]
    assert versions == sorted(set(versions)), "versions only grow"
    return told[-1]


async def test_a_renewal_that_fails_gives_grace_and_then_ends_the_right_to_read(world: World):
    await world.subscribed(card=FAILS_ON_RENEWAL)
    await world.deliver()
    assert await state(world) == "active"
    until = await world.value("SELECT period_end FROM subscription")
    reader = await world.value("SELECT reader_id FROM subscription")
    tried = "SELECT count(*) FROM charge WHERE kind = 'mandate'"
    for after, tries, now in [
        (0, 1, "grace"),
        (1, 2, "grace"),
        (2, 2, "grace"),
        (3, 3, "grace"),
        (5, 4, "grace"),
    ]:
        world.clock.set(until + after * DAY)
        await world.deliver()
        assert (await world.value(tried), await state(world)) == (tries, now)
        assert await world.billing.subscriptions.rights(reader)
    world.clock.set(until + 7 * DAY - timedelta(microseconds=1))
    await world.deliver()
    assert await state(world) == "grace" and await world.billing.subscriptions.rights(reader)
    world.clock.set(until + 7 * DAY)
    await world.deliver()
    assert await state(world) == "expired"
    assert not await world.billing.subscriptions.rights(reader)
    world.clock.advance(60 * DAY)
    await world.deliver()
    assert await world.value(tried) == 4, "nobody is charged whose right has ended"
    assert await world.rows("SELECT state FROM sales_order ORDER BY created_at") == [
        ("paid",),
        ("closed",),
    ]
    moved = await world.rows("SELECT movement, amount_vnd FROM mrr_movement ORDER BY id")
    assert moved == [("new", 59_000), ("churn", -59_000)]
    await world.assert_sound()


async def test_cancel_at_the_end_and_resume_are_told_at_once_and_take_effect_by_the_clock(
    world: World,
):
    browser = await world.subscribed()
    await world.deliver()
    id_ = await world.value("SELECT id FROM subscription")
    account = f"/r/{AGENCY}/account"
    await browser.submit(account, f"{account}/cancel", {"subscription": str(id_)})
    end = (await last_entitlement(world))["data"]["valid_until"]
    await browser.submit(account, f"{account}/resume", {"subscription": str(id_)})
    resumed = (await last_entitlement(world))["data"]["valid_until"]
    assert end < resumed, "a subscription that renews may be paid a little late"
    await browser.submit(account, f"{account}/cancel", {"subscription": str(id_)})
    assert (await last_entitlement(world))["data"]["valid_until"] == end
    # The provider says nothing: the clock is enough.
    world.clock.advance(30 * DAY)
    await review(world)
    assert await state(world) == "canceled"
    await world.assert_sound()


async def test_nobody_cancels_somebody_elses_subscription(world: World):
    await world.subscribed("lan@example.vn")
    await world.deliver()
    id_ = await world.value("SELECT id FROM subscription")
    minh = await world.signed_in("minh@example.vn")
    account = f"/r/{AGENCY}/account"
    answer = await minh.submit(account, f"{account}/cancel", {"subscription": str(id_)})
    assert answer.status_code == 404
    assert not await world.value("SELECT cancel_at_period_end FROM subscription")


async def test_a_whole_refund_revokes_and_reverses_what_was_not_earned(world: World):
    await world.subscribed()
    await world.deliver()
    world.clock.advance(9 * DAY)
    charge = (await world.payer.get("/v1/charges", headers=API)).json()["data"][0]["id"]
    await world.payer.post("/v1/refunds", data={"charge": charge}, headers=API)
    await world.deliver()
    told = await last_entitlement(world)
    assert told["type"].endswith("revoked.v1") and told["data"]["reason"] == "refund"
    earned = 59_000 * 10 // 30
    sums = await world.rows(
        "SELECT account, sum(amount_vnd)::bigint FROM journal_line GROUP BY 1 ORDER BY 1"
    )
    assert sums == [
        ("deferred_subscription", 0),
        ("refunds_subscription", earned),
        ("revenue_subscription", -earned),
        ("stripe_receivable", 0),
    ]
    world.clock.advance(30 * DAY)
    assert await world.billing.recognition.run_due() == 0
    await world.assert_sound()


async def test_an_event_that_never_arrived_is_found_by_the_sweep(world: World):
    world.sandbox.state.sandbox.settings.webhook_drop = 1.0
    await world.subscribed()
    await world.deliver()
    assert await world.value("SELECT count(*) FROM payment") == 0
    assert await world.billing.webhooks.sweep() > 0
    await world.billing.applier.apply_due()
    assert await state(world) == "active"
    assert await world.rows("SELECT DISTINCT via FROM webhook_event") == [("sweep",)]
    assert await world.billing.webhooks.sweep() == 0
    await world.assert_sound()


async def test_a_second_subscription_of_the_same_agency_is_not_sold(world: World):
    browser = await world.subscribed()
    await world.deliver()
    offers = await world.billing.plans.offers(AGENCY)
    answer = await browser.submit(
        f"/r/{AGENCY}/account",
        f"/r/{AGENCY}/checkout",
        {"price": str(offers[0].price_id), "way": "card"},
    )
    assert answer.headers["location"].endswith("/account?notice=subscribed")


async def test_a_canceled_subscription_is_not_resumed_beside_the_one_bought_after_it(world: World):
    browser = await world.subscribed()
    await world.deliver()
    first = await world.value("SELECT id FROM subscription")
    account = f"/r/{AGENCY}/account"
    await browser.submit(account, f"{account}/cancel", {"subscription": str(first)})
    await world.pay(await world.start_checkout(browser, "year"))
    await world.deliver()
    renewing = "SELECT id FROM subscription WHERE NOT cancel_at_period_end"
    (second,) = (row[0] for row in await world.rows(renewing))
    assert second != first
    answer = await browser.submit(account, f"{account}/resume", {"subscription": str(first)})
    assert answer.headers["location"].endswith("/account?notice=another")
    shown = await browser.get(answer.headers["location"])
    assert "Bạn có một gói khác đang tự gia hạn" in shown.text
    assert await world.rows(renewing) == [(second,)]
    await browser.submit(account, f"{account}/cancel", {"subscription": str(second)})
    await browser.submit(account, f"{account}/resume", {"subscription": str(first)})
    assert await world.rows(renewing) == [(first,)]
    await world.assert_sound()


async def test_the_token_for_the_paywall_names_what_may_be_read_and_until_when(world: World):
    from services.billing.composition import signing_keys

    browser = await world.subscribed()
    await world.deliver()
    token = (await browser.get(f"/v1/agencies/{AGENCY}/session")).json()["token"]
    keys = signing_keys(world.billing.settings)
    claims = keys.verify(token, audience="press-paywall", now=world.clock.now())
    until = await world.value("SELECT valid_until FROM entitlement")
    assert claims["iss"] == "press-billing" and claims["agency"] == AGENCY
    assert claims["ent"] == [{"scope": "site", "until": int(until.timestamp())}]
    assert claims["exp"] - claims["iat"] == 300


async def test_two_clicks_are_one_payment_page(world: World):
    import asyncio

    browser = await world.signed_in()
    pages = await asyncio.gather(*(world.start_checkout(browser) for _ in range(3)))
    assert len(set(pages)) == 1
    assert await world.value("SELECT count(*) FROM charge") == 1


def test_devices_have_names_people_know():
    phone = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
    assert device_name(phone) == "Chrome · Android"
    zalo = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Zalo iOS/634"
    coc_coc = "Mozilla/5.0 (Windows NT 10.0) coc_coc_browser/111.0 Chrome/105.0 Safari/537.36"
    assert device_name(zalo) == "Zalo · iPhone"
    assert device_name(coc_coc) == "Cốc Cốc · Windows"
    assert device_name("") == "?"


async def movements(world: World) -> list[tuple[str, int]]:
    found = await world.rows("SELECT movement, amount_vnd FROM mrr_movement ORDER BY id")
    told = [
        (event["data"]["movement"], event["data"]["amount"])
        for event in await world.events()
        if event["type"].startswith("vn.press.metrics.mrr")
    ]
    assert sorted(told) == sorted(found), "finance is told what the books say"
    return found


async def test_a_year_counts_by_the_month_and_who_comes_back_is_not_new(world: World):
    """590,000 ₫ a year are 49,166 ₫ a month; a reader who had left is a reactivation, another reader is new."""
    lan = await world.subscribed(period="year")
    await world.deliver()
    assert await movements(world) == [("new", 49_166)]
    id_ = await world.value("SELECT id FROM subscription")
    account = f"/r/{AGENCY}/account"
    await lan.submit(account, f"{account}/cancel", {"subscription": str(id_)})
    world.clock.advance(365 * DAY)
    await review(world)
    assert (await movements(world))[1:] == [("churn", -49_166)]
    again = await world.subscribed()
    assert again is not lan
    await world.deliver()
    assert (await movements(world))[2:] == [("reactivation", 59_000)]
    await world.subscribed("minh@example.vn")
    await world.deliver()
    assert (await movements(world))[3:] == [("new", 59_000)]
    await world.assert_sound()


async def test_days_are_the_agencys_own_from_its_midnight_on(empty_url, tmp_path):
    """At one in the morning of 24 November in Hà Nội it is still the 23rd in UTC."""
    at = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
    async with make_world(empty_url, tmp_path, at=at, on_create=seed.load) as world:
        await world.subscribed()
        await world.deliver()
        first = date(2026, 11, 24)
        day_of = "SELECT occurred_on FROM journal_entry WHERE kind = '{}' ORDER BY 1"
        assert await world.rows(day_of.format("payment")) == [(first,)]
        assert await world.rows("SELECT starts_on, ends_on FROM recognition_schedule") == [
            (first, first + 30 * DAY)
        ]
        assert await world.rows(day_of.format("recognition")) == [(first,)]
        assert await world.rows("SELECT occurred_on FROM mrr_movement") == [(first,)]
        # Until its next midnight no further day is earned, from then on one is.
        world.clock.advance(timedelta(hours=22, minutes=59))
        assert await world.billing.recognition.run_due() == 0
        world.clock.advance(timedelta(minutes=1))
        assert await world.billing.recognition.run_due() == 1
        assert await world.rows(day_of.format("recognition")) == [(first,), (first + DAY,)]
        await world.assert_sound()


async def test_tax_inside_a_price_is_owed_and_never_revenue(world: World, billing_url):
    """59,000 ₫ with 10 % inside are 53,636 ₫ and 5,364 ₫ of tax, from the payment to the last day and back."""
    owner = await asyncpg.connect(as_owner(billing_url))
    try:
        await owner.execute(
            "UPDATE vat_rate SET treatment = 'rate', rate_basis_points = 1000 "
            "WHERE kind = 'press_subscription'"
        )
    finally:
        await owner.close()
    await world.subscribed()
    await world.deliver()
    sums = "SELECT account, sum(amount_vnd)::bigint FROM journal_line GROUP BY 1 ORDER BY 1"
    assert dict(await world.rows(sums)) == {
        "stripe_receivable": 59_000,
        "vat_payable": -5_364,
        "deferred_subscription": -53_636 + 53_636 // 30,
        "revenue_subscription": -(53_636 // 30),
    }
    world.clock.advance(40 * DAY)
    await world.billing.recognition.run_due()
    assert dict(await world.rows(sums)) == {
        "stripe_receivable": 59_000,
        "vat_payable": -5_364,
        "deferred_subscription": 0,
        "revenue_subscription": -53_636,
    }
    earned = sum(
        event["data"]["amount"]
        for event in await world.events()
        if event["type"].startswith("vn.press.metrics.revenue")
    )
    assert earned == 53_636, "finance is told of revenue without tax"
    await world.assert_sound()


async def test_what_is_told_of_one_payment_at_once_is_one_payment(world: World):
    """Four appliers, the reader who comes back, and the worker that asks: one period, one invoice, one receipt."""
    page = await world.start_checkout(await world.signed_in())
    await world.pay(page)
    await world.sandbox.state.deliverer.deliver_due()
    charge, reader = (await world.rows("SELECT id, reader_id FROM charge"))[0]
    await asyncio.gather(
        *(world.billing.applier.apply_due() for _ in range(4)),
        world.billing.charges.look(charge, reader),
        world.billing.charges.ask_now(charge),
    )
    assert await world.value("SELECT count(*) FROM webhook_event WHERE state <> 'handled'") == 0
    for table in ("payment", "invoice", "subscription", "entitlement"):
        assert await world.value(f"SELECT count(*) FROM {table}") == 1, table
    assert await state(world) == "active"
    await world.assert_sound()
