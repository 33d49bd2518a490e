"""Bundles: so many articles paid for at once, each opened by one press; from the order to the last day, and back."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.billing.charges.returns import give_back, hold, hold_readers, take_again
from services.billing.coupons.service import NewCoupon
from services.billing.payments.service import MoneyBack
from services.billing.refunds.service import By
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.fixtures.roles import as_superuser
from tests.integration.billing.invariants_read import read_invariants
from tests.integration.billing.paying import balances, credited, person
from tests.integration.billing.test_once_and_gifts import chosen, price_of
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, SITE, Browser, World

PRICE, USES, DAYS = 20_000, 10, 90
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
FINANCE = By("018f0000-0000-7000-8000-000000000001", "Hà")
ARTICLE_PAGE = f"{SITE}/bai/mua-nhan"


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def bought(world: World, email: str = "lan@example.vn", number: int = 1) -> Browser:
    browser = await world.signed_in(email)
    code = await chosen(world, browser, "muoi-bai")
    await credited(world, code, PRICE, id_=number)
    return browser


async def press(
    browser: Browser, article: str, *, origin: str | None = SITE, agency: str = AGENCY
) -> httpx.Response:
    """The button of the wall, as the script on the newspaper's page sends it."""
    return await browser.client.post(
        "/v1/bundle-uses",
        content=json.dumps({"agency": agency, "article_id": article}),
        headers={"Origin": origin} if origin else {},
    )


async def told(browser: Browser) -> dict[str, Any] | None:
    """What the newspaper's page is told of the reader's bundle."""
    answer = await browser.get(f"/v1/agencies/{AGENCY}/session", headers={"Origin": SITE})
    found: dict[str, Any] | None = answer.json()["bundle"]
    return found


async def used(world: World) -> list[str]:
    rows = await world.rows("SELECT article FROM bundle_use ORDER BY used_at, number")
    return [row[0] for row in rows]


async def shrink(world: World, uses: int) -> None:
    """From now on a bundle of this size is sold."""
    plan = {"code": "vai-bai", "kind": "bundle", "days": 30, "uses": uses}
    words = {"name_vi": "Vài bài", "name_en": "Some articles"}
    with acting(Actor.system("test")):
        await world.billing.plans.save_plan(AGENCY, plan | words, {"once": 4_000})


async def test_one_press_opens_an_article_and_pressing_again_costs_nothing(world: World) -> None:
    # It is offered beside the single article, and without one too.
    browser = await world.signed_in()
    page = (await browser.get(f"/r/{AGENCY}/plans?article=mua-nhan")).text
    assert await price_of(world, "muoi-bai") in page and "Dùng 1 trong" not in page
    assert await price_of(world, "muoi-bai") in (await browser.get(f"/r/{AGENCY}/plans")).text
    assert await told(browser) is None
    assert (await press(browser, "mua-nhan")).status_code == 409

    await bought(world)
    order = await world.value("SELECT code FROM sales_order WHERE state = 'paid'")
    assert "10/10" in (await browser.get(f"/r/{AGENCY}/orders/{order}")).text
    assert await world.rows("SELECT * FROM subscription") == []
    assert await balances(world) == {"bank": PRICE, "deferred_subscription": -PRICE}
    offer = await told(browser)
    assert offer == {
        "uses": USES,
        "left": USES,
        "valid_until": "2027-02-21T03:00:00Z",
        "use_url": f"{OWN}/v1/bundle-uses",
    }
    # One press from the newspaper's page; the script asks again with a fresh token, which has the article.
    answer = await press(browser, "mua-nhan")
    assert (answer.status_code, answer.json()) == (200, {"used": True}), answer.text
    assert answer.headers["access-control-allow-origin"] == SITE
    (event,) = [one for one in await world.events() if "entitlement" in one["type"]]
    assert event["type"] == "vn.press.billing.entitlement.granted.v1"
    assert event["data"]["scope"] == "article:mua-nhan"
    assert event["data"]["valid_until"].startswith("2027-11-23T03:00:00")
    # Again, in a second tab, and many at the same time from two processes: one use.
    found = await asyncio.gather(*(press(browser, "mua-nhan") for _ in range(4)))
    assert [one.json() for one in found] == [{"used": False}] * 4
    reader = await person(world)
    other = world.billing.bundles.__class__(world.billing.database, world.clock)
    new = await asyncio.gather(
        *(one.use(reader, "gao-nep") for one in (world.billing.bundles, other, other))
    )
    assert sorted(new) == [False, False, True]
    assert await used(world) == ["mua-nhan", "gao-nep"]
    assert ((await told(browser)) or {})["left"] == USES - 2

    # The same press on billing's page of plans, and back at the article.
    page = (await browser.get(f"/r/{AGENCY}/plans?article=sen-ho&return_to={ARTICLE_PAGE}")).text
    assert "Dùng 1 trong 10 bài (còn 8)" in page
    form = {"article": "sen-ho", "return_to": ARTICLE_PAGE}
    answer = await browser.submit(f"/r/{AGENCY}/plans", f"/r/{AGENCY}/bundles/use", form)
    assert (answer.status_code, answer.headers["location"]) == (303, ARTICLE_PAGE)
    account = (await browser.get(f"/r/{AGENCY}/account")).text
    assert "còn 7/10 bài" in account and "sen-ho" in account and "21/02/2027" in account
    staff = world.browser(press_staff="support-token")
    desk = (await staff.get(f"/staff/{AGENCY}/readers/{reader.id}")).text
    assert "đã chọn 3/10 bài" in desk and "mua-nhan, gao-nep, sen-ho" in desk
    # An article that is sold alone is not sold to who has it; a reader of everything uses nothing.
    refused = {"price": await price_of(world, "mot-bai"), "article": "sen-ho", "way": "transfer"}
    answer = await browser.submit(f"/r/{AGENCY}/plans", f"/r/{AGENCY}/checkout", refused)
    assert answer.headers["location"].endswith("notice=subscribed")
    await credited(world, await chosen(world, browser, "ngay"), 5_000, id_=7)
    assert (await press(browser, "sau-rieng")).json() == {"used": False}
    assert await used(world) == ["mua-nhan", "gao-nep", "sen-ho"]
    await world.assert_sound()


