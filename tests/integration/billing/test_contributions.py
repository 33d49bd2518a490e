"""Readers who give: an amount of their own, by any way, thanked, earned at once, given back; and nothing to read."""

from __future__ import annotations

from datetime import date

import asyncpg
import pytest
from sqlalchemy import text

from services.billing.refunds.service import By
from shared.audit import Actor, acting
from shared.errors import ConflictError
from shared.mail.outbox import recent_mail
from tests.fixtures.roles import as_superuser
from tests.integration.billing.invariants_read import read_invariants
from tests.integration.billing.lives import Lives
from tests.integration.billing.paying import balances, credited, person
from tests.integration.billing.test_once_and_gifts import chosen
from tests.integration.billing.world import AGENCY, Browser, World

FINANCE = By("018f0000-0000-7000-8000-000000000001", "Hà")
PAGE = f"/r/{AGENCY}/contribute"


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def given(browser: Browser, amount: str, way: str = "transfer") -> str:
    answer = await browser.submit(PAGE, PAGE, {"amount": amount, "way": way})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def test_what_a_reader_gives_is_earned_at_once_thanked_and_opens_nothing(
    world: World, billing_url: str
) -> None:
    stranger = world.browser()
    answer = await stranger.submit(PAGE, PAGE, {"amount": "120.000", "way": "transfer"})
    assert "/sign-in?" in answer.headers["location"] and "120.000" in answer.headers["location"]
    browser = await world.signed_in()
    for page in ("plans", "account"):
        assert f'href="{PAGE}?' in (await browser.get(f"/r/{AGENCY}/{page}")).text
    shown = (await browser.get(f"{PAGE}?amount=200000")).text
    assert 'value="200000"' in shown and "10.000" in shown and "20.000.000" in shown
    for amount in ("9.999", "20.000.001", "nhiều", ""):
        answer = await browser.submit(PAGE, PAGE, {"amount": amount, "way": "transfer"})
        assert answer.status_code == 422 and "trong giới hạn" in answer.text, amount
    # Another amount is another order; the same one is the same.
    first = await given(browser, "50.000")
    assert await given(browser, "50000") == first
    location = await given(browser, "100.000")
    assert location != first
    code = location.rsplit("/", 1)[1]
    order = (await browser.get(location)).text
    assert "coupon" not in order and f"/orders/{code}/card" in order
    reader = await person(world)
    with pytest.raises(ConflictError):
        await world.billing.orders.discount(reader, code, "QUA")
    await credited(world, code, 100_000)
    assert "Cảm ơn bạn đã ủng hộ" in (await browser.get(location)).text
    assert await balances(world) == {"bank": 100_000, "revenue_contributions": -100_000}
    staff = await world.browser(press_staff="finance-token").get(f"/staff/{AGENCY}")
    assert 'id="revenue">100.000 ₫<' in staff.text.replace("\xa0", " ")
    facts = (
        "SELECT count(*) FROM letter WHERE kind = 'receipt' AND facts ->> 'kind' = 'contribution'"
    )
    assert await world.value(facts) == 1
    (told,) = [one["data"] for one in await world.events() if "revenue" in one["type"]]
    assert (told["stream"], told["amount"], told["law_source"]) == (
        "contribution",
        100_000,
        "business_and_services",
    )
    # By card too, also by who has a plan that renews.
    card = await given(browser, "30.000", "card")
    await world.pay(card)
    await world.deliver()
    await world.deliver()
    assert (await balances(world))["revenue_contributions"] == -130_000
    for nothing in (
        "entitlement",
        "subscription",
        "mrr_movement",
        "mandate",
        "recognition_schedule",
    ):
        assert await world.value(f"SELECT count(*) FROM {nothing}") == 0, nothing
    month = await world.billing.insight.month(AGENCY, date(2026, 11, 1))
    assert (month.paid.active, month.recurring.closing_vnd, list(month.cohorts)) == (0, 0, [])
    assert "Ủng hộ" in (await browser.get(f"/r/{AGENCY}/account")).text
    await world.assert_sound()

    # A part and the rest go back; the books and the metrics follow in the same stream.
    payment = await world.value("SELECT id FROM payment WHERE provider = 'transfer'")
    for number, amount in enumerate((40_000, 60_000)):
        with acting(Actor.system("test")):
            request = await world.billing.refunds.ask(
                AGENCY, reader.id, payment, amount, "chuyển nhầm", FINANCE
            )
            await world.billing.refunds.pay(AGENCY, request.id, f"FT-BACK-{number}", FINANCE)
    found = await balances(world)
    assert found["refunds_subscription"] == 100_000 and "bank" not in found
    back = [one["data"] for one in await world.events() if "revenue" in one["type"]][-1]
    assert (back["stream"], back["amount"]) == ("contribution", -60_000)
    assert (
        await world.value("SELECT facts ->> 'whole' FROM letter WHERE kind = 'refunded' LIMIT 1")
        == "false"
    )
    assert "đã được hoàn lại" in (await browser.get(location)).text
    assert await chosen(world, browser, "doc-bao")
    await world.assert_sound()
    connection = await asyncpg.connect(as_superuser(billing_url))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(
            """WITH days AS (UPDATE account_day SET credit_vnd = credit_vnd - 2 WHERE account = 'revenue_contributions')
               UPDATE journal_line SET amount_vnd = amount_vnd + 1 WHERE account = 'revenue_contributions'"""
        )
    finally:
        await connection.close()
    for whole in (False, True):
        assert (await read_invariants(world.billing, whole=whole))[
            "contributions_are_earned"
        ] == 2, whole


