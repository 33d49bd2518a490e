"""Offers and money that goes back, a pause, a family's plan, a transfer: to the đồng, by the day, and in the metrics."""

from __future__ import annotations

import pytest

from services.billing.offers.rules import Kind
from services.billing.offers.service import NewOffer
from services.billing.refunds.service import By
from shared.audit import Actor, acting
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
    letters,
    offered,
)
from tests.integration.billing.test_offers_undone import month_of, stands
from tests.integration.billing.test_seats import CHILD, OWNER, Groups
from tests.integration.billing.world import AGENCY, World

FINANCE = By("018f0000-0000-7000-8000-000000000001", "Hà")


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def begun(world: World, card: str = "4242424242424242") -> tuple[Lives, str]:
    """Three months at the introductory price, of which the first is paid by card; the provider's reference."""
    await with_vat(world)
    await offered(world)
    lives = Lives(world)
    await lives.buys(LAN, card=card)
    await world.deliver()
    assert await stands(world) == ("month", INTRO, 2, "active", month_of(INTRO))
    return lives, await reference_of(world)


async def movements(world: World) -> list[tuple[str, int]]:
    return await world.rows("SELECT movement, amount_vnd FROM mrr_movement ORDER BY id")


async def test_a_part_of_an_introductory_month_goes_back(world: World) -> None:
    """Nothing changes but the days to come; the next months cost what was offered."""
    _, first = await begun(world)
    ends = await until(world)
    await world.advance(10 * DAY)
    await world.deliver()
    before = await booked(world)
    await dashboard_refund(world, first, amount=5_400)
    await world.deliver()
    assert await stands(world) == ("month", INTRO, 2, "active", month_of(INTRO))
    assert await until(world) == ends
    after = await booked(world)
    assert after["deferred_subscription"] - before["deferred_subscription"] == 5_001
    assert after["vat_payable"] - before["vat_payable"] == 399, "of 1,407 tax, rounded down"
    assert after["stripe_receivable"] == INTRO - 5_400
    await world.assert_sound()
    for _ in range(3):
        await a_month(world)
    assert await amounts(world, LAN) == [INTRO, INTRO, INTRO, FULL]
    assert await movements(world) == [
        ("new", month_of(INTRO)),
        ("expansion", month_of(FULL) - month_of(INTRO)),
    ]
    await world.assert_sound()


async def test_a_whole_introductory_month_goes_back_and_comes_back(world: World) -> None:
    """It waits, goes through, and is sent back by the bank: as before, and the offer goes on."""
    lives, first = await begun(world, COMES_BACK)
    ends = await until(world)
    await world.advance(3 * DAY)
    await at_the_bank(world, "control", refunds="wait")
    waits = await dashboard_refund(world, first)
    await world.deliver()
    assert await stands(world) == ("month", INTRO, 2, "active", month_of(INTRO))
    await at_the_bank(world, f"refunds/{waits}/settle", outcome="fail")
    await world.deliver()
    assert await until(world) == ends and await movements(world) == [("new", month_of(INTRO))]
    await at_the_bank(world, "control", refunds="succeed")
    refund = await dashboard_refund(world, first)
    await world.deliver()
    assert (await stands(world))[3:] == ("expired", 0) and await until(world) is None
    await world.assert_sound()
    # Bought anew meanwhile it would be at the price itself: an offer is for who is new.
    assert (await lives.chooses(LAN, "month", renews=False)).amount_vnd == FULL
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await stands(world) == ("month", INTRO, 2, "active", month_of(INTRO))
    assert await until(world) == ends
    assert [one for one, _ in await movements(world)] == ["new", "churn", "reactivation"]
    for _ in range(3):
        await a_month(world)
    assert await amounts(world, LAN) == [INTRO, INTRO, INTRO, FULL]
    await world.assert_sound()


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_a_dispute_about_the_second_introductory_month(world: World, outcome: str) -> None:
    lives, first = await begun(world)
    await a_month(world)
    second = await reference_of(world)
    assert second != first and (await stands(world))[2] == 1
    id_ = await dispute(world, second)
    await world.deliver()
    assert await stands(world) == ("month", INTRO, 1, "ending", month_of(INTRO))
    await at_the_bank(world, f"disputes/{id_}/close", outcome=outcome)
    await world.deliver()
    await world.assert_sound()
    books = await booked(world)
    assert books.get("disputed_card_money", 0) == 0
    if outcome == "lost":
        assert (await stands(world))[3:] == ("canceled", 0) and await until(world) is None
        assert (await lives.chooses(LAN, "month")).amount_vnd == FULL, (
            "what has ended is not for who is new"
        )
        return
    # Won: they wish to go on, with another card, and the third month is at the offer, the fourth is not.
    assert await until(world) is not None
    assert await lives.resumes(LAN) and await lives.gives_card(LAN)
    await world.deliver()
    for _ in range(2):
        await a_month(world)
    assert await amounts(world, LAN) == [INTRO, INTRO, INTRO, FULL]
    await world.assert_sound()


async def test_a_pause_in_an_offer_and_the_month_before_it_goes_back(world: World) -> None:
    lives, first = await begun(world)
    row = await lives.live(LAN)
    assert row is not None
    await lives.pauses(LAN, (row.period_end + 40 * DAY).date())
    await world.advance(35 * DAY)
    await world.deliver()
    assert (await stands(world))[2:] == (2, "paused", 0)
    await dashboard_refund(world, first, amount=1_000)
    await world.deliver()
    assert (await stands(world))[2:] == (2, "paused", 0)
    await lives.resumes(LAN)
    await world.deliver()
    assert await stands(world) == ("month", INTRO, 1, "active", month_of(INTRO))
    assert await amounts(world, LAN) == [INTRO, INTRO]
    # All of the second goes back: nothing is charged any more, and the first, of which a part went back, stays.
    await dashboard_refund(world, await reference_of(world))
    await world.deliver()
    assert (await stands(world))[3:] == ("canceled", 0)
    await a_month(world)
    assert await amounts(world, LAN) == [INTRO, INTRO]
    books = await booked(world)
    assert books["stripe_receivable"] == INTRO - 1_000
    await world.assert_sound()


