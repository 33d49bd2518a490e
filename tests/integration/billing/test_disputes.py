"""Disputes: the money that is taken, what follows when it is lost or won, in any order; and nobody is charged who disputes."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from services.billing.charges.apply import apply
from services.billing.payments.adapters.port import DisputeMoved, DisputeState
from tests.integration.billing.paying import person
from tests.integration.billing.returning import (
    MONTH,
    at_the_bank,
    booked,
    dashboard_refund,
    dispute,
    notified,
    picture,
    reference_of,
    tell,
    with_vat,
)
from tests.integration.billing.world import FAILS_ON_RENEWAL, World

FEE = 350_000
DAY = timedelta(days=1)
VAT = MONTH * 800 // 10_800


async def subscribed(world: World) -> str:
    await with_vat(world)
    await world.subscribed()
    await world.deliver()
    return await reference_of(world)


async def reads(world: World) -> bool:
    reader = await person(world)
    return bool(await world.billing.subscriptions.rights(reader.id))


async def test_an_open_dispute_takes_money_and_fee_and_nothing_is_charged_any_more(
    world: World,
) -> None:
    reference = await subscribed(world)
    await dispute(world, reference)
    await world.deliver()
    sums = await booked(world)
    assert sums["disputed_card_money"] == MONTH and sums["payment_fees"] == FEE
    assert sums["stripe_receivable"] == -FEE
    assert await world.rows("SELECT state, cancel_at_period_end FROM subscription") == [
        ("ending", True)
    ]
    assert await world.rows("SELECT revoked_at IS NULL FROM mandate") == [(False,)]
    assert await reads(world), "until the bank has decided"
    await world.assert_sound()
    world.clock.advance(40 * DAY)
    await world.deliver()
    assert await world.value("SELECT count(*) FROM charge") == 1
    assert await world.value("SELECT state FROM subscription") == "canceled"
    await world.assert_sound()


async def test_a_lost_one_is_given_back_in_the_books_and_ends_the_right(world: World) -> None:
    reference = await subscribed(world)
    world.clock.advance(9 * DAY)
    id_ = await dispute(world, reference)
    await world.deliver()
    await at_the_bank(world, f"disputes/{id_}/close", outcome="lost")
    await world.deliver()
    earned = (MONTH - VAT) * 10 // 30
    assert await booked(world) == {
        "payment_fees": FEE,
        "refunds_subscription": earned,
        "revenue_subscription": -earned,
        "stripe_receivable": -FEE,
    }
    assert await world.rows("SELECT kind, amount_vnd FROM refund") == [("dispute", MONTH)]
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'refunded'") == 0
    assert not await reads(world)
    await world.assert_sound()


async def test_a_won_one_comes_back_and_the_fee_does_not(world: World) -> None:
    reference = await subscribed(world)
    id_ = await dispute(world, reference)
    await world.deliver()
    await at_the_bank(world, f"disputes/{id_}/close", outcome="won")
    await world.deliver()
    sums = await booked(world)
    assert sums["stripe_receivable"] == MONTH - FEE and "disputed_card_money" not in sums
    assert await reads(world)
    await world.assert_sound()


async def test_a_part_that_is_lost_leaves_the_right(world: World) -> None:
    reference = await subscribed(world)
    id_ = await dispute(world, reference, amount=20_000)
    await world.deliver()
    await at_the_bank(world, f"disputes/{id_}/close", outcome="lost")
    await world.deliver()
    assert await reads(world)
    assert await world.value("SELECT refunded_vnd FROM payment") == 20_000
    await world.assert_sound()


async def test_what_was_partly_given_back_before_is_never_lost_twice(world: World) -> None:
    reference = await subscribed(world)
    await dashboard_refund(world, reference, amount=9_000)
    await world.deliver()
    id_ = await dispute(world, reference, amount=MONTH)
    await at_the_bank(world, f"disputes/{id_}/close", outcome="lost")
    await world.deliver()
    assert await world.value("SELECT refunded_vnd FROM payment") == MONTH
    assert (await booked(world))["disputed_card_money"] == 9_000, "for finance to see"
    await world.assert_sound()


async def test_an_owed_renewal_is_closed_and_a_new_wish_is_respected(world: World) -> None:
    await with_vat(world)
    browser = await world.subscribed(card=FAILS_ON_RENEWAL)
    await world.deliver()
    world.clock.advance(30 * DAY + timedelta(minutes=1))
    await world.deliver()
    assert await world.value("SELECT state FROM subscription") == "grace"
    id_ = await dispute(world, await reference_of(world))
    await world.deliver()
    assert await world.rows("SELECT state FROM sales_order WHERE purpose = 'renewal'") == [
        ("closed",)
    ]
    assert await world.value("SELECT state FROM subscription") == "canceled"
    assert browser and id_
    await world.assert_sound()


def fact(world: World, reference: str, state: DisputeState, **changes: Any) -> DisputeMoved:
    plain: dict[str, Any] = {
        "id": "du_1",
        "reference": reference,
        "amount": MONTH,
        "fee": FEE,
        "currency": "VND",
        "state": state,
        "withdrawn": state is not DisputeState.WON,
        "opened_at": world.clock.now(),
    }
    return DisputeMoved(**plain | changes)


async def said(world: World, *facts: DisputeMoved) -> None:
    for one in facts:
        async with world.billing.database.transaction() as session:
            await apply(session, "stripe", one, world.clock.now())


@pytest.mark.parametrize("seed", range(6))
async def test_every_order_ends_the_same_also_of_one_that_was_lost_and_won_afterwards(
    world: World, seed: int
) -> None:
    reference = await subscribed(world)
    world.clock.advance(3 * DAY)
    words = [
        fact(world, reference, DisputeState.OPEN, withdrawn=False, fee=0),
        fact(world, reference, DisputeState.OPEN),
        fact(world, reference, DisputeState.OPEN, fee=FEE + 100_000),
        fact(world, reference, DisputeState.LOST, fee=FEE + 100_000),
        fact(world, reference, DisputeState.WON, fee=FEE + 100_000),
    ]
    dice = random.Random(seed)
    order = [*words, *dice.sample(words, 3)]
    dice.shuffle(order)
    await said(world, *order)
    assert await world.rows(
        "SELECT state, was_lost, fee_vnd, reinstated_at IS NULL FROM dispute"
    ) == [("won", True, FEE + 100_000, False)]
    assert await world.rows("SELECT kind, failed_at IS NULL FROM refund") == [("dispute", False)]
    sums = await booked(world)
    assert sums["payment_fees"] == FEE + 100_000
    assert sums["stripe_receivable"] == MONTH - FEE - 100_000
    assert "disputed_card_money" not in sums and "refunds_subscription" not in sums
    assert await reads(world)
    await world.assert_sound()
    before = await picture(world)
    await said(world, *words)
    assert await picture(world) == before


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_the_providers_own_words_in_any_order(world: World, outcome: str, seed: int) -> None:
    reference = await subscribed(world)
    await at_the_bank(world, "control", drop=1.0)
    id_ = await dispute(world, reference)
    await at_the_bank(world, f"disputes/{id_}/close", outcome="review")
    await at_the_bank(world, f"disputes/{id_}/close", outcome=outcome)
    told = [one for one in await notified(world) if one.type.startswith("charge.dispute")]
    assert len(told) >= 4
    order = [*told, *told]
    random.Random(seed).shuffle(order)
    await tell(world, *order)
    sums = await booked(world)
    assert sums["stripe_receivable"] == (MONTH if outcome == "won" else 0) - FEE
    assert "disputed_card_money" not in sums
    assert await reads(world) is (outcome == "won")
    await world.assert_sound()


async def test_who_wishes_to_go_on_after_a_dispute_goes_on(world: World) -> None:
    from shared.audit import Actor, acting
    from tests.integration.billing.returning import picture as seen

    reference = await subscribed(world)
    await said(world, fact(world, reference, DisputeState.OPEN))
    reader = await person(world)
    row = await world.value("SELECT id FROM subscription")
    with acting(Actor.system("test")):
        await world.billing.wishes.resume(reader.agency, reader.id, row)
    before = await seen(world)
    await said(world, fact(world, reference, DisputeState.OPEN))
    assert await seen(world) == before, "the same word again changes nothing"
    assert await world.rows("SELECT cancel_at_period_end FROM subscription") == [(False,)]
    await world.assert_sound()
