"""Coupons: what is left to pay, down to nothing; limits under many hands; finance's page."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.billing.coupons.service import CouponRefusedError, NewCoupon
from shared.audit import Actor, acting
from tests.integration.billing.paying import (
    balances,
    credited,
    credits,
    order,
    ordered,
    person,
)
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

MONTH = 59_000
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
PAGE = f"/staff/{AGENCY}/coupons"


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def made(world: World, code: str = "TET", **more: object) -> None:
    given: dict[str, object] = {
        "percent": 20,
        "off_vnd": None,
        "plan_id": None,
        "valid_from": world.clock.now(),
        "valid_until": None,
        "most_uses": None,
        "once_a_reader": True,
    }
    with acting(Actor.system("test")):
        await world.billing.coupons.make(AGENCY, NewCoupon(code, **(given | more)))  # type: ignore[arg-type]


async def test_an_order_with_a_coupon_is_another_order_for_less(world: World) -> None:
    await made(world)
    browser, before = await ordered(world)
    page = f"/r/{AGENCY}/orders/{before}"
    wrong = await browser.submit(page, f"{page}/coupon", {"coupon": "tet2"})
    assert wrong.status_code == 422 and "Không có mã giảm giá này" in wrong.text
    assert 'value="tet2"' in wrong.text, "what was typed stays"
    answer = await browser.submit(page, f"{page}/coupon", {"coupon": " tet "})
    after = answer.headers["location"].rsplit("/", 1)[1]
    assert after != before
    assert await world.rows(
        "SELECT state, amount_vnd FROM sales_order ORDER BY created_at, id"
    ) == [
        ("closed", MONTH),
        ("open", 47_200),
    ]
    assert "47.200\u00a0₫" in (await browser.get(f"/r/{AGENCY}/orders/{after}")).text
    await credited(world, after, 47_200)
    assert await credits(world) == [(47_200, 0, "")]
    # Recurring revenue is what is paid, and so is the invoice.
    assert await world.value("SELECT mrr_vnd FROM subscription") == 47_200
    assert await world.value("SELECT gross_vnd FROM invoice") == 47_200
    await world.billing.recognition.run_due()
    booked = await balances(world)
    assert booked["deferred_subscription"] + booked["revenue_subscription"] == -47_200
    # The next term costs the whole price, and counts as such.
    code = await order(world, browser)
    refused = await browser.submit(
        f"/r/{AGENCY}/orders/{code}", f"/r/{AGENCY}/orders/{code}/coupon", {"coupon": "TET"}
    )
    assert refused.status_code == 422 and "Bạn đã dùng mã" in refused.text
    await credited(world, code, MONTH, id_=2)
    movements = await world.rows("SELECT movement, amount_vnd FROM mrr_movement ORDER BY id")
    assert movements == [("new", 47_200), ("expansion", 11_800)]
    await world.billing.recognition.run_due()
    await world.assert_sound()


async def test_a_coupon_to_nothing_is_paid_at_once_and_books_nothing(world: World) -> None:
    await made(world, percent=100)
    browser, code = await ordered(world)
    page = f"/r/{AGENCY}/orders/{code}"
    answer = await browser.submit(page, f"{page}/coupon", {"coupon": "TET"})
    shown = await browser.get(answer.headers["location"])
    assert 'id="read-on"' in shown.text
    until = datetime(2026, 12, 23, 3, 0, tzinfo=UTC)
    assert await world.rows("SELECT valid_until, revoked FROM entitlement") == [(until, False)]
    assert await world.rows("SELECT amount_vnd, provider FROM payment") == [(0, "coupon")]
    assert await world.rows("SELECT * FROM invoice") == []
    assert await world.rows("SELECT * FROM journal_entry") == []
    assert await world.value("SELECT mrr_vnd FROM subscription") == 0
    assert (await browser.get(f"/r/{AGENCY}/account")).status_code == 200
    # What is paid next follows the month that cost nothing.
    code = await order(world, browser)
    await credited(world, code)
    assert await world.value("SELECT max(period_start) FROM payment") == until
    await world.billing.recognition.run_due()
    await world.assert_sound()


async def test_of_many_readers_at_once_as_many_use_it_as_may(world: World) -> None:
    await made(world, most_uses=3)
    codes = [await ordered(world, f"reader-{number}@example.vn") for number in range(8)]

    async def use(number: int) -> str:
        reader = await person(world, f"reader-{number}@example.vn")
        try:
            await world.billing.orders.discount(reader, codes[number][1], "TET")
        except CouponRefusedError as error:
            return error.reason
        return "used"

    said = await asyncio.gather(*(use(number) for number in range(8)))
    assert sorted(said) == ["used"] * 3 + ["used_up"] * 5
    # Who does not pay gives it back.
    world.clock.advance(timedelta(hours=73))
    await world.billing.orders.close_expired()
    _, code = await ordered(world, "late@example.vn")
    reader = await person(world, "late@example.vn")
    assert (await world.billing.orders.discount(reader, code, "TET")).amount_vnd == 47_200


async def test_what_takes_no_coupon_stays_as_it_is(world: World) -> None:
    await made(world)
    browser, code = await ordered(world)
    await credited(world, code, 20_000)
    page = f"/r/{AGENCY}/orders/{code}"
    assert "Tôi có mã giảm giá" not in (await browser.get(page)).text
    other, _ = await ordered(world, "minh@example.vn")
    answer = await other.submit(f"/r/{AGENCY}/plans", f"{page}/coupon", {"coupon": "TET"})
    assert answer.status_code == 404, "another reader's order"
    answer = await browser.submit(f"/r/{AGENCY}/plans", f"{page}/coupon", {"coupon": "TET"})
    assert answer.headers["location"] == page
    assert await world.value("SELECT count(*) FROM sales_order WHERE coupon_id IS NOT NULL") == 0


async def test_finance_makes_and_ends_a_coupon(world: World) -> None:
    staff = world.browser(press_staff="finance-token")
    form = {"code": "tet 2027", "percent": "20", "until": "2026-12-31", "uses": "1.000"}
    answer = await staff.submit(PAGE, PAGE, form)
    assert answer.status_code == 303, answer.text
    (row,) = await world.rows(
        "SELECT code, percent, valid_until, most_uses, once_a_reader FROM coupon"
    )
    assert row == ("TET2027", 20, datetime(2026, 12, 31, 17, 0, tzinfo=UTC), 1_000, True)
    again = await staff.submit(PAGE, PAGE, form)
    assert again.status_code == 409 and "hãy chọn mã khác" in again.text and "1.000" in again.text
    asked = await staff.submit(PAGE, f"{PAGE}/end", {"code": "TET2027"})
    assert asked.status_code == 200 and "không mở lại được" in asked.text
    assert await world.value("SELECT count(*) FROM coupon WHERE ended_at IS NOT NULL") == 0
    done = await staff.submit(PAGE, f"{PAGE}/end", {"code": "TET2027", "confirmed": "true"})
    assert done.status_code == 303
    browser, code = await ordered(world)
    page = f"/r/{AGENCY}/orders/{code}"
    refused = await browser.submit(page, f"{page}/coupon", {"coupon": "TET2027"})
    assert refused.status_code == 422
    # No form is on the page any more: the token comes from another one.
    twice = await staff.submit(PAGE, f"{PAGE}/end", {"code": "TET2027", "confirmed": "true"})
    assert twice.status_code == 409


WRONG = (
    ({"code": "x"}, "3 đến 20 chữ"),
    ({"percent": "0"}, "một trong hai"),
    ({"percent": "101"}, "một trong hai"),
    ({"percent": "1,5"}, "một trong hai"),
    ({"percent": ""}, "một trong hai"),
    ({"off": "5000"}, "một trong hai"),
    ({"plan": "khong-co"}, "Không có gói này"),
    ({"until": "2026-11-22"}, "chưa qua"),
    ({"until": "31/12/2026"}, "chưa qua"),
    ({"uses": "-1"}, "lớn hơn 0"),
    ({"uses": "9" * 50}, "lớn hơn 0"),
    ({"code": "A\x00" * 10_000}, "3 đến 20 chữ"),
)


async def test_what_is_wrong_with_a_new_coupon_is_named_and_the_rest_stays(world: World) -> None:
    staff = world.browser(press_staff="finance-token")
    for change, said in WRONG:
        form = {"code": "TET2027", "percent": "20", "many": "1"} | change
        answer = await staff.submit(PAGE, PAGE, form)
        assert answer.status_code == 422 and said in answer.text, change
        assert 'value="1" checked' in answer.text
    assert await world.rows("SELECT * FROM coupon") == []


async def test_who_may_see_and_who_may_make_coupons(world: World) -> None:
    support = world.browser(press_staff="support-token")
    assert (await support.get(PAGE)).status_code == 200
    assert (await support.submit(PAGE, PAGE, {"code": "TET"})).status_code == 403
    assert (await support.submit(PAGE, f"{PAGE}/end", {"code": "TET"})).status_code == 403
    other = world.browser(press_staff="other-token")
    assert (await other.get(PAGE)).status_code == 404
    tired = world.browser(press_staff="tired-token")
    answer = await tired.submit(PAGE, PAGE, {"code": "TET", "percent": "20"})
    assert answer.status_code != 303 or "confirm" in answer.headers["location"]
    await made(world)
    elsewhere = f"/staff/{OTHER_AGENCY}/coupons"
    refused = await other.submit(
        elsewhere, f"{elsewhere}/end", {"code": "TET", "confirmed": "true"}
    )
    assert refused.status_code == 404
    assert await world.value("SELECT count(*) FROM coupon WHERE ended_at IS NULL") == 1


REFUSED = {
    "edited": "UPDATE coupon SET percent = 99, ended_at = now()",
    "not ended": "UPDATE coupon SET most_uses = 1",
    "removed": "DELETE FROM coupon",
    "both kinds": """INSERT INTO coupon (id, agency, code, percent, off_vnd, valid_from, once_a_reader, created_at)
        SELECT gen_random_uuid(), agency, 'BOTH', 1, 1, now(), true, now() FROM coupon""",
    "less without a coupon": """INSERT INTO sales_order (id, agency, code, reader_id, price_id, list_vnd, amount_vnd, language,
            created_at, expires_at)
        SELECT gen_random_uuid(), agency, 'x', reader_id, price_id, list_vnd, list_vnd - 1, 'vi', now(), now() + interval '1 day'
        FROM sales_order LIMIT 1""",
    "more than the list": """INSERT INTO sales_order (id, agency, code, reader_id, price_id, list_vnd, amount_vnd, coupon_id,
            language, created_at, expires_at)
        SELECT gen_random_uuid(), o.agency, 'x', reader_id, price_id, list_vnd, list_vnd + 1, c.id, 'vi', now(),
            now() + interval '1 day' FROM sales_order o, coupon c LIMIT 1""",
}


async def test_the_database_refuses_what_finance_did_not_decide(
    world: World, billing_url: str
) -> None:
    await made(world)
    await ordered(world)
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