async def test_an_introductory_price_of_a_family_plan(world: World) -> None:
    """All of its readers read at it, for as many months as were offered; a part back changes nothing, all of a month ends it."""
    groups = Groups(world)
    await with_vat(world)
    offer = await groups.offer("gia-dinh")
    with acting(Actor.system("test")):
        await world.billing.offers.make(AGENCY, NewOffer(offer.price_id, Kind.INTRO, 49_000, 2))
    await groups.pays(OWNER)
    await groups.joins(OWNER, CHILD)
    assert await stands(world) == ("month", 49_000, 1, "active", month_of(49_000))
    first = await reference_of(world, OWNER)
    await world.advance(2 * DAY)
    await dashboard_refund(world, first, amount=10_000)
    await world.deliver()
    assert await groups.reads() == {OWNER, CHILD}
    for _ in range(2):
        await a_month(world)
    assert await amounts(world, OWNER) == [49_000, 49_000, 119_000]
    assert await groups.reads() == {OWNER, CHILD}
    assert await stands(world) == ("month", None, None, "active", month_of(119_000))
    assert await movements(world) == [
        ("new", month_of(49_000)),
        ("expansion", month_of(119_000) - month_of(49_000)),
    ]
    await world.assert_sound()
    # The month at the price itself goes back whole: nobody reads, and it is not charged again.
    await dashboard_refund(world, await reference_of(world, OWNER))
    await world.deliver()
    assert await groups.reads() == set() and (await stands(world))[3:] == ("canceled", 0)
    await world.assert_sound()


async def test_introductory_terms_by_transfer_the_second_goes_back(world: World) -> None:
    await with_vat(world)
    await offered(world)
    lives = Lives(world)
    for number in (1, 2):
        await lives.transfers(LAN, id_=number)
    assert await amounts(world, LAN) == [INTRO, INTRO]
    assert await stands(world) == ("month", INTRO, 1, "active", month_of(INTRO))
    ends = await until(world)
    payments = await world.rows("SELECT id FROM payment ORDER BY period_start")
    reader = await lives.reader(LAN)
    with acting(Actor.system("test")):
        request = await world.billing.refunds.ask(
            reader.agency, reader.id, payments[1][0], INTRO, "mua nhầm", FINANCE
        )
        await world.billing.refunds.pay(reader.agency, request.id, "FT-1", FINANCE)
    await world.deliver()
    assert await until(world) == ends - 31 * DAY
    assert await stands(world) == ("month", INTRO, 1, "active", month_of(INTRO))
    books = await booked(world)
    assert books["bank"] == INTRO
    await world.assert_sound()
    # One period of the offer is left, and no more.
    await lives.transfers(LAN, id_=3)
    await lives.transfers(LAN, id_=4)
    assert (await amounts(world, LAN))[-2:] == [INTRO, FULL]
    assert len(await letters(world, "receipt")) == 4
    await world.assert_sound()


async def test_a_term_of_another_plan_goes_back_and_the_offer_before_is_there_again(
    world: World,
) -> None:
    """Weeks at an offer, then a month at its price: its money back, and the weeks that are left of the offer are there."""
    await with_vat(world)
    await offered(world, period="week", amount_vnd=9_000)
    lives = Lives(world)
    await lives.transfers(LAN, "week", id_=1)
    await lives.transfers(LAN, "month", id_=2)
    assert await amounts(world, LAN) == [9_000, FULL]
    assert (await stands(world))[:3] == ("month", None, None)
    [_, (month,)] = await world.rows("SELECT id FROM payment ORDER BY period_start")
    reader = await lives.reader(LAN)
    with acting(Actor.system("test")):
        request = await world.billing.refunds.ask(
            reader.agency, reader.id, month, FULL, "mua nhầm", FINANCE
        )
        await world.billing.refunds.pay(reader.agency, request.id, "FT-1", FINANCE)
    await world.deliver()
    assert (await stands(world))[:4] == ("week", 9_000, 2, "active")
    await world.assert_sound()
    await lives.transfers(LAN, "week", id_=3)
    assert (await amounts(world, LAN))[-1] == 9_000
    await world.assert_sound()


async def test_a_winback_that_is_given_back_is_not_offered_again_at_once(world: World) -> None:
    await with_vat(world)
    await offered(world, Kind.WINBACK)
    lives = Lives(world)
    await lives.transfers(LAN, id_=1)
    await world.advance(62 * DAY)
    await world.deliver()
    await lives.buys(LAN)
    await world.deliver()
    assert await amounts(world, LAN) == [FULL, INTRO]
    back = [one for one, _ in await movements(world)]
    assert back == ["new", "churn", "reactivation"]
    await dashboard_refund(world, await reference_of(world), amount=9_000)
    await world.deliver()
    await a_month(world)
    assert await amounts(world, LAN) == [FULL, INTRO, INTRO]
    await dashboard_refund(world, await reference_of(world))
    await world.deliver()
    assert await until(world) is None
    await world.assert_sound()
    await world.advance(40 * DAY)
    await world.deliver()
    assert (await lives.chooses(LAN, "month")).amount_vnd == FULL, "200 days between two"
    await world.billing.letters.sweep()
    assert await letters(world, "win_back") == []
    await world.assert_sound()
