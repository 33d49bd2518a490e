"""A change of plan whose money goes back: what had been paid before is read again; what became credit is not given back unseen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.billing.charges.apply import apply
from services.billing.offers.rules import Kind
from services.billing.payments.adapters.port import DisputeMoved, DisputeState
from tests.integration.billing.lives import Lives
from tests.integration.billing.returning import (
    MONTH,
    at_the_bank,
    booked,
    dashboard_refund,
    dispute,
    picture,
    reference_of,
    with_vat,
)
from tests.integration.billing.test_offers import INTRO, a_month, offered, verify
from tests.integration.billing.world import AGENCY, World

COMES_BACK = "4000000000005126"
DAY = timedelta(days=1)
LAN = "lan@example.vn"


async def changed(world: World, *periods: str, card: str = "4242424242424242") -> list[str]:
    """What was bought, changed two days later, and again two days after that: the provider's references."""
    await with_vat(world)
    lives = Lives(world)
    await world.subscribed(period="week" if len(periods) > 1 else "month", card=card)
    await world.deliver()
    references = [await reference_of(world)]
    for period in periods:
        world.clock.advance(2 * DAY)
        await world.deliver()
        assert await lives.changes(LAN, period)
        await world.deliver()
        references.append(await reference_of(world))
    await world.assert_sound()
    return references


async def subscription(world: World) -> tuple[Any, ...]:
    return (
        await world.rows(
            """SELECT s.state, s.cancel_at_period_end, p.period, s.period_start, s.period_end, s.anchor_day, s.mrr_vnd
               FROM subscription s JOIN plan_price p ON p.id = s.price_id"""
        )
    )[0]


async def until(world: World) -> Any:
    return await world.value(
        "SELECT max(valid_until) FROM entitlement WHERE NOT revoked AND valid_until > :now",
        now=world.clock.now(),
    )


async def test_the_old_period_is_read_again_and_again_cut_where_the_refund_fails(
    world: World,
) -> None:
    await with_vat(world)
    _, year = await changed(world, "year", card=COMES_BACK)
    before, now = await picture(world), await subscription(world)
    old = await world.rows(
        "SELECT period_end FROM payment WHERE replaced_by IS NOT NULL AND cut_at IS NOT NULL"
    )
    world.clock.advance(DAY)
    await world.deliver()
    clean = await booked(world)
    refund = await dashboard_refund(world, year)
    await world.deliver()
    state, cancels, period, _, ends, _, mrr = await subscription(world)
    assert (state, cancels, period, [(ends,)]) == ("ending", True, "month", old)
    assert mrr == MONTH - MONTH * 800 // 10_800
    assert await until(world) == ends
    assert await world.rows("SELECT count(*) FROM payment WHERE replaced_by IS NOT NULL") == [(0,)]
    await world.assert_sound()
    world.clock.advance(DAY)
    await world.deliver()
    earned = (await booked(world))["revenue_subscription"]
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert (await subscription(world))[:-1] == now[:-1], "as before, and it renews"
    assert (await picture(world))["rights"] == before["rights"]
    after = await booked(world)
    assert after["stripe_receivable"] == clean["stripe_receivable"]
    assert "refunds_subscription" not in after
    assert after["revenue_subscription"] <= earned < clean["revenue_subscription"]
    await world.assert_sound()
    world.clock.advance(9 * DAY)
    await world.deliver()
    await world.assert_sound()


async def test_of_a_change_after_a_change_each_is_undone_by_itself(world: World) -> None:
    week, month, year = await changed(world, "month", "year")
    await dashboard_refund(world, year, amount=1_000)
    await world.deliver()
    assert (await subscription(world))[2] == "year", "a part leaves what was bought"
    for reference, kept in ((year, "month"), (month, "week")):
        await dashboard_refund(world, reference)
        await world.deliver()
        assert (await subscription(world))[2] == kept
        assert await until(world) == (await subscription(world))[4] > world.clock.now()
        await world.assert_sound()
    await dashboard_refund(world, week)
    await world.deliver()
    assert await until(world) is None
    world.clock.advance(2 * DAY)
    await world.deliver()
    await world.assert_sound()
    books = await booked(world)
    assert books.pop("refunds_subscription") == -books.pop("revenue_subscription") and not books


