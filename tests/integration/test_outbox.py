"""The outbox on real PostgreSQL and a real nats-server: published if, and only if, the fact is committed."""

from __future__ import annotations

import asyncio
import time

import pytest

from infra.local.nats import Nats
from shared import outbox
from shared.bus import BusUnavailableError
from shared.contracts import decode
from shared.outbox import OutboxRelay
from tests.fixtures.flow import CONSUMER, STREAM, made, stored_messages
from tests.fixtures.waiting import eventually


async def arrived(flow, count: int) -> list[str]:
    subscription = await (await flow.open_bus()).bind(STREAM, CONSUMER)
    names: list[str] = []
    async with asyncio.timeout(20):
        while len(names) < count:
            for message in await subscription.fetch(100, 0.3):
                names.append(decode(message.payload).data.name)
                await message.ack()
    return names


async def test_a_rolled_back_fact_is_never_told(flow):
    relay = await flow.relay()
    with pytest.raises(RuntimeError):
        async with flow.databases[0].transaction() as session:
            await outbox.record(session, made("never"))
            raise RuntimeError("the fact did not happen")
    await flow.record(made("told"))
    assert await relay.relay_once() == 1
    assert await relay.relay_once() == 0
    assert await arrived(flow, 1) == ["told"]
    assert await stored_messages(flow.nats_url) == 1


async def test_events_leave_in_the_order_they_were_recorded_with_their_bytes_unchanged(flow):
    relay = await flow.relay()
    events = [made(f"item-{number}") for number in range(1200)]
    await flow.record(*events[:700])
    await flow.record(*events[700:])
    total = 0
    while published := await relay.relay_once():
        total += published
    assert total == 1200
    assert await arrived(flow, 1200) == [event.data.name for event in events]


async def test_an_event_recorded_on_a_raw_connection_is_the_same_event(flow):
    relay, event = await flow.relay(), made("raw")
    pool = await flow.databases[0].pool()
    async with pool.acquire() as connection, connection.transaction():
        await outbox.record_raw(connection, [event, made("raw-2")])
    assert await relay.relay_once() == 2
    assert await arrived(flow, 2) == ["raw", "raw-2"]


async def test_an_event_recorded_twice_is_refused_by_the_database(flow):
    event = made("once")
    await flow.record(event)
    with pytest.raises(Exception, match="uq_outbox_event_id"):
        await flow.record(event)


async def test_two_relays_side_by_side_publish_every_event_and_mark_each_once(flow):
    relays = [await flow.relay(), await flow.relay()]
    names = [f"item-{number}" for number in range(3000)]
    async with flow.running(*(relay.run for relay in relays)):
        for start in range(0, len(names), 100):
            await flow.record(*(made(name) for name in names[start : start + 100]))
        await eventually(lambda: flow.unpublished() == 0, "everything published")
    assert sorted(await arrived(flow, 3000)) == sorted(names)
    assert await stored_messages(flow.nats_url) == 3000


async def test_a_commit_wakes_the_relay_well_before_its_poll(flow):
    relay = await flow.relay()
    async with flow.running(relay.run):
        await flow.record(made("warm"))
        await eventually(lambda: flow.unpublished() == 0)
        delays = []
        for number in range(5):
            await asyncio.sleep(0.15)  # between polls
            started = time.monotonic()
            await flow.record(made(f"item-{number}"))
            await eventually(lambda: flow.unpublished() == 0)
            delays.append(time.monotonic() - started)
    assert sorted(delays)[2] < 0.5, delays


async def test_a_crash_between_publishing_and_marking_publishes_again_and_the_bus_drops_the_copy(
    flow, monkeypatch
):
    async def crash(name: str) -> None:
        if name == "relay.after_publish":
            raise ConnectionError("killed here")

    relay = await flow.relay()
    await flow.record(made("one"), made("two"))
    with monkeypatch.context() as patch:
        patch.setattr("shared.outbox.relay.fault_point", crash)
        with pytest.raises(ConnectionError):
            await relay.relay_once()
    assert flow.unpublished() == 2
    assert await relay.relay_once() == 2
    assert flow.unpublished() == 0
    assert await stored_messages(flow.nats_url) == 2


async def test_while_the_bus_is_away_nothing_is_marked_and_afterwards_everything_goes_out(
    flow, nats_server: Nats
):
    relay = await flow.relay()
    nats_server.kill()
    await flow.record(*(made(f"item-{number}") for number in range(10)))
    with pytest.raises(BusUnavailableError):
        await relay.relay_once()
    assert flow.unpublished() == 10
    async with flow.running(relay.run) as (loop,):
        await asyncio.sleep(0.5)
        assert flow.unpublished() == 10
        nats_server.start()
        await eventually(lambda: flow.unpublished() == 0, "published after the restart")
        assert loop.heartbeat.alive
    assert await stored_messages(flow.nats_url) == 10


async def test_an_event_no_stream_takes_does_not_hold_up_the_others(flow):
    relay = await flow.relay()
    flow.query(
        """INSERT INTO outbox (event_id, subject, payload, headers)
           VALUES (gen_random_uuid(), 'nowhere.at.all', 'x', '{}') RETURNING id"""
    )
    await flow.record(made("fine"))
    async with flow.running(relay.run):
        await eventually(lambda: flow.unpublished() == 1, "the good one published")
    assert await arrived(flow, 1) == ["fine"]


async def test_old_published_rows_are_purged_and_waiting_ones_never(flow):
    relay: OutboxRelay = await flow.relay()
    await flow.record(made("old"), made("recent"), made("waiting"))
    flow.query(
        """UPDATE outbox SET created_at = now() - interval '30 days',
             published_at = CASE subject WHEN '' THEN NULL ELSE
               CASE (id - (SELECT min(id) FROM outbox)) WHEN 0 THEN now() - interval '8 days'
                 WHEN 1 THEN now() - interval '6 days' END END RETURNING id"""
    )
    await relay._purge()
    assert flow.query("SELECT count(*), count(published_at) FROM outbox") == [(2, 1)]
