"""The database away, slow, or back: the declared failure mode, in time, never a 5xx for what it covers."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext

import asyncpg
import pytest
from sqlalchemy import text

from tests.fixtures.roles import as_owner
from tests.integration.paywall.conftest import (
    AGENCY,
    KEY,
    cookie_of,
    eventually,
    new_reader,
    running,
    until,
)


class Outage:
    """Cuts a process off its database: new connections fail, present ones are gone."""

    def __init__(self, paywall, monkeypatch) -> None:
        self._parts = paywall.parts
        self._patch = monkeypatch

    async def begin(self) -> None:
        async def refused():
            raise ConnectionRefusedError("the database is away")

        async def no_pool():
            raise ConnectionRefusedError("the database is away")

        for connection in self._parts.meter._store._idle:
            connection.terminate()
        self._patch.setattr(self._parts.process.database, "connect_raw", refused)
        self._patch.setattr(self._parts.process.database, "pool", no_pool)

    def end(self) -> None:
        self._patch.undo()


@pytest.fixture
def outage(monkeypatch):
    return lambda paywall: Outage(paywall, monkeypatch)


@pytest.mark.parametrize(("mode", "granted"), [("open", True), ("closed", False)])
async def test_with_the_database_away_the_mode_decides_in_time_and_says_so(
    house, outage, mode, granted
):
    await house.set_policy(mode=mode, timeout_ms=200)
    paywall = await house.start()
    cookie = cookie_of(await paywall.ask("a3"))
    cut = outage(paywall)
    await cut.begin()
    started = time.monotonic()
    answers = [await paywall.ask(f"a{n}", cookie=cookie) for n in (4, 5, 6, 7, 8)]
    assert time.monotonic() - started < 1.0
    for answer in answers:
        assert answer.status_code == 200
        body = answer.json()
        assert (body["granted"], body["reason"], body["degraded"]) == (granted, "FALLBACK", True)
        assert (body["grant"] is not None) is granted
    known = (await paywall.ask("a3", cookie=cookie)).json()
    assert (known["reason"], known["degraded"]) == ("METERING", False)
    assert (await paywall.ask("a1", cookie=cookie)).json()["reason"] == "FREE"
    signed_in = await paywall.ask("a2", token=house.token(new_reader()))
    assert (signed_in.json()["granted"], signed_in.json()["reason"]) == (granted, "FALLBACK")
    dry = await paywall.ask("a4", cookie=cookie, count=False)
    assert (dry.status_code, dry.json()["reason"]) == (200, "FALLBACK")
    cut.end()


async def test_views_granted_while_it_was_away_are_counted_when_it_is_back(house, outage):
    paywall = await house.start()
    cookie = cookie_of(await paywall.ask("a3"))
    cut = outage(paywall)
    await cut.begin()
    for article in ("a4", "a5", "a6"):
        assert (await paywall.ask(article, cookie=cookie)).json()["granted"] is True
    cut.end()

    async def all_counted() -> bool:
        async with house.database.read() as session:
            return (await session.execute(text("SELECT used FROM meter_window"))).scalar_one() == 4

    await eventually(all_counted)
    await until(lambda: time.monotonic() >= paywall.parts.meter._away_until)
    assert (await paywall.ask("a7", cookie=cookie)).json()["reason"] == "METER_EXHAUSTED"
    assert (await paywall.ask("a6", cookie=cookie)).json()["reason"] == "METERING"


async def test_a_database_slower_than_the_time_out_is_answered_for_and_the_view_still_counts(house):
    await house.set_policy(mode="open", timeout_ms=100)
    paywall = await house.start()
    cookie = cookie_of(await paywall.ask("a3"))
    blocker = await house.database.connect_raw()
    try:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT 1 FROM meter_window FOR UPDATE")
        started = time.monotonic()
        answer = (await paywall.ask("a4", cookie=cookie)).json()
        assert 0.09 < time.monotonic() - started < 1.0
        assert (answer["granted"], answer["reason"]) == (True, "FALLBACK")
        await transaction.rollback()
    finally:
        await blocker.close()

    async def counted() -> bool:
        async with house.database.read() as session:
            views = await session.execute(text("SELECT count(*) FROM meter_view"))
            return views.scalar_one() == 2

    await eventually(counted)


async def test_beyond_the_queue_requests_are_shed_with_retry_after(house):
    await house.set_policy(timeout_ms=5000)
    paywall = await house.start(meter_queue_size=100)
    cookies = [cookie_of(await paywall.ask("a3"))]
    blocker = await house.database.connect_raw()
    try:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT 1 FROM meter_window FOR UPDATE")
        asked = [
            asyncio.create_task(paywall.ask(f"a{4 + n % 8}", cookie=cookies[0]))
            for n in range(1300)
        ]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        shed = next(iter(done)).result()
        assert shed.status_code == 503
        assert shed.headers["retry-after"] == "1"
        assert shed.headers["content-type"] == "application/problem+json"
        await transaction.rollback()
        statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert statuses.count(200) >= 100
        assert set(statuses) == {200, 503}
    finally:
        await blocker.close()


async def test_a_lost_listen_connection_is_replaced_and_nothing_is_missed(house):
    paywall = await house.start()
    paywall.parts.refresher._connection.terminate()
    path = f"/v1/agencies/{AGENCY}/articles/sau"
    body = {
        "title": "Sau",
        "url": "https://x.test/sau",
        "access": "free",
        "published_at": "2026-07-15T00:00:00Z",
    }
    other = await house.start()
    await other.client.put(path, json=body, headers={"Authorization": f"Bearer {KEY}"})
    await until(lambda: paywall.parts.articles.access(AGENCY, "sau") == "free", 15)


@pytest.mark.parametrize("half_way", [True, False])
async def test_a_start_that_fails_half_way_or_is_ended_at_once_leaves_no_connection_behind(
    house, half_way
):
    owner = await asyncpg.connect(as_owner(house.url))
    try:
        if half_way:
            await owner.execute("ALTER TABLE meter_window RENAME TO elsewhere")
        with pytest.raises(asyncpg.UndefinedTableError) if half_way else nullcontext():
            async with running(house.url, house.clock, house.billing):
                pass  # no loop has had its first turn

        async def all_gone() -> bool:
            return not await owner.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'paywall-web'"
            )

        await eventually(all_gone)
    finally:
        await owner.close()
