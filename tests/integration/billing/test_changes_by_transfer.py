"""Another plan for who pays by bank transfer: what it costs, when it begins, and money that comes late, twice or for what has changed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.billing.charges.apply import apply
from services.billing.coupons.service import NewCoupon
from services.billing.payments.adapters.port import DisputeMoved, DisputeState
from services.billing.refunds.service import By
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.integration.billing.lives import DAY, HOUR, Lives
from tests.integration.billing.own_plans import (
    HANOI,
    day_of,
    days_between,
    next_end,
    spread,
    tax_in,
)
from tests.integration.billing.paying import credited, credits
from tests.integration.billing.returning import at_the_bank, booked, dispute, reference_of, with_vat
from tests.integration.billing.test_account_pages import words_of
from tests.integration.billing.world import AGENCY, World

LAN = "lan@example.vn"


async def a_term(world: World, period: str = "month", after: timedelta = 10 * DAY) -> Lives:
    """A taxed term that was transferred, ``after`` so long."""
    await with_vat(world)
    lives = Lives(world)
    await lives.transfers(LAN, period)
    await world.advance(after)
    return lives


async def the_term(world: World) -> tuple[Any, ...]:
    """(state, period, begins, ends, seats) of the only subscription."""
    [found] = await world.rows(
        """SELECT s.state, l.code || '/' || p.period, s.period_start, s.period_end, s.seats FROM subscription s
           JOIN plan_price p ON p.id = s.price_id JOIN plan l ON l.id = p.plan_id"""
    )
    return tuple(found)


async def stretches(world: World, email: str = LAN) -> list[tuple[datetime, datetime]]:
    rows = await world.rows(
        """SELECT e.valid_from, e.valid_until FROM entitlement e JOIN reader r ON r.id = e.reader_id
           WHERE r.email = :email AND NOT e.revoked ORDER BY 1""",
        email=email,
    )
    return [(row[0], row[1]) for row in rows]


async def deferred(world: World) -> int:
    await world.billing.recognition.run_due()
    return -(await booked(world)).get("deferred_subscription", 0)


def left_of(bought: datetime, gross: int, period: str, at: datetime) -> int:
    """The net of a period that the days after ``at`` would have earned, computed anew."""
    end = next_end(bought, period, bought.astimezone(HANOI).day)
    by_day = spread(gross - tax_in(gross), days_between(day_of(bought), day_of(end)))
    return sum(vnd for day, vnd in by_day.items() if day > day_of(at))


async def test_a_term_becomes_a_year_for_the_difference(paid_by_transfer: World) -> None:
    world = paid_by_transfer
    begun = world.clock.now()
    lives = await a_term(world)
    ordered = world.clock.now()
    order = await lives.orders_change(LAN, "year")
    left = left_of(begun, 59_000, "month", ordered)
    assert order.credit_vnd == left + left * 8 // 100
    assert order.amount_vnd == 590_000 - order.credit_vnd
    browser = await world.signed_in(LAN)
    page = (await browser.get(f"/r/{AGENCY}/orders/{order.code}")).text
    assert "VietQR" in page and "Thanh toán gói mới" in page and "Trả bằng thẻ" in page
    await world.advance(HOUR)
    await credited(world, order.code, order.amount_vnd, id_=2)
    paid, year = world.clock.now(), await the_term(world)
    assert year[:3] == ("active", "doc-bao/year", paid)
    assert year[3] == next_end(paid, "year", 3)
    assert await stretches(world) == [(begun, year[3])], "read without a gap, and no day twice"
    assert await world.rows("SELECT cut_at FROM payment ORDER BY paid_at") == [(paid,), (None,)]
    net = order.amount_vnd - tax_in(order.amount_vnd)
    assert await deferred(world) == left + net, "all money that is not earned is in the year"
    assert await world.rows(
        "SELECT movement, count(*) FROM mrr_movement GROUP BY 1 ORDER BY 1"
    ) == [
        ("contraction", 1),
        ("new", 1),
    ]
    sums = await world.rows("SELECT net_vnd + vat_vnd FROM invoice ORDER BY number")
    assert sums == [(59_000,), (order.amount_vnd,)]
    shown = (await browser.get(f"/r/{AGENCY}/orders/{order.code}")).text
    assert "Gói mới của bạn đã bắt đầu." in shown and "Gói tự kết thúc" in shown
    await world.assert_sound()
    await world.advance(366 * DAY)
    await world.deliver()
    assert await deferred(world) == 0 and (await the_term(world))[0] == "expired"
    assert -(await booked(world))["revenue_subscription"] == 59_000 - tax_in(59_000) + net
    await world.assert_sound()


@pytest.mark.parametrize(
    ("bought_before", "waits"),
    [
        (10 * DAY, 23 * HOUR),  # past midnight
        (8 * DAY - 2 * HOUR, 4 * HOUR),  # past the end of November, by the agency's clock
        (29 * DAY + 22 * HOUR, 12 * HOUR),  # the month ends meanwhile
    ],
)
async def test_what_is_taken_off_stays_while_the_order_waits(
    paid_by_transfer: World, bought_before: timedelta, waits: timedelta
) -> None:
    world = paid_by_transfer
    begun = world.clock.now()
    lives = await a_term(world, after=bought_before)
    order = await lives.orders_change(LAN, "year")
    await world.advance(waits)
    await world.billing.orders.close_expired()
    await credited(world, order.code, order.amount_vnd, id_=2)
    paid = world.clock.now()
    assert (await the_term(world))[:3] == ("active", "doc-bao/year", paid)
    month_ends = next_end(begun, "month", 23)
    net = order.amount_vnd - tax_in(order.amount_vnd)
    left = left_of(begun, 59_000, "month", paid) if paid < month_ends else 0
    assert await deferred(world) == left + net - (0 if left else net // 365)
    kept = await world.value("SELECT value_vnd FROM subscription")
    assert kept == 590_000 == order.amount_vnd + order.credit_vnd
    await world.assert_sound()


async def test_money_for_a_change_that_is_over_goes_to_the_one_that_is_chosen_again(
    paid_by_transfer: World,
) -> None:
    """The order waits for a day. What comes later is shown to finance, who gives it to the order that the reader makes then."""
    world = paid_by_transfer
    lives = await a_term(world)
    late = await lives.orders_change(LAN, "year")
    await credited(world, late.code, 9_000, id_=2)
    await world.advance(25 * HOUR)
    await world.billing.orders.close_expired()
    rest = late.amount_vnd - 9_000
    await credited(world, late.code, rest, id_=3)
    assert [row[1:] for row in await credits(world)] == [
        (0, ""),
        (9_000, "under"),
        (rest, "change_over"),
    ]
    staff, waits = world.browser(press_staff="finance-token"), f"/staff/{AGENCY}/transfers"
    again = await lives.orders_change(LAN, "year")
    missing = again.amount_vnd - late.amount_vnd
    assert again.code != late.code and missing > 0, "a day of the month was read meanwhile"
    told = "mời bạn đọc chọn lại gói rồi gán tiền cho đơn mới"
    assert (await staff.get(waits)).text.count(told) == 2
    for (credit,) in await world.rows("SELECT id FROM bank_credit WHERE left_vnd > 0"):
        assert told in (await staff.get(f"{waits}/{credit}")).text
        with acting(Actor.system("test")):
            assert not await world.billing.transfers.assign(AGENCY, credit, again.code, "as asked")
    await credited(world, again.code, missing, id_=4)
    assert [left for _, left, _ in await credits(world)] == [0, 0, 0, 0]
    assert (await the_term(world))[1] == "doc-bao/year"
    await world.assert_sound()


async def next_term(world: World, lives: Lives) -> None:
    await lives.transfers(LAN, "month", id_=7)


async def a_gift(world: World, lives: Lives) -> None:
    order = await lives.transfers("ba@example.vn", "month", id_=7, gift=True)
    await lives.redeems(LAN, await lives.gift_code(order))


async def a_renewing_plan(world: World, lives: Lives) -> None:
    await lives.buys(LAN, "month")
    await world.deliver()


async def a_refund(world: World, lives: Lives) -> None:
    reader = await lives.reader(LAN)
    payment = await world.value("SELECT id FROM payment ORDER BY paid_at LIMIT 1")
    with acting(Actor.system("test")):
        await world.billing.refunds.ask(
            AGENCY, reader.id, payment, 9_000, "a wish", By("desk", "Desk")
        )


@pytest.mark.parametrize("happens", [next_term, a_gift, a_renewing_plan, a_refund])
async def test_a_change_is_over_when_what_it_counted_with_is_not_so_any_more(
    paid_by_transfer: World, happens: Any
) -> None:
    """What its price did not count with would be lost, or be had twice: its money waits for a person."""
    world = paid_by_transfer
    lives = await a_term(world)
    order = await lives.orders_change(LAN, "year")
    await happens(world, lives)
    periods = "SELECT count(*), count(cut_at) FROM payment WHERE subscription_id IS NOT NULL"
    before, money = await world.rows(periods), await booked(world)
    await credited(world, order.code, order.amount_vnd, id_=2)
    waits = (order.amount_vnd, order.amount_vnd, "change_over")
    assert waits in await credits(world) and await world.rows(periods) == before
    after = await booked(world)
    assert after.pop("unallocated_receipts") == -order.amount_vnd
    assert after.pop("bank") == money.pop("bank") + order.amount_vnd and after == money
    browser = await world.signed_in(LAN)
    closed = (await browser.get(f"/r/{AGENCY}/orders/{order.code}")).text
    assert "Bạn đã thanh toán? Tiền không mất" in closed
    await world.assert_sound()


async def test_the_same_wish_is_one_order_and_another_one_takes_its_place(
    paid_by_transfer: World,
) -> None:
    """Whoever presses twice, or in two tabs, has one code to pay; a part that has come keeps its order."""
    world = paid_by_transfer
    lives = await a_term(world)
    first = await lives.orders_change(LAN, "year")
    await world.advance(HOUR)
    assert (await lives.orders_change(LAN, "year")).code == first.code
    family = await lives.orders_change(LAN, "gia-dinh/month")
    await credited(world, first.code, first.amount_vnd, id_=2)
    await credited(world, family.code, 1_000, id_=3)
    assert (await lives.orders_change(LAN, "year")).code == family.code
    browser = await world.signed_in(LAN)
    page = words_of((await browser.get(f"/r/{AGENCY}/orders/{family.code}")).text)
    assert "Đã nhận 1.000 ₫, còn thiếu" in page
    await credited(world, family.code, family.amount_vnd, id_=4)
    await credited(world, family.code, family.amount_vnd, id_=5)
    assert [row[1:] for row in await credits(world)] == [
        (0, ""),
        (first.amount_vnd, "change_over"),
        (0, ""),
        (1_000, "over"),
        (family.amount_vnd, "paid_already"),
    ]
    state, plan, _, _, seats = await the_term(world)
    assert (state, plan, seats) == ("active", "gia-dinh/month", 4)
    await world.assert_sound()


async def test_who_has_transferred_a_part_is_not_charged_for_the_whole_by_card(
    paid_by_transfer: World,
) -> None:
    """The rest is transferred too: the page that was open closes, and none opens."""
    world = paid_by_transfer
    lives = await a_term(world)
    order = await lives.orders_change(LAN, "year")
    browser, address = await world.signed_in(LAN), f"/r/{AGENCY}/orders/{order.code}"
    opened = await lives.page(LAN, order.code)
    await credited(world, order.code, 9_000, id_=2)
    shown = (await browser.get(address)).text
    assert "Đã nhận" in shown and "Trả bằng thẻ" not in shown
    answer = await browser.submit(f"/r/{AGENCY}/account", f"{address}/card", {})
    assert answer.headers["location"] == address
    await world.deliver()
    await world.pay(opened)
    await world.deliver()
    assert await lives.charges_at_provider() == [], "nobody can pay on it any more"
    again = await lives.orders_change(LAN, "year")
    assert again.code == order.code and (await the_term(world))[1] == "doc-bao/month"
    await credited(world, order.code, order.amount_vnd - 9_000, id_=3)
    assert [left for _, left, _ in await credits(world)] == [0, 0, 0]
    assert (await the_term(world))[1] == "doc-bao/year"
    await world.assert_sound()


async def test_a_part_beside_a_card_that_was_quicker_is_left_over(paid_by_transfer: World) -> None:
    """Finance is not told to wait for the rest of what is paid."""
    world = paid_by_transfer
    lives = await a_term(world)
    order = await lives.orders_change(LAN, "year")
    opened = await lives.page(LAN, order.code)
    await world.pay(opened)
    await credited(world, order.code, 9_000, id_=2)
    await world.deliver()
    assert (await the_term(world))[1] == "doc-bao/year"
    staff = world.browser(press_staff="finance-token")
    page = (await staff.get(f"/staff/{AGENCY}/transfers")).text
    assert f"Phần thừa khi trả đơn {order.code}" in page
    assert "Chưa đủ tiền cho đơn" not in page
    await world.assert_sound()


async def test_what_is_left_of_a_gift_is_taken_off_and_the_books_agree(
    paid_by_transfer: World,
) -> None:
    """The money is the giver's, and a schedule of the reader's earns it; also when it goes back to the giver."""
    world = paid_by_transfer
    await with_vat(world)
    lives, begun = Lives(world), world.clock.now()
    given = await lives.transfers("ba@example.vn", gift=True)
    await lives.redeems(LAN, await lives.gift_code(given))
    await world.advance(5 * DAY)
    order = await lives.orders_change(LAN, "year")
    await credited(world, order.code, order.amount_vnd, id_=2)
    left = left_of(begun, 59_000, "month", world.clock.now())
    assert (await the_term(world))[
        1
    ] == "doc-bao/year" and order.credit_vnd == left + left * 8 // 100
    assert await deferred(world) == left + order.amount_vnd - tax_in(order.amount_vnd)
    await world.assert_sound()
    giver = await lives.reader("ba@example.vn")
    payment = await world.value("SELECT id FROM payment WHERE reader_id = :giver", giver=giver.id)
    desk = By("desk", "Desk")
    with acting(Actor.system("test")):
        asked = await world.billing.refunds.ask(AGENCY, giver.id, payment, 59_000, "a wish", desk)
        await world.billing.refunds.pay(AGENCY, asked.id, "FTBACK1", desk)
    await world.assert_sound()


async def test_wishes_and_money_at_the_same_instant_end_in_one_plan(
    paid_by_transfer: World,
) -> None:
    """Two tabs choose, and the money of the first wish comes: whichever is first, nothing is lost and no two periods overlap."""
    world = paid_by_transfer
    lives = await a_term(world)
    first = await lives.orders_change(LAN, "year")
    answers = await asyncio.gather(
        lives.orders_change(LAN, "gia-dinh/month"),
        lives.orders_change(LAN, "gia-dinh/year"),
        credited(world, first.code, first.amount_vnd, id_=2),
        lives.orders_change(LAN, "gia-dinh/month"),
        return_exceptions=True,
    )
    assert all(
        not isinstance(one, BaseException) or isinstance(one, ConflictError) for one in answers
    )
    opened = await world.rows("SELECT code FROM sales_order WHERE state = 'open'")
    assert len(opened) <= 1
    [left] = [left for amount, left, _ in await credits(world) if amount == first.amount_vnd]
    paid = await world.value(
        "SELECT count(*) FROM sales_order WHERE purpose = 'change' AND state = 'paid'"
    )
    assert (left, paid) in ((0, 1), (first.amount_vnd, 0))
    await world.assert_sound()


async def test_a_plan_that_renews_without_a_card_is_changed_by_transfer(
    paid_by_transfer: World,
) -> None:
    """And one with a card, whose reader would rather transfer: the card is not charged. It renews at the new price."""
    world = paid_by_transfer
    await with_vat(world)
    lives = Lives(world)
    await lives.buys(LAN, "month")
    await world.deliver()
    await world.advance(28 * DAY)
    order = await lives.orders_change(LAN, "year")
    assert order.renews and order.expires_at - world.clock.now() == timedelta(days=1)
    await world.advance(DAY + HOUR)
    await world.billing.orders.close_expired()
    order = await lives.orders_change(LAN, "year")
    due = await world.value("SELECT period_end FROM subscription")
    assert order.expires_at == due, "no longer than until the next period is collected"
    charges = "SELECT count(*) FROM charge WHERE kind = 'mandate'"
    assert await world.value(charges) == 0
    await credited(world, order.code, order.amount_vnd)
    state, plan, begins, ends, _ = await the_term(world)
    assert (state, plan, begins) == ("active", "doc-bao/year", world.clock.now())
    assert await stretches(world) == [(await begun_at(world), ends + 7 * DAY)]
    await world.advance(ends - world.clock.now() + HOUR)
    await world.deliver()
    assert await world.value(charges) == 1
    assert (await the_term(world))[:3] == ("active", "doc-bao/year", ends)
    await world.assert_sound()


async def test_a_change_that_is_paid_in_a_pause_ends_it(paid_by_transfer: World) -> None:
    """It begins when it is paid: nobody read from the pause's beginning on."""
    world = paid_by_transfer
    lives = Lives(world)
    await lives.buys(LAN, "month")
    await world.deliver()
    ends = await world.value("SELECT period_end FROM subscription")
    await lives.pauses(LAN, (ends + 30 * DAY).date())
    await world.advance(ends - 2 * HOUR - world.clock.now())
    order = await lives.orders_change(LAN, "year")
    await world.advance(22 * HOUR)
    await world.deliver()
    assert (await the_term(world))[0] == "paused"
    await credited(world, order.code, order.amount_vnd)
    assert (await the_term(world))[:3] == ("active", "doc-bao/year", world.clock.now())
    await world.deliver()
    await world.assert_sound()


