"""What is paid for once (a pass, an article) and what is paid for somebody else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.billing.readers.models import Reader
from shared.errors import ConflictError, NotFoundError
from tests.integration.billing.lives import Lives
from tests.integration.billing.paying import balances, credited, ordered, person
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, Browser, World

PASS, ARTICLE, MONTH = 5_000, 3_000, 59_000
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def chosen(world: World, browser: Browser, code: str, **more: str) -> str:
    """The code of the order for a plan's only price."""
    offers = await world.billing.plans.offers(AGENCY)
    price = next(one for one in offers if one.plan_code == code and one.period in ("once", "month"))
    answer = await browser.submit(
        f"/r/{AGENCY}/plans",
        f"/r/{AGENCY}/checkout",
        {"price": str(price.price_id), "way": "transfer", **more},
    )
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).rsplit("/", 1)[1]


async def rights(world: World) -> list[tuple[Any, ...]]:
    return await world.rows(
        "SELECT scope, valid_from, valid_until FROM entitlement WHERE NOT revoked ORDER BY scope"
    )


async def test_a_day_pass_opens_everything_for_a_day_and_is_no_recurring_revenue(
    world: World,
) -> None:
    browser = await world.signed_in()
    code = await chosen(world, browser, "ngay")
    await credited(world, code, PASS)
    assert await rights(world) == [("site", NOW, NOW + timedelta(days=1))]
    assert await world.rows("SELECT * FROM subscription") == []
    assert await world.rows("SELECT * FROM mrr_movement") == []
    shown = (await browser.get(f"/r/{AGENCY}/account")).text.replace("\u00a0", " ")
    assert "Bạn đọc được mọi bài đến 24/11/2026 10:00." in shown
    # The day is over: all of it is earned, and another one can be bought.
    answer = await browser.submit(
        f"/r/{AGENCY}/plans",
        f"/r/{AGENCY}/checkout",
        {"price": await price_of(world, "ngay"), "way": "transfer"},
    )
    assert answer.headers["location"].endswith("notice=subscribed")
    world.clock.advance(timedelta(days=1))
    await world.billing.recognition.run_due()
    assert await balances(world) == {"bank": PASS, "revenue_subscription": -PASS}
    assert "Bạn đọc được mọi bài" not in (await browser.get(f"/r/{AGENCY}/account")).text
    assert await chosen(world, browser, "ngay") != code
    (event,) = [one for one in await world.events() if "entitlement" in one["type"]]
    assert event["data"].get("subscription_id") is None
    await world.assert_sound()


async def price_of(world: World, code: str) -> str:
    offers = await world.billing.plans.offers(AGENCY)
    return str(next(one.price_id for one in offers if one.plan_code == code))


async def test_an_article_opens_alone_for_a_year_and_is_earned_at_once(world: World) -> None:
    browser = await world.signed_in()
    page = (await browser.get(f"/r/{AGENCY}/plans?article=mua-nhan")).text
    assert 'name="article" value="mua-nhan"' in page
    assert 'name="article"' not in (await browser.get(f"/r/{AGENCY}/plans")).text
    code = await chosen(world, browser, "mot-bai", article="mua-nhan")
    await credited(world, code, ARTICLE)
    assert await rights(world) == [("article:mua-nhan", NOW, NOW + timedelta(days=365))]
    shown = (await browser.get(f"/r/{AGENCY}/account")).text
    assert "mua-nhan</span>: đọc được đến 23/11/2027" in shown
    await world.billing.recognition.run_due()
    assert await balances(world) == {"bank": ARTICLE, "revenue_subscription": -ARTICLE}
    # Another article is another order; the same one is open already; a plan is still for sale.
    assert await chosen(world, browser, "mot-bai", article="gao-nep") != code
    answer = await browser.submit(
        f"/r/{AGENCY}/plans",
        f"/r/{AGENCY}/checkout",
        {"price": await price_of(world, "mot-bai"), "article": "mua-nhan", "way": "transfer"},
    )
    assert answer.headers["location"].endswith("notice=subscribed")
    assert await chosen(world, browser, "doc-bao")
    await world.assert_sound()


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("mot-bai", {}),
        ("mot-bai", {"article": "x", "gift": "1"}),
        ("ngay", {"gift": "1"}),
    ],
)
async def test_what_is_not_sold_like_this_is_not_found(
    world: World, code: str, more: dict[str, str]
) -> None:
    browser = await world.signed_in()
    answer = await browser.submit(
        f"/r/{AGENCY}/plans",
        f"/r/{AGENCY}/checkout",
        {"price": await price_of(world, code), "way": "transfer", **more},
    )
    assert answer.status_code == 404
    assert await world.value("SELECT count(*) FROM sales_order") == 0