CREDIT = "SELECT o.credit_vnd FROM payment p JOIN sales_order o ON o.id = p.order_id WHERE p.reference = :reference"


async def credit_gone(world: World) -> list[tuple[int, str]]:
    """What finance sees of credit that was given back."""
    found = await world.billing.exceptions.listing(AGENCY, 9)
    return [(one["amount_vnd"], one["reader_email"]) for one in found["credit"]]


async def test_the_first_change_goes_back_while_the_second_runs(world: World) -> None:
    _, month, year = await changed(world, "month", "year")
    ends = await until(world)
    before = await booked(world)
    await dashboard_refund(world, month)
    await world.deliver()
    assert await until(world) == ends and (await subscription(world))[2] == "year"
    assert await booked(world) != before
    credit = await world.value(CREDIT, reference=year)
    assert await credit_gone(world) == [(credit - 19_000, LAN)], "the week pays for its part of it"
    await world.assert_sound()
    await dashboard_refund(world, year)
    await world.deliver()
    assert await credit_gone(world) == []
    assert (await subscription(world))[2] == "week"
    assert await world.value("SELECT next_price_id FROM subscription") is None, (
        "nothing else is agreed to"
    )
    await world.assert_sound()
    assert await Lives(world).resumes(LAN)
    world.clock.advance(5 * DAY)
    await world.deliver()
    assert (await subscription(world))[:3] == ("active", False, "week")
    await world.assert_sound()


async def test_who_resumed_after_a_change_went_back_is_canceled_by_the_newest_money_only(
    world: World,
) -> None:
    week, month, year = await changed(world, "month", "year")
    await dashboard_refund(world, year)
    await world.deliver()
    assert (await subscription(world))[:3] == ("ending", True, "month")
    assert await Lives(world).resumes(LAN)
    await dashboard_refund(world, week)  # what was replaced long ago, and is not read any more
    await world.deliver()
    assert (await subscription(world))[:3] == ("active", False, "month")
    await dashboard_refund(world, month)
    await world.deliver()
    assert (await subscription(world))[1]
    await world.assert_sound()


async def test_a_lost_dispute_of_a_change_restores_and_one_that_is_won_after_all_cuts_again(
    world: World,
) -> None:
    _, year = await changed(world, "year")
    ends = await until(world)
    id_ = await dispute(world, year)
    await world.deliver()
    await at_the_bank(world, f"disputes/{id_}/close", outcome="lost")
    await world.deliver()
    assert (await subscription(world))[2] == "month" and await until(world) < ends
    await world.assert_sound()
    [amount] = [row[0] for row in await world.rows("SELECT amount_vnd FROM dispute")]
    now = world.clock.now()
    won = DisputeMoved(id_, year, amount, 350_000, "VND", DisputeState.WON, False, now)
    async with world.billing.database.transaction() as session:
        assert await apply(session, "stripe", won, now)
    assert (await subscription(world))[:3] == ("ending", True, "year")
    assert await until(world) == (await subscription(world))[4]
    await world.assert_sound()


async def agreed(world: World) -> tuple[Any, ...]:
    """What is paid next: plan, period, readers, and how many periods of an offer are left."""
    return (
        await world.rows(
            """SELECT l.code, p.period, coalesce(s.next_seats, s.seats), s.offer_left, s.offer_id IS NOT NULL FROM subscription s
               JOIN plan_price p ON p.id = coalesce(s.next_price_id, s.price_id) JOIN plan l ON l.id = p.plan_id"""
        )
    )[0]


async def renewed(world: World) -> tuple[Any, ...]:
    """The newest order of a next period: plan, period, readers, amount."""
    await a_month(world)
    return (
        await world.rows(
            """SELECT l.code, p.period, o.seats, o.amount_vnd FROM sales_order o JOIN plan_price p ON p.id = o.price_id
               JOIN plan l ON l.id = p.plan_id WHERE o.purpose = 'renewal' ORDER BY o.created_at DESC LIMIT 1"""
        )
    )[0]