async def test_only_the_agencys_own_pages_and_its_own_reader_use_a_bundle(world: World) -> None:
    browser = await bought(world)
    for origin, agency, status in (
        ("https://evil.test", AGENCY, 403),
        (None, AGENCY, 403),
        ("null", AGENCY, 403),
        (SITE, "nobody", 404),
        (SITE, OTHER_AGENCY, 403),
    ):
        answer = await press(browser, "mua-nhan", origin=origin, agency=agency)
        assert answer.status_code == status, (origin, agency, answer.text)
        assert answer.headers.get("access-control-allow-origin") in (None, SITE)
    stranger = world.browser()
    assert (await press(stranger, "mua-nhan")).status_code == 401
    other = await world.signed_in("minh@example.vn")
    assert (await press(other, "mua-nhan")).status_code == 409
    for body in (
        b"",
        b"[]",
        b'{"agency": "bao-hung-yen"}',
        b'{"agency":"a","article_id":"\\u0000"}',
        b'{"agency":"bao-hung-yen","article_id":"a b"}',  # no article has it: one of the ten would open nothing
        b'{"agency":"bao-hung-yen","article_id":"-a"}',
        b'{"agency":"bao-hung-yen","article_id":"mua-nhan","more":'
        + b"[" * 1_900
        + b"]" * 1_900
        + b"}",
    ):
        answer = await browser.client.post(
            "/v1/bundle-uses", content=body, headers={"Origin": SITE}
        )
        assert answer.status_code == 400, body
    answer = await browser.client.post(
        f"/r/{AGENCY}/bundles/use", data={"article": "mua-nhan"}, headers={"Origin": OWN}
    )
    assert answer.status_code == 403  # without the form's token
    answer = await browser.submit(
        f"/r/{AGENCY}/plans",
        f"/r/{AGENCY}/bundles/use",
        {"article": "mua-nhan", "return_to": "https://evil.test/"},
    )
    assert answer.headers["location"] == f"/r/{AGENCY}/account?notice=article-open"
    assert await used(world) == ["mua-nhan"]