async def test_an_id_that_no_article_has_is_not_sold(world: World) -> None:
    browser = await world.signed_in()
    offers = await world.billing.plans.offers(AGENCY)
    price = next(str(one.price_id) for one in offers if one.plan_code == "mot-bai")
    for wrong in ("a\x00b\n'; --" + "x" * 500, "a b", "-a", "mùa", "x" * 121, ""):
        answer = await browser.submit(
            f"/r/{AGENCY}/plans",
            f"/r/{AGENCY}/checkout",
            {"price": price, "way": "transfer", "article": wrong},
        )
        assert answer.status_code == 404, wrong
    assert await world.value("SELECT count(*) FROM sales_order") == 0


async def given(world: World) -> tuple[Browser, str]:
    """A gift of a month that was paid for; the code."""
    browser = await world.signed_in("giver@example.vn")
    order = await chosen(world, browser, "doc-bao", gift="1")
    await credited(world, order)
    page = (await browser.get(f"/r/{AGENCY}/orders/{order}")).text
    code = page.split('class="big">', 1)[1].split("<", 1)[0]
    assert f"/r/{AGENCY}/gifts?code={code}" in page
    return browser, code


async def test_a_pass_that_is_paid_by_card_and_by_transfer_is_one_and_the_other_money_waits(
    world: World,
) -> None:
    lives = Lives(world)
    code = await lives.buys("lan@example.vn", "ngay", renews=False)  # nothing is told of it yet
    await credited(world, code, PASS)
    await world.deliver()
    paid = "SELECT provider, amount_vnd, order_id IS NOT NULL, surplus_of IS NOT NULL FROM payment"
    assert sorted(await world.rows(paid)) == [
        ("stripe", PASS, False, True),
        ("transfer", PASS, True, False),
    ]
    assert len(await rights(world)) == 1
    assert (await balances(world))["unallocated_receipts"] == -PASS
    await world.assert_sound()


async def test_a_gift_is_owed_until_somebody_redeems_it_and_earned_from_then_on(
    world: World,
) -> None:
    _, code = await given(world)
    assert await balances(world) == {"bank": MONTH, "gifts_not_redeemed": -MONTH}
    staff = await world.browser(press_staff="finance-token").get(f"/staff/{AGENCY}")
    assert 'id="deferred">59.000 ₫<' in staff.text.replace("\xa0", " ")
    assert await rights(world) == []
    world.clock.advance(timedelta(days=40))
    await world.billing.recognition.run_due()
    assert await balances(world) == {"bank": MONTH, "gifts_not_redeemed": -MONTH}
    await world.assert_sound()
    friend = await world.signed_in("friend@example.vn")
    answer = await friend.submit(
        f"/r/{AGENCY}/gifts", f"/r/{AGENCY}/gifts/redeem", {"code": code.lower().replace("-", " ")}
    )
    assert answer.headers["location"].endswith("notice=gift"), answer.text
    start = NOW + timedelta(days=40)
    assert await rights(world) == [("site", start, datetime(2027, 2, 2, 3, 0, tzinfo=UTC))]
    (event,) = [one for one in await world.events() if "entitlement" in one["type"]]
    assert event["data"]["reader_id"] == str((await person(world, "friend@example.vn")).id)
    await world.billing.recognition.run_due()
    booked = await balances(world)
    assert "gifts_not_redeemed" not in booked
    assert booked["deferred_subscription"] + booked["revenue_subscription"] == -MONTH
    world.clock.advance(timedelta(days=40))
    await world.billing.recognition.run_due()
    assert await balances(world) == {"bank": MONTH, "revenue_subscription": -MONTH}
    await world.assert_sound()


async def test_a_gift_is_redeemed_once_by_whoever_is_first(world: World) -> None:
    _, code = await given(world)
    friends: list[Reader] = []
    for number in range(4):
        await world.signed_in(f"friend-{number}@example.vn")
        friends.append(await person(world, f"friend-{number}@example.vn"))

    async def redeem(friend: Reader) -> str:
        try:
            await world.billing.orders.redeem(friend, code)
        except ConflictError as error:
            return error.slug
        return "done"

    said = await asyncio.gather(*(redeem(friend) for friend in friends * 2))
    assert sorted(said) == ["done"] + ["gift-redeemed"] * 7
    assert len(await rights(world)) == 1
    await world.assert_sound()


