"""Transfers whose note names an order for another plan, or one that a card was to renew: what finance may not give them to."""

from __future__ import annotations

import pytest

from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.integration.billing.lives import DAY, Lives
from tests.integration.billing.paying import credited, credits
from tests.integration.billing.returning import booked, dashboard_refund, reference_of, with_vat
from tests.integration.billing.test_changes_undone import LAN
from tests.integration.billing.world import AGENCY, FAILS_ON_RENEWAL, World


async def awaited(world: World) -> tuple[str, int]:
    """A month that is paid for, and a year in its place whose card was refused: the code and the price of what waits."""
    await with_vat(world)
    lives = Lives(world)
    await lives.buys(LAN, card=FAILS_ON_RENEWAL)
    await world.deliver()
    await world.advance(2 * DAY)
    await world.deliver()
    assert await lives.changes(LAN, "year")
    await world.deliver()
    [(code, amount)] = await world.rows(
        "SELECT code, amount_vnd FROM sales_order WHERE purpose = 'change' AND state = 'open'"
    )
    return code, amount


async def test_a_transfer_in_time_pays_for_another_plan(paid_by_transfer: World) -> None:
    world = paid_by_transfer
    code, amount = await awaited(world)
    await credited(world, code, amount)
    assert await credits(world) == [(amount, 0, "")]
    left = await world.value("SELECT sum(credit_vnd)::bigint FROM sales_order")
    assert left == 590_000 - amount, "what was left of the month is in the year"
    await world.assert_sound()


@pytest.mark.parametrize("why", ["late", "refund"])
async def test_nobody_gives_a_transfer_to_a_plan_whose_price_is_not_right_any_more(
    paid_by_transfer: World, why: str
) -> None:
    """What was left of the month is read by now, or went back: with the transfer it would be had twice."""
    world = paid_by_transfer
    code, amount = await awaited(world)
    if why == "late":
        await world.advance(20 * DAY)
        await world.deliver()
        await world.billing.orders.close_expired()
    else:
        await dashboard_refund(world, await reference_of(world))
        await world.deliver()
    await credited(world, code, amount)
    assert await credits(world) == [(amount, amount, "change_over")]
    before = await booked(world)
    credit = await world.value("SELECT id FROM bank_credit")
    with acting(Actor.system("test")), pytest.raises(ConflictError) as refused:
        await world.billing.transfers.assign(AGENCY, credit, code, "the reader asks for it")
    assert refused.value.slug == "order-over" and await booked(world) == before
    staff = world.browser(press_staff="finance-token")
    page = f"/staff/{AGENCY}/transfers/{credit}"
    for form in ({"code": code}, {"code": code, "why": "x", "confirmed": "true"}):
        answer = await staff.submit(page, f"{page}/assign", form)
        assert answer.status_code == 409 and "Đơn này để đổi gói" in answer.text
    assert await credits(world) == [(amount, amount, "change_over")]
    await world.assert_sound()


async def test_nobody_begins_a_second_plan_that_renews_with_a_transfer(
    paid_by_transfer: World,
) -> None:
    """An order that a card was to renew, left for another one that renews now, and money with its code."""
    world = paid_by_transfer
    lives = Lives(world)
    left = await lives.chooses(LAN, "month", renews=True)
    await lives.buys(LAN, "year")
    await world.deliver()
    await credited(world, left.code, 59_000)
    credit = await world.value("SELECT id FROM bank_credit")
    staff = world.browser(press_staff="finance-token")
    page = f"/staff/{AGENCY}/transfers/{credit}"
    form = {"code": left.code, "why": "x", "confirmed": "true"}
    answer = await staff.submit(page, f"{page}/assign", form)
    assert answer.status_code == 409 and "bắt đầu thêm một gói nữa" in answer.text
    assert await credits(world) == [(59_000, 59_000, "late")]
    assert len(await lives.subscriptions(LAN)) == 1
    # Who has canceled that one may have what they transferred for: it follows.
    await lives.cancels(LAN)
    answer = await staff.submit(page, f"{page}/assign", form)
    assert answer.headers["location"].endswith("notice=paid")
    await world.assert_sound()


async def test_a_term_beside_a_plan_that_renews_is_given_after_a_warning(
    paid_by_transfer: World,
) -> None:
    world = paid_by_transfer
    lives = Lives(world)
    left = await lives.chooses(LAN, "month", renews=False)
    await lives.buys(LAN, "year")
    await world.deliver()
    await credited(world, left.code, 59_000)
    credit = await world.value("SELECT id FROM bank_credit")
    staff = world.browser(press_staff="finance-token")
    page = f"/staff/{AGENCY}/transfers/{credit}"
    answer = await staff.submit(page, f"{page}/assign", {"code": left.code})
    assert answer.status_code == 200 and "trả tiền hai lần cho cùng những ngày" in answer.text
    await lives.cancels(LAN)
    answer = await staff.submit(page, f"{page}/assign", {"code": left.code})
    assert answer.status_code == 200 and "trả tiền hai lần" not in answer.text
