"""What somebody with one account tries: to read for nothing, to have money counted twice, to make a page fail."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.billing.letters.links import Link
from services.billing.subscriptions.rules import State
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.integration.billing.lives import DAY, HOUR, Lives
from tests.integration.billing.paying import credited, credits
from tests.integration.billing.returning import dashboard_refund, dispute, reference_of
from tests.integration.billing.test_account_pages import ACCOUNT, act, owing, price_of
from tests.integration.billing.test_refunds import LAN
from tests.integration.billing.world import (
    AGENCY,
    FAILS_ON_RENEWAL,
    OWN,
    Browser,
    World,
    form_token,
)

EMAIL = "lan@example.vn"
MONTH, YEAR = 59_000, 590_000


async def with_trial(world: World, **days: int) -> None:
    await world.billing.plans.save_plan(
        AGENCY,
        {"code": "doc-bao", "name_vi": "Đọc báo không giới hạn", "name_en": "Unlimited reading"},
        {"week": 19_000, "month": MONTH},
        dict(days),
    )


async def told(world: World) -> None:
    """What the provider has to tell is applied; the worker has closed no page yet."""
    await world.sandbox.state.deliverer.deliver_due()
    await world.billing.applier.apply_due()


async def waiting_change(lives: Lives, period: str = "year") -> str:
    """Another plan was confirmed and the card refused it: the address of the page on which it is paid."""
    row, reader, offer = (
        await lives.live(EMAIL),
        await lives.reader(EMAIL),
        await lives.price(period),
    )
    assert row is not None
    changes = lives.world.billing.changes
    shown = await changes.preview(reader, row.id, offer.price_id)
    done = await changes.confirm(reader, row.id, offer.price_id, shown.pay_vnd, "vi")
    assert done.order is not None
    await lives.world.billing.charges.run_due()
    return await lives.page(EMAIL, done.order.code)


async def changes_of(world: World) -> list[tuple[Any, ...]]:
    return await world.rows("SELECT state, credit_vnd FROM sales_order WHERE purpose = 'change'")


async def unclaimed(world: World) -> list[int]:
    rows = await world.rows("SELECT amount_vnd FROM payment WHERE order_id IS NULL")
    return [row[0] for row in rows]


async def test_money_for_a_trial_waits_for_finance_and_holds_nothing_up(
    paid_by_transfer: World,
) -> None:
    world, lives = paid_by_transfer, Lives(paid_by_transfer)
    await with_trial(world, month=7)
    order = await lives.chooses(EMAIL, "month")
    assert (order.amount_vnd, order.trial_days) == (0, 7)
    await credited(world, order.code, 1_000)
    assert await credits(world) == [(1_000, 1_000, "over")]
    assert await world.value("SELECT state FROM sales_order") == "open"
    credit = await world.value("SELECT id FROM bank_credit")
    with acting(Actor.system("test")), pytest.raises(ConflictError):
        await world.billing.transfers.assign(AGENCY, credit, order.code, "asked")
    await world.assert_sound()


@pytest.mark.parametrize("back", ["refund", "part", "dispute"])
async def test_what_goes_back_is_not_taken_off_another_plan_as_well(
    world: World, back: str
) -> None:
    lives = Lives(world)
    await lives.buys(EMAIL, "month", FAILS_ON_RENEWAL)
    await world.deliver()
    page = await waiting_change(lives)
    reference = await reference_of(world)
    if back == "dispute":
        await dispute(world, reference)
    else:
        await dashboard_refund(world, reference, **({"amount": 30_000} if back == "part" else {}))
    await told(world)
    assert [one[0] for one in await changes_of(world)] == ["closed"]
    await world.pay(page)  # the tab was still open
    await told(world)
    assert await unclaimed(world) == [YEAR - (await changes_of(world))[0][1]]
    assert await world.value("SELECT count(*) FROM payment WHERE period_end IS NOT NULL") == 1
    await world.deliver()
    await world.assert_sound()


async def test_while_money_is_asked_back_the_plan_stays(paid_by_transfer: World) -> None:
    world, lives = paid_by_transfer, Lives(paid_by_transfer)
    browser = await world.subscribed()
    await world.deliver()
    row = await lives.live(EMAIL)
    assert row is not None
    payment = await world.value("SELECT id FROM payment")
    with acting(Actor.system("test")):
        await world.billing.refunds.ask(AGENCY, row.reader_id, payment, MONTH, "asked", LAN)
    shown = await browser.get(
        f"{ACCOUNT}/change?subscription={row.id}&price={await price_of(world, 'year')}"
    )
    assert shown.headers["location"] == f"{ACCOUNT}?notice=refunding"
    told_of = await browser.get(shown.headers["location"])
    assert "Tiền của gói này đang được hoàn lại cho bạn." in told_of.text
    with pytest.raises(ConflictError):
        await lives.changes(EMAIL, "year")


async def test_a_change_that_was_not_paid_ends_with_the_period(world: World) -> None:
    lives = Lives(world)
    await lives.buys(EMAIL, "month", FAILS_ON_RENEWAL)
    await world.deliver()
    await world.advance(29 * DAY + 12 * HOUR)
    await world.deliver()
    page = await waiting_change(lives)
    await world.advance(20 * HOUR)
    await world.billing.renewals.run_due()
    assert [one[0] for one in await changes_of(world)] == ["closed"]
    await world.pay(page)
    await world.deliver()
    assert await unclaimed(world) == [YEAR]
    [row] = await lives.subscriptions(EMAIL)
    assert row.state == State.GRACE, "what is owed is the month, and it is not owed for a year"
    await world.assert_sound()


async def test_nothing_is_renewed_while_another_plan_is_being_paid_for(world: World) -> None:
    lives = Lives(world)
    await lives.buys(EMAIL, "month")
    await world.deliver()
    await world.advance(30 * DAY - HOUR)
    row, reader, offer = (
        await lives.live(EMAIL),
        await lives.reader(EMAIL),
        await lives.price("year"),
    )
    assert row is not None
    shown = await world.billing.changes.preview(reader, row.id, offer.price_id)
    await world.billing.changes.confirm(reader, row.id, offer.price_id, shown.pay_vnd, "vi")
    await world.advance(2 * HOUR)  # the provider was away
    await world.billing.renewals.run_due()
    assert not await world.value("SELECT count(*) FROM sales_order WHERE purpose = 'renewal'")
    await world.deliver()
    [row] = await lives.subscriptions(EMAIL)
    assert (row.state, row.value_vnd) == (State.ACTIVE, YEAR)
    assert await world.value("SELECT count(*) FROM payment") == 2
    await world.assert_sound()


async def test_the_price_of_a_change_is_of_its_day(world: World) -> None:
    lives = Lives(world)
    await lives.buys(EMAIL, "week", FAILS_ON_RENEWAL)
    await world.deliver()
    await waiting_change(lives, "month")
    await world.advance(23.5 * HOUR)
    await (
        world.billing.charges.run_due()
    )  # the first page is closed; another one would be open for a day
    code = await world.value("SELECT code FROM sales_order WHERE purpose = 'change'")
    page = await lives.page(EMAIL, code)
    await world.advance(HOUR)
    await world.billing.orders.close_expired()
    await world.billing.charges.run_due()
    answer = await world.pay(page)
    assert answer.status_code != 303 or "/orders/" not in answer.headers["location"]
    await world.deliver()
    assert [one[0] for one in await changes_of(world)] == ["closed"]
    assert await world.value("SELECT count(*) FROM payment") == 1


async def test_who_keeps_a_plan_after_buying_a_term_is_charged_when_the_term_is_over(
    paid_by_transfer: World,
) -> None:
    world, lives = paid_by_transfer, Lives(paid_by_transfer)
    await lives.buys(EMAIL, "month")
    await world.deliver()
    await lives.cancels(EMAIL)
    await lives.transfers(EMAIL, "month")
    own = next(one for one in await lives.subscriptions(EMAIL) if one.collection == "renewal")
    for _ in range(2):
        await world.billing.wishes.resume(AGENCY, own.reader_id, own.id)
    await world.advance(31 * DAY)
    await world.deliver()
    assert EMAIL in await lives.rights()
    await world.billing.wishes.resume(AGENCY, own.reader_id, own.id)
    await world.deliver()
    assert await world.value("SELECT count(*) FROM payment") == 2, "these days are paid for"
    await world.advance(31 * DAY)
    await world.deliver()
    periods = await world.rows("SELECT period_start, period_end FROM payment ORDER BY 1")
    assert len(periods) == 3
    assert all(one[1] <= other[0] for one, other in pairwise(periods))
    assert EMAIL in await lives.rights()
    await world.assert_sound()


async def test_one_trial_however_many_pages_were_open(world: World) -> None:
    await with_trial(world, week=7, month=7)
    lives = Lives(world)
    pages = []
    for period in ("month", "week"):
        order = await lives.chooses(EMAIL, period)
        pages.append(await lives.page(EMAIL, order.code))
    await world.pay(pages[0])
    await told(world)
    await lives.cancels(EMAIL)
    await world.pay(pages[1])
    await told(world)
    assert await world.value("SELECT count(*) FROM payment WHERE provider = 'trial'") == 1
    assert await world.value("SELECT count(*) FROM subscription") == 1
    await world.deliver()
    await world.assert_sound()


async def test_a_card_that_is_refused_again_and_again_is_left_alone(world: World) -> None:
    lives, browser = Lives(world), await owing(world)
    before = len(await lives.charges_at_provider())
    for _ in range(8):
        answer = await act(world, browser, "pay")
        assert "/orders/" in answer.headers["location"]
    assert len(await lives.charges_at_provider()) - before == 4
    shown = await browser.get(answer.headers["location"])
    assert "Trả bằng thẻ khác" in shown.text
    await world.advance(DAY + HOUR)
    await act(world, browser, "pay")
    assert len(await lives.charges_at_provider()) - before == 5


@pytest.mark.parametrize("day", ["0001-01-01", "1/1/0001", "9999-12-31", "31/02/2027", "\x00"])
async def test_a_pause_to_no_day_of_the_calendar_is_told(world: World, day: str) -> None:
    browser = await world.subscribed()
    await world.deliver()
    answer = await act(world, browser, "pause", until=day)
    assert answer.headers["location"] == f"{ACCOUNT}?notice=pause-day"


async def test_what_is_owed_is_canceled_and_over_at_once(world: World) -> None:
    browser = await owing(world)
    answer = await act(world, browser, "cancel")
    assert answer.headers["location"] == f"{ACCOUNT}?notice=over"
    shown = await browser.get(answer.headers["location"])
    assert "Gói của bạn đã kết thúc. Không thu thêm tiền." in shown.text


async def test_no_log_has_the_token_of_a_link(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.subscribed()
    await world.deliver()
    [(reader, subscription)] = await world.rows("SELECT reader_id, id FROM subscription")
    token = world.billing.links.token(Link(AGENCY, reader, subscription), world.clock.now())

    for error, status in ((ConnectionResetError("away"), 503), (ValueError("odd"), 500)):

        async def fails(*_: object, told: Exception = error) -> None:
            raise told

        monkeypatch.setattr(world.billing.accounts, "one", fails)
        with capture_logs() as logged:
            answer = await world.browser().get(f"/r/{AGENCY}/s/{token}")
        assert answer.status_code == status
        paths = [one["path"] for one in logged if "path" in one]
        assert paths == [f"/r/{AGENCY}/s/…"]


async def _at_once(world: World, browser: Browser, *forms: tuple[str, dict[str, str]]) -> list[Any]:
    """Forms of several tabs that are sent in the same moment."""
    token = form_token((await browser.get(ACCOUNT)).text)
    row = await Lives(world).live(EMAIL)
    assert row is not None
    return await asyncio.gather(
        *(
            browser.client.post(
                f"{ACCOUNT}/{action}",
                data={"csrf_token": token, "subscription": str(row.id), **data},
                headers={"Origin": OWN},
            )
            for action, data in forms
        )
    )


async def test_two_tabs_change_the_plan_once(world: World) -> None:
    browser, lives = await world.subscribed(), Lives(world)
    await world.deliver()
    row, reader, offer = (
        await lives.live(EMAIL),
        await lives.reader(EMAIL),
        await lives.price("year"),
    )
    assert row is not None
    shown = await world.billing.changes.preview(reader, row.id, offer.price_id)
    form = {"price": str(offer.price_id), "amount": str(shown.pay_vnd)}
    answers = await _at_once(world, browser, *[("change", form)] * 4)
    assert {one.status_code for one in answers} == {303}
    await world.deliver()
    paid = await world.rows("SELECT amount_vnd FROM payment ORDER BY 1")
    assert paid == [(MONTH,), (shown.pay_vnd,)]
    for amount in ("0", "-1", str(shown.pay_vnd - 1), "9" * 40, "٥"):
        again = {"price": await price_of(world, "week"), "amount": amount}
        [answer] = await _at_once(world, browser, ("change", again))
        assert answer.status_code in (303, 409)
    assert await world.value("SELECT count(*) FROM payment") == 2
    await world.assert_sound()


async def test_tabs_that_pay_and_cancel_at_once_end_sound(world: World) -> None:
    browser = await owing(world)
    before = len(await Lives(world).charges_at_provider())
    answers = await _at_once(
        world, browser, *[("pay", {})] * 4, ("card", {}), ("cancel", {}), ("resume", {})
    )
    assert {one.status_code for one in answers} == {303}
    assert len(await Lives(world).charges_at_provider()) - before <= 4
    await world.deliver()
    assert await world.value("SELECT count(*) FROM payment WHERE amount_vnd > 0") == 1
    await world.assert_sound()


async def test_a_letters_link_is_nothing_to_a_form_of_another_site(world: World) -> None:
    await world.subscribed()
    await world.deliver()
    [(reader, subscription)] = await world.rows("SELECT reader_id, id FROM subscription")
    token = world.billing.links.token(Link(AGENCY, reader, subscription), world.clock.now())
    for action in ("cancel", "resume", "pay", "card"):
        for origin in ("http://evil.test", "null", "http://site.test"):
            answer = await world.browser().client.post(
                f"/r/{AGENCY}/s/{token}/{action}", headers={"Origin": origin}
            )
            assert answer.status_code == 403, (action, origin)
    for ids in ((subscription, subscription), (reader, reader)):
        forged = world.billing.links.token(Link(AGENCY, *ids), world.clock.now())
        assert (await world.browser().get(f"/r/{AGENCY}/s/{forged}")).status_code == 404
    row = await world.value("SELECT cancel_at_period_end FROM subscription")
    assert row is False


async def test_no_card_tries_any_number_of_seats(world: World) -> None:
    plan = {"code": "to-chuc", "name_vi": "Tổ chức", "name_en": "Organisation", "per_seat": True}
    with pytest.raises(ValueError, match="to-chuc: one card would try any number of seats"):
        await world.billing.plans.save_plan(AGENCY, plan, {"month": 49_000}, {"month": 7})
    assert await world.value("SELECT count(*) FROM plan_price WHERE trial_days IS NOT NULL") == 0
