"""Bundles whose money goes back, or is disputed, after some of their articles were opened; and a bundle of which two presses take the last."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.errors import ConflictError
from tests.integration.billing.lives import DAY, Lives
from tests.integration.billing.paying import person
from tests.integration.billing.returning import (
    at_the_bank,
    booked,
    dashboard_refund,
    dispute,
    reference_of,
    with_vat,
)
from tests.integration.billing.test_changes_undone import COMES_BACK, LAN
from tests.integration.billing.world import World

PRICE, NET, USES = 20_000, 18_519, 10


async def opened(world: World, card: str = "4242424242424242") -> tuple[Lives, str]:
    """Ten articles paid by card, of which two are open; the provider's reference."""
    await with_vat(world)
    lives = Lives(world)
    await lives.buys(LAN, "muoi-bai", card, renews=False)
    await world.deliver()
    reader = await person(world)
    for article in ("mua-nhan", "gao-nep"):
        assert await world.billing.bundles.use(reader, article)
    await world.advance(9 * DAY)
    await world.deliver()
    return lives, await reference_of(world)


async def stands(world: World) -> tuple[int | None, set[str]]:
    """How many articles are left to choose (None: no bundle opens any), and what is open."""
    reader = await person(world)
    offered = await world.billing.bundles.offered(reader.id)
    scopes = {scope for _, scope in await Lives(world).scopes()}
    return offered[1] if offered else None, scopes


OPEN = {"article:mua-nhan", "article:gao-nep"}


async def letters(world: World) -> list[Any]:
    rows = await world.rows(
        "SELECT kind FROM letter WHERE kind <> 'welcome' ORDER BY created_at, id"
    )
    return [row[0] for row in rows]


async def test_a_part_goes_back_then_the_rest_which_does_not_arrive(world: World) -> None:
    _, reference = await opened(world, COMES_BACK)
    before = await booked(world)
    assert -before["revenue_subscription"] == NET * 10 // 90, "by the day, today among them"
    await dashboard_refund(world, reference, amount=10_800)
    await world.deliver()
    assert await stands(world) == (8, OPEN)
    after = await booked(world)
    assert after["deferred_subscription"] - before["deferred_subscription"] == 10_001
    assert await world.billing.bundles.use(await person(world), "sen-ho")
    refund = await dashboard_refund(world, reference)
    await world.deliver()
    assert await stands(world) == (None, set())
    with pytest.raises(ConflictError):
        await world.billing.bundles.use(await person(world), "mua-nhan")
    books = await booked(world)
    assert "deferred_subscription" not in books and books.get("stripe_receivable", 0) == 0
    await world.assert_sound()
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await stands(world) == (7, OPEN | {"article:sen-ho"})
    books = await booked(world)
    assert books["stripe_receivable"] == PRICE - 10_800
    await world.assert_sound()
    await world.advance(85 * DAY)
    await world.deliver()
    assert await stands(world) == (None, OPEN | {"article:sen-ho"}), (
        "open for a year, as articles are"
    )
    books = await booked(world)
    assert "deferred_subscription" not in books
    assert -books["revenue_subscription"] - books.get("refunds_subscription", 0) == NET - 10_001
    assert await world.value("SELECT count(*) FROM mrr_movement") == 0
    await world.assert_sound()


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_a_disputed_bundle_is_open_until_it_is_lost(world: World, outcome: str) -> None:
    _, reference = await opened(world)
    id_ = await dispute(world, reference)
    await world.deliver()
    assert await stands(world) == (8, OPEN), "nobody has decided"
    assert (await booked(world))["disputed_card_money"] == PRICE
    await world.assert_sound()
    await at_the_bank(world, f"disputes/{id_}/close", outcome=outcome)
    await world.deliver()
    assert await stands(world) == ((8, OPEN) if outcome == "won" else (None, set()))
    books = await booked(world)
    assert "disputed_card_money" not in books
    lost = outcome == "lost"
    assert ("deferred_subscription" in books) is not lost
    assert await letters(world) == ["receipt"], "its holder's bank says what it decided"
    await world.assert_sound()


async def test_two_presses_for_the_last_article_and_the_money_that_goes_back(world: World) -> None:
    """Nine are open; two tabs press for two more articles at once while the money goes back: nothing is open afterwards."""
    _, reference = await opened(world)
    reader = await person(world)
    for number in range(7):
        assert await world.billing.bundles.use(reader, f"bai-{number}")
    found = await asyncio.gather(
        *(world.billing.bundles.use(reader, one) for one in ("x", "y", "x")), return_exceptions=True
    )
    assert [one for one in found if one is True] == [True]
    refused = [one for one in found if isinstance(one, ConflictError)]
    assert all(one.slug == "no-uses-left" for one in refused) and 1 <= len(refused) <= 2
    left, scopes = await stands(world)
    assert left is None and len(scopes) == USES
    await dashboard_refund(world, reference)
    await asyncio.gather(
        world.deliver(), world.billing.bundles.use(reader, "z"), return_exceptions=True
    )
    await world.deliver()
    assert await stands(world) == (None, set())
    await world.assert_sound()


async def test_a_bundle_that_is_given_back_takes_nothing_of_another(world: World) -> None:
    """Of two bundles one is given back: its articles close, those of the other stay, and so does one that both would open."""
    lives, first = await opened(world)
    reader = await person(world)
    await lives.buys(LAN, "muoi-bai", renews=False)
    await world.deliver()
    await dashboard_refund(world, first)
    await world.deliver()
    assert await stands(world) == (10, set())
    assert await world.billing.bundles.use(reader, "mua-nhan"), "by the other one"
    assert await stands(world) == (9, {"article:mua-nhan"})
    await world.assert_sound()
