"""What a stream has lost is published again by itself: deleted, put back from an older copy, damaged; nothing doubled."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta

import nats
import pytest
import typer
from nats.js.api import StreamConfig

from infra.local.nats import Nats
from infra.local.ports import free_port
from shared.audit import Actor, acting
from shared.bus import BusUnavailableError
from shared.outbox import OutboxSweep
from shared.outbox.commands import republish, retry_refused, since_when
from tests.fixtures.audited import entries
from tests.fixtures.flow import (
    CONSUMER,
    STREAM,
    Flow,
    made,
    prepare_database,
    prepare_stream,
    stored_messages,
)
from tests.fixtures.waiting import eventually


@pytest.fixture
def server(tmp_path, request) -> Nats:
    """A server of this test's own: its store is taken away."""
    server = Nats(tmp_path / "nats", free_port()).start()
    request.addfinalizer(server.stop)
    return server


@pytest.fixture
async def world(create_database, template_database, server: Nats):
    flow = Flow(create_database("sweep", template_database("flow", prepare_database)), server.url)
    flow.open_database()
    await prepare_stream(server.url)
    yield flow
    await flow.close()


async def sweep_of(flow: Flow) -> OutboxSweep:
    return OutboxSweep(
        flow.open_database(), await flow.open_bus(), service="proofs", streams=(STREAM,)
    )


async def swept(sweep: OutboxSweep) -> int:
    """One good round: the connection may still be coming back."""

    async def once() -> tuple[int] | None:
        try:
            return (await sweep.run_once(),)
        except BusUnavailableError:
            return None

    ((taken),) = await eventually(once, "the bus is back")
    return taken


async def published(flow: Flow, count: int) -> None:
    relay = await flow.relay()
    await flow.record(*(made(f"item-{number}") for number in range(count)))
    while await relay.relay_once():
        pass


async def republished(flow: Flow) -> int:
    relay, total = await flow.relay(), 0
    while count := await relay.relay_once():
        total += count
    return total


async def test_while_nothing_is_lost_nothing_is_published_again(world, server: Nats):
    await published(world, 1_200)
    sweep = await sweep_of(world)
    for _ in range(2):
        assert await sweep.run_once() == 0
    server.kill()
    server.start()
    assert await swept(sweep) == 0
    assert await (await sweep_of(world)).run_once() == 0  # a process that has just started
    assert await stored_messages(server.url) == 1_200


async def test_a_stream_that_was_deleted_and_made_again_gets_everything_back(world, server: Nats):
    await published(world, 1_200)
    sweep = await sweep_of(world)
    assert await sweep.run_once() == 0
    server.kill()
    shutil.rmtree(server.store)
    server.start()
    assert await swept(sweep) == 0  # it is missing: nothing can be published
    await world.record(made("meanwhile"))
    relay = await world.relay()
    assert await relay.relay_once() == 0
    await prepare_stream(server.url)
    assert await sweep.run_once() == 1_200
    assert await republished(world) == 1_201  # the refused one too, without waiting for its time
    assert await sweep.run_once() == 0
    assert await stored_messages(server.url) == 1_201


async def test_a_store_put_back_from_an_older_copy_gets_the_newer_events_back(
    world, server: Nats, tmp_path
):
    await published(world, 300)
    world.query("UPDATE outbox SET published_at = published_at - interval '1 hour' RETURNING id")
    server.stop()
    shutil.copytree(server.store, tmp_path / "copy")
    server.start()
    await published(world, 40)
    world.query(
        "UPDATE outbox SET published_at = published_at - interval '30 minutes' RETURNING id"
    )
    sweep = await sweep_of(world)
    assert await swept(sweep) == 0
    await published(world, 7)
    server.kill()
    shutil.rmtree(server.store)
    shutil.copytree(tmp_path / "copy", server.store)
    server.start()
    # Before the sweep looks, new events take the sequences of the lost ones.
    await published(world, 100)
    assert await stored_messages(server.url) == 400
    assert await swept(sweep) == 47
    assert await republished(world) == 47
    assert await swept(sweep) == 0
    assert await stored_messages(server.url) == 447


