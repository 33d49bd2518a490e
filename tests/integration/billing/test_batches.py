"""Many renewals at once leave what one by one leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.billing.composition import Billing, build
from services.billing.process import BILLING
from services.billing.renewals.service import Renewals
from shared.clock import MovableClock
from tests.fixtures.servers import PostgresServer
from tests.integration.billing.renewing import arrive, due, subscribe, told
from tests.integration.billing.rows import ids, rows
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World
from tests.integration.billing.world import settings as make_settings

DAY = timedelta(days=1)
Twin = Callable[[], Awaitable[Billing]]


async def one_by_one(billing: Billing) -> int:
    done = 0
    while await billing.applier.apply_one():
        done += 1
    return done


async def sound(billing: Billing) -> None:
    checked = await billing.invariants.check()
    assert {one.name: one.violations for one in checked if one.violations} == {}


async def value(billing: Billing, sql: str) -> object:
    async with billing.database.read() as session:
        return await session.scalar(text(sql))


@asynccontextmanager
async def twins(world: World, server: PostgresServer, folder: Path) -> AsyncIterator[Twin]:
    """Copies of the world as it stands; the world itself is not to be used any more."""
    config = world.billing.settings
    await world.billing.database.close()
    source = config.database_url.rsplit("/", 1)[1]
    made: list[tuple[Billing, str]] = []

    async def twin() -> Billing:
        url = server.create_database(f"twin_{uuid4().hex[:6]}", source)
        clock = MovableClock(world.clock.now())
        process = BILLING.process("test", make_settings(url, folder / "keys.pem"), clock=clock)
        billing = build(process, provider=world.billing.provider)
        made.append((billing, url))
        return billing

    try:
        yield twin
    finally:
        for billing, url in made:
            await billing.database.close()
            server.drop_database(url)


async def readers(world: World, taxed: bool = False) -> None:
    """Subscriptions of all periods and both agencies, bought on the same day; their first periods end one after the other."""
    billing = world.billing
    if taxed:
        async with billing.database.transaction() as session:
            await session.execute(
                text("UPDATE vat_rate SET treatment = 'rate', rate_basis_points = 800")
            )
    for number in range(4):
        await subscribe(billing, f"week-{number}@example.vn", "week", AGENCY)
        await subscribe(billing, f"month-{number}@example.vn", "month", AGENCY, "en")
        await subscribe(billing, f"song-{number}@example.vn", "month", OTHER_AGENCY)
    await billing.recognition.run_due()


@pytest.mark.parametrize("taxed", [False, True], ids=["exempt", "taxed"])
@pytest.mark.parametrize(
    ("after", "late"),
    [(timedelta(days=30, minutes=1), timedelta()), (30 * DAY, 2 * DAY), (29 * DAY, timedelta())],
    ids=["on the day", "two days late", "weeks have lapsed"],
)
async def test_a_batch_writes_row_by_row_what_one_by_one_writes(
    world: World, postgres_server: PostgresServer, tmp_path: Path, after, late, taxed
):
    await readers(world, taxed)
    if after > 29 * DAY:
        world.clock.advance(7 * DAY)
        await Renewals(world.billing.database, world.clock).run_due()
        events = [told(world.billing, one) for one in await due(world.billing)]
        await arrive(world.billing, events)
        await one_by_one(world.billing)
        world.clock.advance(after - 7 * DAY)
    else:
        world.clock.advance(after - 23 * DAY + 2 * DAY)
    await world.billing.renewals.run_due()
    world.clock.advance(late)
    events = [told(world.billing, one) for one in await due(world.billing)]
    assert len(events) >= 4
    await arrive(world.billing, events)
    before = await ids(world.billing)
    async with twins(world, postgres_server, tmp_path) as twin:
        slow, fast = await twin(), await twin()
        assert await one_by_one(slow) == len(events)
        applied, left = await fast.applier._batch()
        assert (applied, left) == (len(events), [])
        expected, found = await rows(slow, before), await rows(fast, before)
        assert found.keys() == expected.keys()
        for table in expected:
            assert found[table] == expected[table], table
        await sound(slow)
        await sound(fast)
