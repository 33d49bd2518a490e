"""Offers and changes of plan whose money went back: the offer of the plan that is read again is there again, and gone where the refund fails."""

from __future__ import annotations

from typing import Any

import pytest

from services.billing.offers.rules import Kind
from tests.integration.billing.lives import DAY, Lives
from tests.integration.billing.returning import (
    at_the_bank,
    booked,
    dashboard_refund,
    dispute,
    reference_of,
    with_vat,
)
from tests.integration.billing.test_changes_undone import COMES_BACK, LAN, until
from tests.integration.billing.test_offers import (
    FULL,
    INTRO,
    a_month,
    amounts,
    offered,
    verify,
)
from tests.integration.billing.world import World

STUDENT_YEAR = 190_000


async def stands(world: World) -> tuple[Any, ...]:
    """(period, what the offer of it costs, periods of it that are left, state, MRR) of the subscription."""
    return (
        await world.rows(
            """SELECT p.period, f.amount_vnd, s.offer_left, s.state, s.mrr_vnd FROM subscription s
               JOIN plan_price p ON p.id = s.price_id LEFT JOIN price_offer f ON f.id = s.offer_id"""
        )
    )[0]


def month_of(gross: int, months: int = 1) -> int:
    """What a price is a month, without 8 % tax."""
    tax, rest = divmod(gross * 8, 108)
    return (gross - tax - (2 * rest >= 108)) // months


async def changed_at_offers(world: World, *kinds: Kind, card: str = "4242424242424242") -> str:
    """A month at an offer, and two days later a year; the provider's reference of the year's money."""
    await with_vat(world)
    if Kind.INTRO in kinds:
        await offered(world)
    if Kind.STUDENT in kinds:
        await offered(world, Kind.STUDENT)
        await offered(world, Kind.STUDENT, "year", amount_vnd=STUDENT_YEAR)
        await verify(world, await world.signed_in(LAN), "lan@sv.edu.vn")
    lives = Lives(world)
    await lives.buys(LAN, card=card)
    await world.deliver()
    world.clock.advance(2 * DAY)
    await world.deliver()
    assert await lives.changes(LAN, "year")
    await world.deliver()
    await world.assert_sound()
    return await reference_of(world)


async def test_a_student_who_takes_a_change_back_is_a_student_of_the_plan_before(
    world: World,
) -> None:
    year = await changed_at_offers(world, Kind.STUDENT, card=COMES_BACK)
    bought = "year", STUDENT_YEAR, None, "active", month_of(STUDENT_YEAR, 12)
    assert await stands(world) == bought
    world.clock.advance(DAY)
    await world.deliver()
    before = await booked(world)
    refund = await dashboard_refund(world, year)
    await world.deliver()
    assert await stands(world) == ("month", INTRO, None, "ending", month_of(INTRO))
    books = await booked(world)
    assert books["stripe_receivable"] == INTRO, "the month's money is all that is kept"
    await world.assert_sound()
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await stands(world) == bought
    assert (await booked(world))["stripe_receivable"] == before["stripe_receivable"]
    await world.assert_sound()


@pytest.mark.parametrize("how", ["refund", "dispute"])
async def test_who_takes_a_change_back_is_in_the_introductory_price_again(
    world: World, how: str
) -> None:
    year = await changed_at_offers(world, Kind.INTRO)
    assert (await stands(world))[:3] == ("year", None, None)
    world.clock.advance(DAY)
    if how == "refund":
        await dashboard_refund(world, year)
    else:
        id_ = await dispute(world, year)
        await world.deliver()
        await at_the_bank(world, f"disputes/{id_}/close", outcome="lost")
    await world.deliver()
    assert await stands(world) == ("month", INTRO, 2, "ending", month_of(INTRO))
    ends = (await Lives(world).subscriptions(LAN))[0].period_end
    assert await until(world) == ends
    await world.assert_sound()
    # Who goes on after all pays what was left of the offer, then the price itself.
    lives = Lives(world)
    assert await lives.resumes(LAN)
    if how == "dispute":
        await lives.gives_card(LAN)
    await world.deliver()
    for _ in range(3):
        await a_month(world)
    kept = [one for one in await amounts(world, LAN) if one in (INTRO, FULL)]
    assert kept == [INTRO, INTRO, INTRO, FULL]
    moved = await world.rows("SELECT movement, amount_vnd FROM mrr_movement ORDER BY version")
    year_month = month_of(590_000, 12)
    assert moved == [
        ("new", month_of(INTRO)),
        ("expansion", year_month - month_of(INTRO)),
        ("contraction", month_of(INTRO) - year_month),
        ("expansion", month_of(FULL) - month_of(INTRO)),
    ]
    await world.assert_sound()


async def test_a_change_that_is_undone_and_stands_after_all_has_no_offer(world: World) -> None:
    year = await changed_at_offers(world, Kind.INTRO, card=COMES_BACK)
    refund = await dashboard_refund(world, year)
    await world.deliver()
    assert (await stands(world))[:3] == ("month", INTRO, 2)
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await stands(world) == ("year", None, None, "active", month_of(590_000, 12))
    await world.assert_sound()
