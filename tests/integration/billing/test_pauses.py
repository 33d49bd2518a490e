"""Pauses that run: what ends them, what happens in them, and when what is paid afterwards begins."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared.errors import ConflictError
from tests.integration.billing.lives import DAY, Lives
from tests.integration.billing.returning import (
    at_the_bank,
    booked,
    dashboard_refund,
    dispute,
    reference_of,
    with_vat,
)
from tests.integration.billing.test_changes_undone import COMES_BACK, LAN
from tests.integration.billing.world import AGENCY, FAILS_ON_RENEWAL, GOOD_CARD, World

MINUTE = timedelta(minutes=1)


async def paused(world: World, card: str = GOOD_CARD) -> tuple[Lives, datetime]:
    """A month that was paid for is over, and a pause has run for five days; when it ends."""
    await with_vat(world)
    lives = Lives(world)
    await lives.buys(LAN, card=card)
    await world.deliver()
    row = await lives.live(LAN)
    assert row is not None
    await lives.pauses(LAN, (row.period_end + 40 * DAY).date())
    world.clock.set(row.period_end + 5 * DAY)
    await world.deliver()
    assert (await state(world), await lives.rights()) == (("paused", 0), set())
    row = await lives.live(LAN)
    assert row is not None and row.paused_until is not None
    return lives, row.paused_until


async def state(world: World) -> tuple[Any, ...]:
    """(state, MRR) of the newest subscription."""
    rows = await world.rows("SELECT state, mrr_vnd FROM subscription ORDER BY created_at DESC")
    return rows[0]


async def begun(world: World) -> list[datetime]:
    """When the periods that were paid for began."""
    rows = await world.rows("SELECT period_start FROM payment ORDER BY period_start")
    return [row[0] for row in rows]


async def test_who_pays_days_after_a_pause_has_every_day_that_was_paid_for(world: World) -> None:
    """The card fails at the pause's end: nobody reads before it is paid, so the period begins when it is."""
    lives, ends = await paused(world, FAILS_ON_RENEWAL)
    world.clock.set(ends + 4 * DAY)
    await world.deliver()
    assert (await state(world), await lives.rights()) == (("paused", 0), set())
    page = (await (await world.signed_in(LAN)).get(f"/r/{AGENCY}/account")).text
    assert "Bạn đọc lại được ngay khi thanh toán" in page and "Tạm dừng đến" not in page
    await lives.gives_card(LAN)
    for _ in range(2):
        await world.deliver()
    assert (await begun(world))[1] == world.clock.now()
    assert await lives.rights() == {LAN}
    await world.assert_sound()


async def test_what_is_owed_after_a_pause_lapses_however_often_it_is_ended(world: World) -> None:
    lives, _ = await paused(world, FAILS_ON_RENEWAL)
    for _ in range(4):
        assert await lives.resumes(LAN)
        await world.deliver()
        world.clock.advance(2 * DAY)
        await world.deliver()
    assert await state(world) == ("expired", 0)
    assert await world.value("SELECT state FROM sales_order WHERE purpose = 'renewal'") == "closed"
    await world.assert_sound()


async def test_a_pause_goes_on_where_the_refund_of_the_month_before_it_fails(world: World) -> None:
    lives, ends = await paused(world, COMES_BACK)
    with pytest.raises(ConflictError):
        await lives.changes(LAN, "year")
    with pytest.raises(ConflictError):
        await lives.pauses(LAN, (ends + 10 * DAY).date())
    before = await booked(world)
    refund = await dashboard_refund(world, await reference_of(world))
    await world.deliver()
    assert await state(world) == ("expired", 0)
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert (await state(world), await booked(world)) == (("paused", 0), before)
    world.clock.set(ends + MINUTE)
    await world.deliver()
    assert (await begun(world))[1] == ends and await lives.rights() == {LAN}
    await world.assert_sound()


async def test_who_disputes_in_a_pause_is_charged_at_its_end_by_nobody(world: World) -> None:
    lives, ends = await paused(world)
    id_ = await dispute(world, await reference_of(world))
    await world.deliver()
    await at_the_bank(world, f"disputes/{id_}/close", outcome="won")
    await world.deliver()
    world.clock.set(ends + DAY)
    await world.deliver()
    assert await state(world) == ("canceled", 0) and len(await begun(world)) == 1
    await lives.buys(LAN)
    await world.deliver()
    assert (await begun(world))[1] == world.clock.now() and await lives.rights() == {LAN}
    await world.assert_sound()


async def test_a_pause_to_the_last_of_a_month_is_renewed_on_the_last_of_each(world: World) -> None:
    """From 29 January over 29 February to 31 March, at the agency's midnight."""
    world.clock.set(datetime(2028, 1, 29, 5, tzinfo=UTC))
    lives = Lives(world)
    await lives.buys(LAN)
    await world.deliver()
    await lives.pauses(LAN, date(2028, 3, 31))
    world.clock.set(datetime(2028, 3, 30, 17, 1, tzinfo=UTC))
    for _ in range(3):
        await world.deliver()
        row = await lives.live(LAN)
        assert row is not None
        world.clock.set(row.period_end + MINUTE)
    days = [f"{at + timedelta(hours=7):%m-%d}" for at in await begun(world)]
    assert days == ["01-29", "03-31", "04-30", "05-31"]
    await world.assert_sound()
