"""Who was taken over from Stripe Billing, and what else they have here: a family, a change that is taken back, a student's price, an order
at the introductory price."""

from __future__ import annotations

import pytest

from services.billing.moving.rules import PlanMapError, Sold
from services.billing.offers.rules import Kind
from shared.audit import Actor, acting
from tests.integration.billing.lives import DAY, Lives
from tests.integration.billing.paying import credited
from tests.integration.billing.returning import booked, dashboard_refund, reference_of, with_vat
from tests.integration.billing.test_changes_undone import LAN, until
from tests.integration.billing.test_movers import Before
from tests.integration.billing.test_offers import FULL, INTRO, amounts, offered, verify
from tests.integration.billing.test_offers_undone import month_of, stands
from tests.integration.billing.test_seats import CHILD, OWNER, Groups
from tests.integration.billing.world import AGENCY, World

FAMILY, GRACE = 119_000, 7 * DAY


@pytest.fixture
def before(paid_by_transfer: World) -> Before:
    return Before(paid_by_transfer, {})


async def test_a_family_that_is_taken_over_is_a_family_here(before: Before) -> None:
    world, groups = before.world, Groups(before.world)
    await with_vat(world)
    await before.subscribes(OWNER, FAMILY)
    await before.pass_time(3 * DAY)
    price = before.prices[FAMILY, "month"]
    with pytest.raises(PlanMapError, match="each seat"):
        await before.moves(sold={price: Sold("to-chuc", "month")})
    assert (await before.moves(sold={price: Sold("gia-dinh", "month")})).count("moved") == 1
    await world.deliver()
    row = await groups.live(OWNER)
    assert row is not None
    assert (row.seats, row.mrr_vnd) == (4, month_of(FAMILY))
    await groups.joins(OWNER, CHILD)
    assert await groups.reads() == {OWNER, CHILD}
    await world.assert_sound()
    await before.pass_time(29 * DAY)
    await world.deliver()
    assert await groups.reads() == {OWNER, CHILD}
    seats = await world.rows("SELECT seats, amount_vnd FROM payment ORDER BY period_start")
    assert seats == [(4, 0), (4, FAMILY)]
    await world.assert_sound()
    await dashboard_refund(world, await reference_of(world, OWNER))
    await world.deliver()
    assert await groups.reads() == set()
    await world.assert_sound()


async def test_a_change_of_who_was_taken_over_is_taken_back(before: Before) -> None:
    """What Stripe was paid for is credit of the year, and is read again when the year's money goes back; a student then pays less."""
    world, lives = before.world, Lives(before.world)
    await with_vat(world)
    await offered(world, Kind.STUDENT)
    await before.subscribes(LAN, FULL)
    await before.pass_time(3 * DAY)
    assert (await before.moves()).count("moved") == 1
    await world.deliver()
    ends = await until(world)
    deferred = (await booked(world))["deferred_subscription"]
    assert await stands(world) == ("month", None, None, "active", month_of(FULL))
    paid = await lives.changes(LAN, "year")
    await world.deliver()
    assert paid is not None and paid < 590_000 and (await stands(world))[0] == "year"
    await world.assert_sound()
    await dashboard_refund(world, await reference_of(world))
    await world.deliver()
    assert await stands(world) == ("month", None, None, "ending", month_of(FULL))
    assert await until(world) == ends - GRACE
    books = await booked(world)
    assert books.get("stripe_receivable", 0) == 0 and books["deferred_subscription"] == deferred
    await world.assert_sound()
    await verify(world, await world.signed_in(LAN), "lan@sv.edu.vn")
    await lives.resumes(LAN)
    await before.pass_time(29 * DAY)
    await world.deliver()
    assert ends < await until(world)
    assert (await amounts(world, LAN))[-1] == INTRO
    assert await stands(world) == ("month", INTRO, None, "active", month_of(INTRO))
    await world.assert_sound()


async def test_an_order_at_the_introductory_price_of_who_is_taken_over_meanwhile(
    before: Before,
) -> None:
    """Its money waits for a person, as they have a plan that renews; given to its order it pays what that says, for what follows."""
    world, lives = before.world, Lives(before.world)
    await with_vat(world)
    await offered(world)
    order = await lives.chooses(LAN, "month", renews=False)
    assert order.amount_vnd == INTRO
    await before.subscribes(LAN, FULL)
    await before.pass_time(DAY)
    assert (await before.moves()).count("moved") == 1
    await world.deliver()
    row = await lives.live(LAN)
    assert row is not None
    await credited(world, order.code, INTRO)
    [(id_, reason)] = await world.rows("SELECT id, reason FROM bank_credit")
    assert reason == "subscribed" and await amounts(world, LAN) == [0]
    with acting(Actor.system("test")):
        assert await world.billing.transfers.assign(AGENCY, id_, order.code, "wishes it")
    starts = await world.value("SELECT period_start FROM payment WHERE amount_vnd = :a", a=INTRO)
    assert starts == row.period_end
    await world.assert_sound()