async def test_what_was_published_since_a_time_is_published_again_and_takes_effect_once(
    world, server: Nats
):
    runner = await world.runner()
    await published(world, 10)
    world.query(
        "UPDATE outbox SET created_at = now() - interval '1 day' WHERE id <= 6 RETURNING id"
    )
    world.query(
        "UPDATE outbox SET created_at = now() - interval '1 hour' WHERE id > 6 RETURNING id"
    )
    client = await nats.connect(server.url)  # so that copies within the window are stored too
    await client.jetstream().update_stream(
        StreamConfig(name=STREAM, subjects=["proofs.>"], duplicate_window=0.1)
    )
    await client.close()
    told: list[tuple[int, int]] = []
    relay, yesterday = await world.relay(), datetime.now(UTC) - timedelta(hours=3)
    with acting(Actor.command("outbox", "Lan")):
        again = await republish(
            world.databases[0],
            relay,
            since_when(yesterday.isoformat()),
            lambda done, whole: told.append((done, whole)),
        )
    assert again == 4
    assert told[0] == (0, 4)
    assert told[-1] == (4, 4)
    with acting(Actor.command("outbox", "Lan")):
        assert await republish(world.databases[0], relay, since_when("9")) == 2
    kept = [(entry.action, entry.actor, entry.after) for entry in await entries(world.databases[0])]
    assert kept == [
        ("outbox-republished", "outbox (Lan)", {"count": 4, "first": 7, "last": 10}),
        ("outbox-republished", "outbox (Lan)", {"count": 2, "first": 9, "last": 10}),
    ]
    async with world.running(runner.run):
        await eventually(lambda: len(world.effects()) >= 10, seconds=60)
    assert sorted(world.effects()) == sorted(f"item-{number}" for number in range(10))


async def test_somebody_publishes_again_while_the_sweep_does_and_neither_fails(world, server: Nats):
    """After a lost stream both take everything: the sweep in the order of publishing, the command by number."""
    relay, sweep, many = await world.relay(), await sweep_of(world), 6_000
    database = world.databases[0]
    await published(world, 1)
    assert await swept(sweep) == 0
    pool = await database.pool()
    await pool.execute(
        """INSERT INTO outbox (event_id, subject, payload, headers, published_at, stream, stream_sequence)
           SELECT gen_random_uuid(), subject, payload, headers,
               published_at - random() * interval '9 minutes', stream, n
           FROM outbox, generate_series(2, $1) n""",
        many,
    )
    await pool.execute("UPDATE outbox_stream SET identity = 'the one that was lost'")

    async def marked() -> int:
        with acting(Actor.command("outbox", "Lan")):
            return await republish(database, relay, since_when("0"))

    counts = await asyncio.gather(swept(sweep), marked(), marked())
    assert counts[1:] == [many, many]


async def test_refused_events_are_offered_again_by_somebody(world):
    await world.record(made("one"), made("two"))
    world.query(
        "UPDATE outbox SET refusals = 3, refusal = 'no', due_at = now() + interval '9 minutes' "
        "WHERE id = 1 RETURNING id"
    )
    database = world.databases[0]
    with acting(Actor.command("outbox", "Lan")):
        assert await retry_refused(database) == 1
    assert world.query("SELECT id FROM outbox WHERE due_at <= now()") == [(1,)]
    [entry] = await entries(database)
    assert (entry.action, entry.actor, entry.after["count"]) == (
        "outbox-retried",
        "outbox (Lan)",
        1,
    )


async def test_nobody_republishes_without_a_name(world):
    await published(world, 2)
    with pytest.raises(LookupError):
        await republish(world.databases[0], await world.relay(), since_when("1"))
    waiting = world.query("SELECT count(*) FROM outbox WHERE due_at IS NOT NULL")
    assert waiting == [(0,)], "no act without its entry"


async def test_since_is_a_number_or_a_time():
    assert since_when("12")[0] == 12
    assert since_when("2026-11-25T08:00+07:00")[1] == datetime(2026, 11, 25, 1, tzinfo=UTC)
    assert since_when("2026-11-25")[1] == datetime(2026, 11, 25, tzinfo=UTC)
    with pytest.raises(typer.BadParameter):
        since_when("yesterday")


async def test_a_purged_stream_gets_its_events_back(world, server: Nats):
    await published(world, 25)
    sweep = await sweep_of(world)
    assert await sweep.run_once() == 0
    client = await nats.connect(server.url)
    await client.jetstream().purge_stream(STREAM)
    await client.close()
    assert await sweep.run_once() == 25


async def test_events_outstanding_when_the_store_is_lost_take_effect_once(world, server: Nats):
    runner = await world.runner()
    await published(world, 900)
    subscription = await (await world.open_bus()).bind(STREAM, CONSUMER)
    while len(world.effects()) < 400:
        await runner.run_once(subscription)
    sweep = await sweep_of(world)
    await sweep.run_once()
    server.kill()
    shutil.rmtree(server.store)
    server.start()
    await prepare_stream(server.url)
    assert await swept(sweep) == 900
    async with world.running((await world.relay()).run, (await world.runner()).run):
        await eventually(lambda: len(world.effects()) >= 900, "everything took effect", seconds=60)
        await eventually(
            lambda: world.query("SELECT count(*) FROM outbox WHERE due_at IS NOT NULL") == [(0,)],
            seconds=60,
        )
    effects = world.effects()
    assert len(effects) == len(set(effects)) == 900
    assert world.letters() == []