async def test_its_tax_is_of_its_own_class_and_a_day_without_a_row_is_said_before_anybody_pays(
    world: World,
) -> None:
    browser = await world.signed_in()
    async with world.billing.database.transaction() as session:
        await session.execute(
            text("UPDATE vat_rate SET valid_until = '2026-11-23' WHERE kind = 'contribution'")
        )
    answer = await browser.submit(PAGE, PAGE, {"amount": "50000", "way": "transfer"})
    assert answer.status_code == 409 and "Hôm nay tòa soạn chưa nhận" in answer.text
    assert await world.value("SELECT count(*) FROM sales_order") == 0
    async with world.billing.database.transaction() as session:
        await session.execute(
            text(
                """INSERT INTO vat_rate (kind, valid_from, treatment, rate_basis_points, source)
                   VALUES ('contribution', '2026-11-23', 'rate', 1000, 'a test')"""
            )
        )
    code = (await given(browser, "110.000")).rsplit("/", 1)[1]
    await credited(world, code, 110_000)
    assert await balances(world) == {
        "bank": 110_000,
        "revenue_contributions": -100_000,
        "vat_payable": -10_000,
    }
    assert await world.rows("SELECT net_vnd, vat_vnd FROM invoice") == [(100_000, 10_000)]
    reader, payment = await person(world), await world.value("SELECT id FROM payment")
    with acting(Actor.system("test")):
        request = await world.billing.refunds.ask(
            AGENCY, reader.id, payment, 110_000, "chuyển nhầm", FINANCE
        )
        await world.billing.refunds.pay(AGENCY, request.id, "FT-BACK", FINANCE)
    found = await balances(world)
    assert (found["refunds_subscription"], found.get("vat_payable", 0)) == (100_000, 0)
    await world.assert_sound()


async def test_no_card_is_asked_for_another_order_than_was_pressed(
    paid_by_transfer: World,
) -> None:
    """An order that a part was transferred for stays the one to pay: its own page says so, whatever is pressed, and no card's does."""
    world, lives = paid_by_transfer, Lives(paid_by_transfer)
    order = await lives.chooses("lan@example.vn", "month", renews=False)
    await credited(world, order.code, 10_000)
    browser = await world.signed_in("lan@example.vn")
    own, plans = f"/r/{AGENCY}/orders/{order.code}", f"/r/{AGENCY}/plans"
    give = {"amount": "100000", "way": "card"}
    page = f"/r/{AGENCY}/contribute"
    assert (await browser.submit(page, page, give)).headers["location"] == own
    for plan in ("muoi-bai", "year", "month"):
        pressed = {"price": str((await lives.price(plan)).price_id), "way": "card"}
        answer = await browser.submit(plans, f"/r/{AGENCY}/checkout", pressed)
        assert answer.headers["location"] == own, plan
    assert await world.value("SELECT count(*) FROM charge") == 0


async def test_a_part_of_what_was_to_be_given_promises_nothing_to_read(world: World) -> None:
    """A transfer that is too small: the letter says what is missing, and nothing of reading; the rest completes it."""
    browser = await world.signed_in()
    code = (await given(browser, "100.000")).rsplit("/", 1)[1]
    await credited(world, code, 40_000)
    await world.billing.letters.send_due()
    mail = next(one for one in await recent_mail(world.billing.database) if "60.000" in one.subject)
    assert "khoản ủng hộ của bạn sẽ đủ" in mail.body and "đọc được" not in mail.body
    assert (await balances(world)).get("revenue_contributions") is None
    await credited(world, code, 60_000, id_=2)
    assert (await balances(world))["revenue_contributions"] < 0
    assert await world.value("SELECT count(*) FROM entitlement") == 0
    await world.assert_sound()


async def test_who_reads_by_a_plan_that_renews_gives_by_transfer_as_everybody(world: World) -> None:
    lives = Lives(world)
    await lives.buys("lan@example.vn")
    await world.deliver()
    browser = await world.signed_in()
    code = (await given(browser, "50.000")).rsplit("/", 1)[1]
    await credited(world, code, 50_000)
    assert await world.rows("SELECT left_vnd, reason FROM bank_credit") == [(0, "")]
    assert (
        await world.value("SELECT state FROM sales_order WHERE code = :code", code=code) == "paid"
    )
    await world.assert_sound()
