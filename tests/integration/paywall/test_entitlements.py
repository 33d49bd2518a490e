"""The paywall's copy of entitlements: any order, any number of times, and web processes know at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from infra.nats.streams import apply as apply_topology
from services.paywall.entitlements.consumers import ENTITLEMENTS
from services.paywall.entitlements.service import apply_events
from services.paywall.rebuild import rebuild
from shared import bus as bus_module
from shared.audit import Actor, acting
from shared.bus import OutboundMessage
from shared.contracts import encode, new_event
from shared.contracts.billing import EntitlementChanged, EntitlementGranted, EntitlementRevoked
from shared.database import Database
from shared.inbox import ConsumerRunner
from tests.fixtures.audited import entries
from tests.fixtures.command_line import command
from tests.integration.paywall.conftest import AGENCY, NOW, eventually, new_reader

KINDS = {
    "granted": EntitlementGranted,
    "changed": EntitlementChanged,
    "revoked": EntitlementRevoked,
}


def event(
    reader: UUID, version: int, kind: str = "granted", *, entitlement: UUID, days: int = 30, now=NOW
):
    payload = KINDS[kind](
        entitlement_id=entitlement,
        reader_id=reader,
        plan_code="thang",
        scope="site",
        valid_from=NOW - timedelta(days=1),
        valid_until=NOW + timedelta(days=days),
    )
    return new_event(payload, agency=AGENCY, subject=str(entitlement), version=version, now=now)


async def take(database: Database, *events) -> None:
    async with database.transaction() as session:
        await apply_events(session, events)


async def rows(database: Database) -> list[tuple]:
    async with database.read() as session:
        found = await session.execute(
            text(
                "SELECT id, reader_id, valid_until, revoked, version, event_id FROM entitlement ORDER BY id"
            )
        )
        return [tuple(row) for row in found]


async def test_an_older_event_never_overwrites_newer_state(house):
    reader, id_ = new_reader(), uuid4()
    await take(house.database, event(reader, 3, "revoked", entitlement=id_))
    await take(house.database, event(reader, 2, "changed", entitlement=id_))
    ((_, _, _, revoked, version, _),) = await rows(house.database)
    assert (revoked, version) == (True, 3)


async def test_the_database_itself_refuses_to_go_back_to_an_older_version(house):
    from sqlalchemy.exc import DBAPIError

    await take(house.database, event(new_reader(), 3, entitlement=uuid4()))
    with pytest.raises(DBAPIError, match="at version 3 already"):
        async with house.database.transaction() as session:
            await session.execute(text("UPDATE entitlement SET version = 2"))


async def test_every_order_and_any_duplicates_of_events_end_equal(house):
    reader, first, second = new_reader(), uuid4(), uuid4()
    events = [
        event(reader, 1, "granted", entitlement=first, days=30),
        event(reader, 2, "changed", entitlement=first, days=60),
        event(reader, 3, "revoked", entitlement=first, days=2),
        event(
            reader, 3, "changed", entitlement=first, days=9
        ),  # a tie, which must not depend on order
        event(reader, 1, "granted", entitlement=second, days=5),
    ]
    await take(house.database, *events)
    expected = await rows(house.database)
    loop = asyncio.get_running_loop()

    async def replay(batches) -> None:
        async with house.database.transaction() as session:
            await session.execute(text("DELETE FROM entitlement"))
        for batch in batches:
            await take(house.database, *(events[i] for i in batch))
        assert await rows(house.database) == expected

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(
        st.permutations([*range(5), 0, 2, 4]).flatmap(
            lambda order: st.integers(1, 4).map(
                lambda size: [order[i : i + size] for i in range(0, len(order), size)]
            )
        )
    )
    def shuffled(batches) -> None:
        asyncio.run_coroutine_threadsafe(replay(batches), loop).result(30)

    await asyncio.to_thread(shuffled)


async def test_a_payment_opens_premium_in_every_web_process_and_a_refund_closes_it(house):
    one, two = await house.start(), await house.start()
    reader, id_ = new_reader(), uuid4()
    token = house.token(reader)

    async def answers(reason: str) -> None:
        for process in (one, two):

            async def answered(process=process) -> bool:
                return (await process.ask("a2", token=token)).json()["reason"] == reason

            await eventually(answered, 5)

    await answers("SUBSCRIPTION_REQUIRED")
    await take(house.database, event(reader, 1, entitlement=id_))
    await answers("SUBSCRIBER")
    await take(house.database, event(reader, 2, "revoked", entitlement=id_))
    await answers("SUBSCRIPTION_REQUIRED")


async def test_a_right_known_from_memory_ends_with_its_time(house):
    paywall = await house.start()
    reader = new_reader()
    await take(house.database, event(reader, 1, entitlement=uuid4(), days=1))
    assert (await paywall.ask("a2", token=house.token(reader))).json()["granted"] is True
    house.clock.advance(timedelta(days=1))
    assert (await paywall.ask("a2", token=house.token(reader))).json()["granted"] is False


@pytest.fixture
async def bus(nats_url):
    await apply_topology(nats_url)
    bus = await bus_module.connect(nats_url, "test")
    yield bus
    await bus.close()


async def publish(bus, *events) -> None:
    await bus.publish([OutboundMessage(e.bus_subject, encode(e), str(uuid4())) for e in events])


async def test_events_cross_nats_once_however_often_they_are_delivered(house, bus):
    reader, id_ = new_reader(), uuid4()
    granted = event(reader, 1, entitlement=id_)
    await publish(bus, granted, granted, event(reader, 2, "changed", entitlement=id_, days=60))
    runner = ConsumerRunner(house.database, bus, ENTITLEMENTS)
    subscription = await bus.bind(ENTITLEMENTS.stream, ENTITLEMENTS.name)
    handled = 0
    async with asyncio.timeout(20):
        while handled < 3:
            handled += await runner.run_once(subscription)
    ((_, _, valid_until, _, version, _),) = await rows(house.database)
    assert (valid_until, version) == (NOW + timedelta(days=60), 2)
    async with house.database.read() as session:
        claimed = await session.execute(text("SELECT count(*) FROM inbox"))
        assert claimed.scalar_one() == 2


async def test_a_rebuild_from_the_stream_mends_adds_and_forgets(house, bus):
    readers, ids = [new_reader() for _ in range(4)], [uuid4() for _ in range(4)]
    past = NOW - timedelta(hours=5)
    told = [event(readers[n], 1, entitlement=ids[n], now=past) for n in range(2)]
    await publish(
        bus, *told, event(readers[0], 2, "changed", entitlement=ids[0], days=90, now=past)
    )
    # In the copy: one that is wrong, one missing, one that billing never told, one older than the stream.
    await take(
        house.database,
        event(readers[0], 2, "revoked", entitlement=ids[0], now=past),
        event(readers[2], 1, entitlement=ids[2], now=NOW - timedelta(hours=1)),
        event(readers[3], 1, entitlement=ids[3], now=NOW - timedelta(days=90)),
    )
    with acting(Actor.command("test")):
        report = await rebuild(house.database, bus, house.clock)
    assert report.replayed == 3
    found = {row[0]: row for row in await rows(house.database)}
    assert set(found) == {ids[0], ids[1], ids[3]}
    assert found[ids[0]][2:5] == (NOW + timedelta(days=90), False, 2)
    before = await rows(house.database)
    with acting(Actor.command("test")):
        again = await rebuild(house.database, bus, house.clock)
    assert (again.taken, again.forgotten) == (0, 0)
    assert await rows(house.database) == before


async def test_a_rebuild_of_an_empty_stream_forgets_nothing(house, bus):
    await take(house.database, event(new_reader(), 1, entitlement=uuid4()))
    with acting(Actor.command("test")):
        report = await rebuild(house.database, bus, house.clock)
    assert (report.replayed, report.forgotten) == (0, 0)
    assert len(await rows(house.database)) == 1


async def test_a_rebuild_on_the_command_line_is_on_record_by_name(house, bus, nats_url):
    await publish(bus, event(new_reader(), 1, entitlement=uuid4()))
    done = await asyncio.to_thread(
        command,
        *("services.paywall", "rebuild-entitlements", "--by", "Lan"),
        DATABASE_URL=house.url,
        NATS_URL=nats_url,
    )
    assert done.returncode == 0, done.stderr
    entry = (await entries(house.database))[-1]
    assert (entry.action, entry.actor_kind, entry.actor) == (
        "entitlements-rebuilt",
        "command",
        "rebuild (Lan)",
    )
    assert entry.after == {"replayed": 1, "taken": 1, "forgotten": 0}
    assert len(await rows(house.database)) == 1