async def begun_at(world: World) -> datetime:
    found: datetime = await world.value("SELECT min(period_start) FROM payment")
    return found


async def test_more_seats_of_a_term_are_paid_by_transfer(paid_by_transfer: World) -> None:
    world = paid_by_transfer
    await with_vat(world)
    lives, begun = Lives(world), world.clock.now()
    await lives.transfers(LAN, "to-chuc/month", seats=6)
    await world.advance(10 * DAY)
    seats, owner = world.billing.seats, await lives.reader(LAN)
    term = await lives.term(LAN)
    for name in ("an", "binh", "chi", "dung", "em"):
        made = await seats.invite(owner, term.id, f"{name}@example.vn")
        await seats.accept(await lives.reader(f"{name}@example.vn"), made.id)
    with pytest.raises(ConflictError) as refused:
        await lives.orders_change(LAN, "to-chuc/month", 5)
    assert refused.value.slug == "seats-taken"
    order = await lives.orders_change(LAN, "to-chuc/month", 8)
    left = left_of(begun, 6 * 45_000, "month", world.clock.now())
    assert order.amount_vnd == 8 * 45_000 - (left + left * 8 // 100)
    await credited(world, order.code, order.amount_vnd, id_=2)
    _, _, begins, ends, taken = await the_term(world)
    assert (begins, taken) == (world.clock.now(), 8)
    assert [until for _, until in await stretches(world, "em@example.vn")] == [ends]
    await world.assert_sound()


async def test_what_costs_less_than_is_left_of_a_term_is_bought_to_follow(
    paid_by_transfer: World,
) -> None:
    world = paid_by_transfer
    lives = await a_term(world, "year")
    term, month = await lives.term(LAN), await lives.price("month")
    reader = await lives.reader(LAN)
    found = await world.billing.changes.preview(reader, term.id, month.price_id)
    assert not found.at_once and not found.renews and found.starts_at == term.period_end
    with pytest.raises(ConflictError):
        await world.billing.changes.confirm(reader, term.id, month.price_id, 0, "vi")
    browser = await world.signed_in(LAN)
    page = f"/r/{AGENCY}/account/change?subscription={term.id}&price={month.price_id}"
    assert page.replace("&", "&amp;") in (await browser.get(f"/r/{AGENCY}/account")).text
    assert "Đặt để nối tiếp từ 23/11/2027" in (await browser.get(page)).text
    form = {"price": str(month.price_id), "way": "transfer"}
    answer = await browser.submit(page, f"/r/{AGENCY}/checkout", form)
    await credited(world, answer.headers["location"].rsplit("/", 1)[1], 59_000, id_=2)
    periods = await world.rows("SELECT period_start, cut_at FROM payment ORDER BY period_start")
    assert periods == [(await begun_at(world), None), (term.period_end, None)]
    await world.assert_sound()


async def test_days_that_would_be_lost_are_read_first(paid_by_transfer: World) -> None:
    """Days by a coupon for which nothing was paid have no credit; and where a plan follows, another one would reach into it."""
    world = paid_by_transfer
    lives = Lives(world)
    with acting(Actor.system("test")):
        now = world.clock.now()
        await world.billing.coupons.make(
            AGENCY, NewCoupon("MIENPHI", 100, None, None, now, None, None, False)
        )
    await lives.transfers(LAN, "month", coupon="MIENPHI")
    await lives.transfers("ba@example.vn", "month", id_=2)
    await lives.buys("ba@example.vn", "month")
    await world.deliver()
    year = (await lives.price("year")).price_id
    for email in (LAN, "ba@example.vn"):
        reader, term = await lives.reader(email), await lives.term(email)
        found = await world.billing.changes.preview(reader, term.id, year)
        until = max(row.period_end for row in await lives.subscriptions(email))
        assert not found.at_once and found.starts_at == until, email
    renewing = await lives.live("ba@example.vn")
    assert renewing is not None
    found = await world.billing.changes.preview(reader, renewing.id, year)
    assert found.at_once and found.starts_at == term.period_end, "it has not begun: it follows"
    code = (await lives.orders_change("ba@example.vn", "year")).code
    await credited(world, code, 590_000 - found.credit_vnd, id_=3)
    begins = await world.value("SELECT max(period_start) FROM payment")
    assert begins == found.starts_at
    await world.assert_sound()


async def test_a_term_changed_by_card_is_not_changed_while_a_bank_decides(
    paid_by_transfer: World,
) -> None:
    """The difference may be paid by card, which is not kept. All of it goes back: the month is read again."""
    world = paid_by_transfer
    lives = await a_term(world)
    before = await the_term(world)
    order = await lives.orders_change(LAN, "year")
    await world.pay(await lives.page(LAN, order.code))
    await world.deliver()
    assert (await the_term(world))[1] == "doc-bao/year"
    assert await world.value("SELECT count(*) FROM mandate") == 0
    waits = await lives.orders_change(LAN, "gia-dinh/year")
    disputed = await dispute(world, await reference_of(world))
    await world.deliver()
    with pytest.raises(ConflictError) as refused:
        await lives.orders_change(LAN, "gia-dinh/month")
    assert refused.value.slug == "refund-under-way"
    await credited(world, waits.code, waits.amount_vnd, id_=2)
    assert (waits.amount_vnd, waits.amount_vnd, "change_over") in await credits(world)
    await at_the_bank(world, f"disputes/{disputed}/close", outcome="lost")
    await world.deliver()
    assert await the_term(world) == before
    again, now = await lives.orders_change(LAN, "gia-dinh/month"), world.clock.now()
    won = (disputed, await reference_of(world), order.amount_vnd, 350_000, "VND")
    async with world.billing.database.transaction() as session:
        assert await apply(session, "stripe", DisputeMoved(*won, DisputeState.WON, False, now), now)
    assert (await the_term(world))[1] == "doc-bao/year", "the money is with us after all"
    await credited(world, again.code, again.amount_vnd, id_=3)
    assert (again.amount_vnd, again.amount_vnd, "change_over") in await credits(world)
    assert (await the_term(world))[1] == "doc-bao/year"
    await world.assert_sound()
