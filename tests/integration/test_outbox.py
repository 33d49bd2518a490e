"""The outbox on real PostgreSQL and a real nats-server: published if, and only if, the fact is committed."""

from __future__ import annotations

import asyncio
import time

import nats
import pytest
from nats.js.api import StreamConfig

from infra.local.nats import Nats
from shared import outbox
from shared.bus import BusUnavailableError
from shared.contracts import decode
from shared.outbox import Publisher
from shared.outbox.relay import BATCH
from shared.telemetry import metrics
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
        await flow.fails_once_more(loop)
        assert flow.unpublished() == 10
        nats_server.start()
        await eventually(lambda: flow.unpublished() == 0, "published after the restart")
        assert loop.heartbeat.alive
    assert await stored_messages(flow.nats_url) == 10


def refuse_all(flow, count: int, *, payload: str = "'x'", subject: str = "nowhere.at.all") -> None:
    flow.query(
        f"""INSERT INTO outbox (event_id, subject, payload, headers)
            SELECT gen_random_uuid(), '{subject}', {payload}, '{{}}'
            FROM generate_series(1, {count}) RETURNING id"""
    )


async def test_more_refused_events_than_a_batch_holds_do_not_hold_up_a_good_one(flow):
    relay = await flow.relay()
    refuse_all(flow, 2 * BATCH)
    refuse_all(
        flow, 5, payload="convert_to(repeat('x', 1100000), 'UTF8')", subject="proofs.x.y.v1.z"
    )
    await flow.record(made("fine"))
    async with flow.running(relay.run):
        started = time.monotonic()
        await eventually(lambda: flow.unpublished() == 2 * BATCH + 5, "the good one published")
        assert time.monotonic() - started < 5
        # also while the refused ones are due again and again
        await eventually(
            lambda: (
                flow.query("SELECT min(refusals) FROM outbox WHERE published_at IS NULL")[0][0] > 1
            )
        )
        await flow.record(made("fine too"))
        await eventually(lambda: flow.unpublished() == 2 * BATCH + 5, "and the next one")
    assert await arrived(flow, 2) == ["fine", "fine too"]
    reasons = dict(flow.query("SELECT refusal, count(*) FROM outbox GROUP BY 1"))
    assert reasons == {
        None: 2,
        "no stream takes it (status 503)": 2 * BATCH,
        "larger than the server takes": 5,
    }


async def test_a_refused_event_goes_out_by_itself_once_the_cause_is_mended(flow):
    relay = await flow.relay()
    refuse_all(flow, 1, subject="later.made.v1.x")
    assert await relay.relay_once() == 0
    ((due_in,),) = flow.query("SELECT extract(epoch FROM due_at - now())::float8 FROM outbox")
    assert 0 < due_in <= 1
    client = await nats.connect(flow.nats_url)
    await client.jetstream().add_stream(StreamConfig(name="LATER", subjects=["later.>"]))
    await client.close()
    async with flow.running(relay.run):
        await eventually(lambda: flow.unpublished() == 0, "published without a command")
    assert flow.query("SELECT stream, stream_sequence, due_at, refusals, refusal FROM outbox") == [
        ("LATER", 1, None, 0, None)
    ]


async def test_an_event_of_the_same_aggregate_refused_before_leaves_after_the_others(flow):
    """What versions are for: an older event may come later, and none is lost."""
    relay = await flow.relay()
    first, second = made("one", failing=""), made("two")
    await flow.record(first, second)
    flow.query(f"UPDATE outbox SET due_at = now() + interval '1 hour', refusals = 9, refusal = 'x' "
               f"WHERE event_id = '{first.id}' RETURNING id")  # fmt: skip
    assert await relay.relay_once() == 1
    flow.query("UPDATE outbox SET due_at = now() WHERE due_at IS NOT NULL RETURNING id")
    assert await relay.relay_once() == 1
    assert await arrived(flow, 2) == ["two", "one"]


async def test_old_published_rows_are_purged_and_waiting_ones_never(flow):
    publisher = Publisher(
        flow.open_database(), await flow.open_bus(), service="p", streams=(STREAM,)
    )
    await flow.record(*(made(name) for name in ("old", "recent", "fresh", "again", "refused")))
    flow.query(
        """UPDATE outbox SET
             created_at = now() - CASE id WHEN 2 THEN interval '29 days' ELSE interval '31 days' END,
             published_at = CASE WHEN id IN (1, 2, 4) THEN now() END,
             stream = CASE WHEN id IN (1, 2, 4) THEN 'PROOFS' END,
             stream_sequence = CASE WHEN id IN (1, 2, 4) THEN id END,
             due_at = CASE WHEN id IN (4, 5) THEN now() END RETURNING id"""
    )
    assert await publisher.purge() == 1
    assert flow.query("SELECT id FROM outbox ORDER BY id") == [(2,), (3,), (4,), (5,)]


async def test_the_gauges_grow_while_the_bus_is_away(flow, nats_server: Nats):
    publisher = Publisher(
        flow.open_database(), await flow.open_bus(), service="p", streams=(STREAM,)
    )
    nats_server.kill()
    await flow.record(made("one"))
    refuse_all(flow, 2)
    flow.query("UPDATE outbox SET created_at = now() - interval '9 minutes' RETURNING id")
    flow.query("UPDATE outbox SET due_at = now(), refusal = 'no' WHERE id > 1 RETURNING id")
    gauges, service = metrics, publisher._service
    with pytest.raises(BusUnavailableError):
        await publisher.relay.relay_once()
    await publisher.measure()
    assert gauges.OUTBOX_WAITING.labels(service)._value.get() == 1
    assert 540 <= gauges.OUTBOX_AGE.labels(service)._value.get() < 600
    assert gauges.OUTBOX_REFUSED.labels(service)._value.get() == 2