async def test_the_last_use_opens_one_article_and_the_bundle_that_ends_first_goes_first(
    world: World, billing_url: str
) -> None:
    await shrink(world, 2)
    browser = await bought(world)
    await credited(world, await chosen(world, browser, "vai-bai"), 4_000, id_=2)
    reader = await person(world)
    offered = await world.billing.bundles.offered(reader.id)
    assert offered is not None and (offered[0].uses, offered[1]) == (2, 2)
    assert await world.billing.bundles.use(reader, "a")
    # Of the bundle that ends first one is left: two rivals, and the other bundle takes the second.
    assert await asyncio.gather(*(world.billing.bundles.use(reader, one) for one in "bc")) == [
        True,
        True,
    ]
    rows = await world.rows(
        "SELECT b.uses, count(*) FROM bundle b JOIN bundle_use u ON u.bundle_id = b.id GROUP BY 1 ORDER BY 1"
    )
    assert rows == [(2, 2), (USES, 1)]
    # Another reader's last one, with no other bundle: exactly one.
    await credited(
        world,
        await chosen(world, await world.signed_in("minh@example.vn"), "vai-bai"),
        4_000,
        id_=3,
    )
    minh = await person(world, "minh@example.vn")
    assert await world.billing.bundles.use(minh, "a")
    rivals = (world.billing.bundles.use(minh, one) for one in "xyz")
    found = await asyncio.gather(*rivals, return_exceptions=True)
    assert [one for one in found if one is True] == [True]
    assert {one.slug for one in found if isinstance(one, ConflictError)} == {"no-uses-left"}
    # The table itself lets no more in, whoever writes.
    forged = """INSERT INTO bundle_use (id, bundle_id, agency, reader_id, uses, number, article, used_at, readable_until)
        SELECT gen_random_uuid(), b.id, b.agency, b.reader_id, {uses}, {number}, 'z', b.valid_from, b.valid_until
        FROM bundle b WHERE b.reader_id = :reader"""
    for uses, number in (("b.uses", 3), ("b.uses", 2), ("3", 3)):
        with pytest.raises(IntegrityError):
            async with world.billing.database.transaction() as session:
                sql = text(forged.format(uses=uses, number=number))
                await session.execute(sql, {"reader": minh.id})
    await world.assert_sound()
    # An invariant that never fires guards nothing.
    for violations, harm in (
        (1, "UPDATE bundle SET valid_until = valid_until + interval '1 day' WHERE reader_id = $1"),
        (3, "UPDATE entitlement SET valid_until = valid_from, version = 9 WHERE reader_id = $1"),
        (3, "DELETE FROM entitlement WHERE reader_id = $1"),
    ):
        connection = await asyncpg.connect(as_superuser(billing_url))
        try:
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(harm, minh.id)
        finally:
            await connection.close()
        for whole in (False, True):
            checked = await read_invariants(world.billing, whole=whole)
            assert checked["bundles_open_what_was_paid_for"] == violations, (harm, whole)


async def refunded(world: World, amount_vnd: int, number: int) -> None:
    reader = await person(world)
    payment: UUID = await world.value(
        "SELECT p.id FROM payment p JOIN bundle b ON b.order_id = p.order_id"
    )
    with acting(Actor.system("test")):
        request = await world.billing.refunds.ask(
            AGENCY, reader.id, payment, amount_vnd, "mua nhầm", FINANCE
        )
        await world.billing.refunds.pay(AGENCY, request.id, f"FT-BACK-{number}", FINANCE)


async def test_a_part_given_back_changes_nothing_all_of_it_ends_uses_and_articles(
    world: World,
) -> None:
    browser = await bought(world)
    reader = await person(world)
    assert await world.billing.bundles.use(reader, "mua-nhan")
    await refunded(world, 2_000, 1)
    assert await world.billing.bundles.use(reader, "gao-nep")
    # Rivals: the rest goes back while the reader presses; whoever is first, nothing stays open.
    results = await asyncio.gather(
        refunded(world, PRICE - 2_000, 2),
        world.billing.bundles.use(reader, "sen-ho"),
        return_exceptions=True,
    )
    assert results[0] is None and (results[1] is True or isinstance(results[1], ConflictError))
    assert await told(browser) is None
    open_ = "SELECT count(*) FROM entitlement WHERE NOT revoked"
    assert await world.value(open_) == 0
    with pytest.raises(ConflictError):
        await world.billing.bundles.use(reader, "mua-nhan")
    assert "đã hoàn tiền" in (await browser.get(f"/r/{AGENCY}/account")).text
    revoked = [one for one in await world.events() if one["type"].endswith("revoked.v1")]
    assert len(revoked) == len(await used(world)) >= 2
    await world.billing.recognition.run_due()
    balance = await balances(world)
    assert balance.get("bank", 0) == 0 and balance.get("deferred_subscription", 0) == 0
    await world.assert_sound()