async def test_a_gift_follows_what_is_paid_for_and_waits_for_what_renews(world: World) -> None:
    _, code = await given(world)
    _, order = await ordered(world)
    await credited(world, order, id_=2)
    friend = await person(world, "lan@example.vn")
    assert await world.billing.orders.redeem(friend, code) == datetime(
        2027, 1, 23, 3, 0, tzinfo=UTC
    )
    payer = await world.subscribed("the@example.vn")
    await world.deliver()
    _, another = await given_again(world)
    answer = await payer.submit(
        f"/r/{AGENCY}/gifts", f"/r/{AGENCY}/gifts/redeem", {"code": another}
    )
    assert answer.status_code == 409 and "tự gia hạn" in answer.text
    assert another in answer.text, "what was typed stays"
    assert await world.value("SELECT count(*) FROM gift WHERE redeemed_at IS NULL") == 1


async def given_again(world: World) -> tuple[Browser, str]:
    browser = await world.signed_in("another@example.vn")
    order = await chosen(world, browser, "doc-bao", gift="1")
    await credited(world, order, id_=3)
    page = (await browser.get(f"/r/{AGENCY}/orders/{order}")).text
    return browser, page.split('class="big">', 1)[1].split("<", 1)[0]


async def test_a_code_that_is_none_and_another_agencys_are_not_found(world: World) -> None:
    giver, code = await given(world)
    friend = await person(world, "giver@example.vn")
    wrong = code[:-1] + ("3" if code[-1] != "3" else "4")
    with pytest.raises(NotFoundError):
        await world.billing.orders.redeem(friend, wrong)
    elsewhere = await world.signed_in("giver@example.vn", agency=OTHER_AGENCY)
    answer = await elsewhere.submit(
        f"/r/{OTHER_AGENCY}/gifts", f"/r/{OTHER_AGENCY}/gifts/redeem", {"code": code}
    )
    assert answer.status_code == 404
    for typed in ("", "x", "\x00" * 10, "'" * 100, wrong):
        answer = await giver.submit(
            f"/r/{AGENCY}/gifts", f"/r/{AGENCY}/gifts/redeem", {"code": typed}
        )
        assert answer.status_code == 404, typed
    signed_out = await world.browser().submit(
        f"/r/{AGENCY}/gifts", f"/r/{AGENCY}/gifts/redeem", {"code": code}
    )
    assert signed_out.status_code == 303 and "sign-in" in signed_out.headers["location"]
    assert await world.value("SELECT count(*) FROM gift WHERE redeemed_at IS NULL") == 1


REFUSED = {
    "redeemed again": "UPDATE gift SET redeemed_at = now() WHERE redeemed_at IS NOT NULL",
    "given back": "UPDATE gift SET redeemed_at = NULL, redeemed_by = NULL WHERE redeemed_at IS NOT NULL",
    "another code": "UPDATE gift SET code = 'x'",
    "removed": "DELETE FROM gift",
    "a payment's amount": "UPDATE payment SET amount_vnd = amount_vnd + 1",
    "a payment's period": "UPDATE payment SET period_end = period_end + interval '1 day' WHERE period_end IS NOT NULL",
    "half a period": "UPDATE payment SET period_start = now() WHERE period_start IS NULL",
    "refunds that shrink": "UPDATE payment SET refunded_vnd = refunded_vnd - 1",
    "an order's article": "UPDATE sales_order SET article = 'y'",
    "an order for somebody else": "UPDATE sales_order SET gift = NOT gift",
    "a right of nothing": """INSERT INTO entitlement (id, agency, reader_id, plan_code, scope, valid_from, valid_until,
            updated_at) SELECT gen_random_uuid(), agency, reader_id, 'x', 'site', now(), now(), now() FROM payment LIMIT 1""",
    "a second right of an order": """INSERT INTO entitlement (id, agency, reader_id, order_id, plan_code, scope,
            valid_from, valid_until, updated_at)
        SELECT gen_random_uuid(), agency, reader_id, order_id, 'x', 'site', now(), now(), now() FROM entitlement
        WHERE order_id IS NOT NULL""",
}


async def test_the_database_refuses_what_would_give_twice(world: World, billing_url: str) -> None:
    _, code = await given(world)
    await given_again(world)
    browser, _ = await ordered(world)
    order = await chosen(world, browser, "mot-bai", article="x")
    await credited(world, order, ARTICLE, id_=9)
    await world.billing.orders.redeem(await person(world, "lan@example.vn"), code)
    connection = await asyncpg.connect(billing_url)
    try:
        for name, sql in REFUSED.items():
            with pytest.raises(
                (asyncpg.IntegrityConstraintViolationError, asyncpg.InsufficientPrivilegeError)
            ):
                await connection.execute(sql)
                pytest.fail(f"not refused: {name}")
    finally:
        await connection.close()