async def test_who_has_the_money_of_a_family_plan_back_pays_for_one_reader_again(
    world: World,
) -> None:
    (_, family), lives = await changed(world, "gia-dinh", card=COMES_BACK), Lives(world)
    assert await agreed(world) == ("gia-dinh", "month", 4, None, False)
    refund = await dashboard_refund(world, family)
    await world.deliver()
    assert await agreed(world) == ("doc-bao", "month", 1, None, False)
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await agreed(world) == ("gia-dinh", "month", 4, None, False), "paid for after all"
    await dashboard_refund(world, family)
    await world.deliver()
    assert await lives.resumes(LAN)
    assert await renewed(world) == ("doc-bao", "month", 1, MONTH)
    group = await world.billing.seats.groups(await lives.reader(LAN))
    assert group == [], "nobody else has a seat of a plan for one"
    await world.assert_sound()


async def test_who_disputes_a_payment_keeps_no_seats_of_a_plan_that_was_to_come(
    world: World,
) -> None:
    await with_vat(world)
    lives = Lives(world)
    await lives.buys(LAN, "year")
    await world.deliver()
    assert await lives.changes(LAN, "gia-dinh") == 0
    assert await agreed(world) == ("gia-dinh", "month", 4, None, False)
    await dispute(world, await reference_of(world))
    await world.deliver()
    assert await agreed(world) == ("doc-bao", "year", 1, None, False)
    with pytest.raises(IntegrityError, match="ck_subscription_next"):
        async with world.billing.database.transaction() as session:
            await session.execute(text("UPDATE subscription SET next_seats = 4"))
    await world.assert_sound()


async def test_offers_are_those_of_the_plan_that_is_read_again(world: World) -> None:
    """A student's price of the year, and an introductory one of the month: each goes and comes with its plan."""
    await offered(world, Kind.INTRO)
    await offered(world, Kind.STUDENT, "year", amount_vnd=290_000)
    lives = Lives(world)
    await verify(world, await world.signed_in(LAN), "lan@sv.hust.edu.vn")
    _, year = await changed(world, "year", card=COMES_BACK)
    assert await agreed(world) == ("doc-bao", "year", 1, None, True)
    refund = await dashboard_refund(world, year)
    await world.deliver()
    assert await world.value("SELECT refunded_vnd > 0 FROM payment WHERE reference = :r", r=year)
    assert await agreed(world) == ("doc-bao", "month", 1, 2, True)
    await world.assert_sound()
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await agreed(world) == ("doc-bao", "year", 1, None, True)
    await world.assert_sound()
    await dashboard_refund(world, year)
    await world.deliver()
    assert await lives.resumes(LAN)
    assert await renewed(world) == ("doc-bao", "month", 1, INTRO)
    await world.assert_sound()


@pytest.mark.parametrize(("later", "costs"), [("month", MONTH), ("week", 19_000)])
async def test_an_old_change_that_goes_back_leaves_the_plan_that_is_paid_for_since(
    world: World, later: str, costs: int
) -> None:
    """A week, a month in its place, and what is paid for after that: the month's money back, or back with us, changes nothing of what
    comes next."""
    await with_vat(world)
    lives = Lives(world)
    await lives.buys(LAN, "week", COMES_BACK)
    await world.deliver()
    world.clock.advance(2 * DAY)
    assert await lives.changes(LAN, "month")
    await world.deliver()
    month = await reference_of(world)
    if later == "week":
        assert await lives.changes(LAN, "week") == 0
    world.clock.advance(32 * DAY)
    await world.deliver()
    before = await subscription(world)
    assert before[:3] == ("active", False, later)
    refund = await dashboard_refund(world, month)
    await world.deliver()
    assert await subscription(world) == before
    assert await world.value("SELECT next_price_id FROM subscription") is None
    await world.assert_sound()
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await subscription(world) == before
    assert await world.value("SELECT next_price_id FROM subscription") is None
    await world.assert_sound()
    world.clock.advance(31 * DAY)
    await world.deliver()
    newest = "SELECT amount_vnd FROM payment ORDER BY period_start DESC LIMIT 1"
    assert await world.value(newest) == costs
    await world.assert_sound()