async def test_by_card_a_refund_that_fails_gives_uses_and_articles_back(world: World) -> None:
    browser = await world.signed_in()
    form = {"price": await price_of(world, "muoi-bai"), "way": "card"}
    answer = await browser.submit(f"/r/{AGENCY}/plans", f"/r/{AGENCY}/checkout", form)
    assert answer.status_code == 303
    paid = await world.pay(answer.headers["location"])
    assert "/orders/" in paid.headers["location"], paid.text
    await world.deliver()
    await world.deliver()
    reader = await person(world)
    assert await world.billing.bundles.use(reader, "mua-nhan")
    assert await world.rows("SELECT * FROM mandate") == []  # the card is not kept
    payment = await world.value("SELECT id FROM payment")
    now = world.clock.now()
    async with world.billing.database.transaction() as session:
        await hold_readers(session, payment)
        held = await hold(session, payment)
        refund = await give_back(session, held, MoneyBack("re_1", PRICE, now), now)
    assert await told(browser) is None
    async with world.billing.database.transaction() as session:
        await hold_readers(session, payment)
        held = await hold(session, payment)
        refund = await session.merge(refund)
        await take_again(session, held, refund, now, now)
    rows = await world.rows("SELECT scope, revoked, valid_until FROM entitlement")
    assert rows == [("article:mua-nhan", False, NOW + 365 * DAY)]
    assert ((await told(browser)) or {})["left"] == USES - 1
    await world.assert_sound()


async def test_its_days_earn_it_its_reader_is_reminded_and_after_the_last_day_it_opens_nothing(
    world: World,
) -> None:
    await shrink(world, 3)
    await bought(world)
    reader = await person(world)
    # Before a single article is sold no more: until the bundle's last day.
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE plan SET active = false WHERE code = 'mot-bai'"))
    assert await world.billing.bundles.use(reader, "mua-nhan")
    end = NOW + DAYS * DAY
    assert await world.rows("SELECT valid_until FROM entitlement") == [(end,)]
    reminders = (
        "SELECT facts ->> 'left' FROM letter WHERE kind = 'bundle_ending' AND state = 'waiting'"
    )
    world.clock.advance((DAYS - 8) * DAY)
    assert await world.billing.letters.sweep() == 0
    world.clock.advance(DAY)
    assert await world.billing.letters.sweep() == 1
    assert await world.billing.letters.sweep() == 0
    assert await world.rows(reminders) == [("9",)]
    await world.billing.letters.send_due()
    assert await world.value("SELECT state FROM letter WHERE kind = 'bundle_ending'") == "sent"
    month = await world.billing.insight.month(AGENCY, world.clock.now().date().replace(day=1))
    assert (month.paid.active, month.recurring.closing_vnd) == (0, 0)
    world.clock.advance(7 * DAY)
    await world.billing.recognition.run_due()
    assert await balances(world) == {"bank": PRICE, "revenue_subscription": -PRICE}
    assert await world.billing.bundles.offered(reader.id) is None
    with pytest.raises(ConflictError):
        await world.billing.bundles.use(reader, "gao-nep")
    # A coupon of everything: another bundle for nothing.
    coupon = NewCoupon("QUA", 100, None, None, world.clock.now(), None, None, True)
    with acting(Actor.system("test")):
        await world.billing.coupons.make(AGENCY, coupon)
    price = UUID(await price_of(world, "vai-bai"))
    order = await world.billing.orders.start(reader, price, "", "vi")
    order = await world.billing.orders.discount(reader, order.code, "QUA")
    assert order.state == "paid"
    assert await world.billing.bundles.use(reader, "gao-nep")
    held = await world.billing.bundles.offered(reader.id)
    assert held is not None and held[1] == 2
    # Who used them all is not reminded, nor who reads everything.
    for article in "ab":
        assert await world.billing.bundles.use(reader, article)
    world.clock.advance(29 * DAY)
    assert await world.billing.letters.sweep() == 0
    await world.assert_sound()
