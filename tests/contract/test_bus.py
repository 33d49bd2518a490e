"""What every bus promises: one suite, held against the bus in memory and against a real nats-server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from infra.local.child import Child
from infra.local.nats import Nats, server_binary
from infra.local.ports import free_port
from shared.bus import (
    Bus,
    BusUnavailableError,
    ConsumerState,
    InboundMessage,
    JetStreamBus,
    MemoryBus,
    MessageRefusedError,
    OutboundMessage,
    Refused,
    Stored,
    StreamMissingError,
    Subscription,
    connect,
)
from shared.bus import jetstream as jetstream_module
from tests.fixtures.standstill import standing_still
from tests.fixtures.waiting import eventually

STREAM = "CONFORMANCE"


class World(Protocol):
    """A bus with one stream (``conformance.>``); the topology is made here, never by the bus."""

    async def consumer(
        self, name: str, *, filters: Sequence[str] = (), ack_wait_seconds: float = 30.0
    ) -> None: ...

    async def bus(self) -> Bus: ...


@dataclass
class MemoryWorld:
    shared: MemoryBus = field(default_factory=MemoryBus)

    def __post_init__(self) -> None:
        self.shared.add_stream(STREAM, ["conformance.>"])

    async def consumer(self, name, *, filters=(), ack_wait_seconds=30.0):
        self.shared.add_consumer(
            STREAM, name, filters or ["conformance.>"], ack_wait_seconds=ack_wait_seconds
        )

    async def bus(self) -> Bus:
        return self.shared


@dataclass
class JetStreamWorld:
    url: str
    opened: list[JetStreamBus] = field(default_factory=list)

    async def prepare(self) -> None:
        client = await nats.connect(self.url)
        await client.jetstream().add_stream(
            StreamConfig(name=STREAM, subjects=["conformance.>"], duplicate_window=120)
        )
        await client.close()

    async def consumer(self, name, *, filters=(), ack_wait_seconds=30.0):
        client = await nats.connect(self.url)
        await client.jetstream().add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=name,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ack_wait_seconds,
                max_deliver=-1,
                filter_subjects=list(filters or ["conformance.>"]),
            ),
        )
        await client.close()

    async def bus(self) -> Bus:
        self.opened.append(await connect(self.url, "conformance", wait_seconds=10))
        return self.opened[-1]


@pytest.fixture(params=["memory", "jetstream"])
async def world(request: pytest.FixtureRequest, nats_url: str) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    jetstream = JetStreamWorld(nats_url)
    await jetstream.prepare()
    yield jetstream
    for bus in jetstream.opened:
        await bus.close()


def numbered(first: int, last: int, subject: str = "conformance.item") -> list[OutboundMessage]:
    return [OutboundMessage(subject, str(n).encode(), f"id-{n}") for n in range(first, last + 1)]


async def collect(
    subscription: Subscription, count: int, seconds: float = 5
) -> list[InboundMessage]:
    """Exactly ``count`` messages, unacknowledged."""
    got: list[InboundMessage] = []
    async with asyncio.timeout(seconds):
        while len(got) < count:
            got += await subscription.fetch(count - len(got), 0.5)
    return got


def numbers(messages: Sequence[InboundMessage]) -> list[int]:
    return [int(message.payload) for message in messages]


async def test_messages_arrive_in_the_order_they_were_published(world):
    await world.consumer("reader")
    bus = await world.bus()
    await bus.publish(numbered(1, 300))
    await bus.publish(numbered(301, 600))
    messages = await collect(await bus.bind(STREAM, "reader"), 600)
    assert numbers(messages) == list(range(1, 601))
    sequences = [message.stream_sequence for message in messages]
    assert sequences == sorted(sequences)


async def test_a_fetch_gives_at_most_what_was_asked_for_and_leaves_the_rest(world):
    await world.consumer("reader")
    bus = await world.bus()
    await bus.publish(numbered(1, 10))
    subscription = await bus.bind(STREAM, "reader")
    assert numbers(await subscription.fetch(3, 1)) == [1, 2, 3]
    assert numbers(await collect(subscription, 7)) == [4, 5, 6, 7, 8, 9, 10]


async def test_what_is_acknowledged_never_comes_again_and_a_consumer_goes_on_where_it_was(world):
    await world.consumer("reader", ack_wait_seconds=0.3)
    bus = await world.bus()
    await bus.publish(numbered(1, 4))
    first = await bus.bind(STREAM, "reader")
    for message in await collect(first, 2):
        await message.ack()
    await first.close()
    second = await (await world.bus()).bind(STREAM, "reader")
    rest = await collect(second, 2)
    assert numbers(rest) == [3, 4]
    for message in rest:
        await message.ack()
    assert await second.fetch(10, 0.8) == []


async def test_two_consumers_each_get_every_message(world):
    await world.consumer("one")
    await world.consumer("two")
    bus = await world.bus()
    await bus.publish(numbered(1, 3))
    for name in ("one", "two"):
        assert numbers(await collect(await bus.bind(STREAM, name), 3)) == [1, 2, 3]


async def test_two_subscribers_of_one_consumer_share_its_messages(world):
    await world.consumer("reader")
    bus = await world.bus()
    await bus.publish(numbered(1, 20))
    left = await bus.bind(STREAM, "reader")
    right = await (await world.bus()).bind(STREAM, "reader")
    a, b = await collect(left, 10), await collect(right, 10)
    assert sorted(numbers([*a, *b])) == list(range(1, 21))


async def test_a_consumer_gets_only_the_subjects_it_asks_for(world):
    await world.consumer("reader", filters=["conformance.*.paid.>", "conformance.extra"])
    bus = await world.bus()
    await bus.publish(
        [
            OutboundMessage("conformance.invoice.paid.v1.a", b"1", "1"),
            OutboundMessage("conformance.invoice.sent.v1.a", b"2", "2"),
            OutboundMessage("conformance.extra", b"3", "3"),
            OutboundMessage("conformance.extra.more", b"4", "4"),
            OutboundMessage("conformance.invoice.paid", b"5", "5"),
        ]
    )
    subscription = await bus.bind(STREAM, "reader")
    assert numbers(await collect(subscription, 2)) == [1, 3]
    assert await subscription.fetch(5, 0.2) == []


async def test_an_unacknowledged_message_comes_again_after_the_ack_wait_and_not_before(world):
    await world.consumer("reader", ack_wait_seconds=0.6)
    bus = await world.bus()
    await bus.publish(numbered(1, 1))
    subscription = await bus.bind(STREAM, "reader")
    (first,) = await collect(subscription, 1)
    started = time.monotonic()
    assert first.deliveries == 1
    assert await subscription.fetch(1, 0.3) == []
    (second,) = await collect(subscription, 1)
    assert time.monotonic() - started >= 0.5
    assert second.deliveries == 2
    assert second.stream_sequence == first.stream_sequence


async def test_a_refused_message_waits_its_delay_and_burns_no_deliveries(world):
    await world.consumer("reader")
    bus = await world.bus()
    await bus.publish(numbered(1, 1))
    subscription = await bus.bind(STREAM, "reader")
    waits = []
    for delivery, delay in ((1, 0.4), (2, 0.8)):
        (message,) = await collect(subscription, 1)
        assert message.deliveries == delivery
        await message.nak(delay)
        refused = time.monotonic()
        while not (again := await subscription.fetch(1, 0.1)):
            assert time.monotonic() - refused < 5
        waits.append(time.monotonic() - refused - delay)
        await again[0].nak(0.0)  # straight back, for the next round
        assert again[0].deliveries == delivery + 1
        (again_at_once,) = await collect(subscription, 1)
        assert again_at_once.deliveries == delivery + 2
        await again_at_once.ack()
        await bus.publish([OutboundMessage("conformance.item", b"9", f"round-{delivery}")])
        if delivery == 1:
            (message,) = await collect(subscription, 1)
            assert message.deliveries == 1
            await message.nak(0.0)
    assert all(-0.05 <= wait < 1.0 for wait in waits), waits


async def test_a_refused_message_does_not_hold_up_those_behind_it(world):
    await world.consumer("reader")
    bus = await world.bus()
    await bus.publish(numbered(1, 3))
    subscription = await bus.bind(STREAM, "reader")
    (first,) = await subscription.fetch(1, 1)
    await first.nak(30)
    assert numbers(await collect(subscription, 2)) == [2, 3]


async def test_a_message_id_published_twice_is_stored_once(world):
    await world.consumer("reader")
    bus = await world.bus()
    await bus.publish(numbered(1, 3))
    await bus.publish(numbered(2, 4))
    await (await world.bus()).publish(numbered(1, 4))
    subscription = await bus.bind(STREAM, "reader")
    assert numbers(await collect(subscription, 4)) == [1, 2, 3, 4]
    assert await subscription.fetch(5, 0.2) == []


async def test_pending_counts_what_is_not_yet_acknowledged(world):
    await world.consumer("reader")
    bus = await world.bus()
    subscription = await bus.bind(STREAM, "reader")
    assert await subscription.pending() == 0
    await bus.publish(numbered(1, 5))
    assert await subscription.pending() == 5
    messages = await collect(subscription, 3)
    assert await subscription.pending() == 5
    for message in messages[:2]:
        await message.ack()
    await messages[2].nak(30)

    async def three_left() -> bool:  # the server counts our acknowledgements a little later
        return await subscription.pending() == 3

    await eventually(three_left, seconds=5)


@pytest.mark.parametrize("batch", [1, 10, 100])
async def test_an_empty_fetch_ends_at_its_time_out_also_after_an_idle_period(world, batch):
    await world.consumer("reader")
    subscription = await (await world.bus()).bind(STREAM, "reader")
    for _ in range(3):
        started = time.monotonic()
        assert await subscription.fetch(batch, 0.4) == []
        assert 0.3 <= time.monotonic() - started < 5  # a stalled fetch waited for ever
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("batch", [1, 10, 100])
async def test_a_message_that_arrives_while_a_fetch_waits_is_handed_over_at_once(world, batch):
    await world.consumer("reader")
    bus = await world.bus()
    subscription = await bus.bind(STREAM, "reader")
    assert await subscription.fetch(batch, 0.2) == []  # idle before
    for number in (1, 2, 3):
        waiting = asyncio.create_task(subscription.fetch(batch, 5.0))
        await asyncio.sleep(0.1)
        published = time.monotonic()
        await bus.publish(numbered(number, number))
        messages = await waiting
        assert time.monotonic() - published < 4, "the fetch waited for more instead of answering"
        assert numbers(messages) == [number]
        await messages[0].ack()


async def test_a_half_full_batch_is_handed_over_at_once(world):
    await world.consumer("reader")
    bus = await world.bus()
    subscription = await bus.bind(STREAM, "reader")
    await bus.publish(numbered(1, 3))
    started = time.monotonic()
    messages = await subscription.fetch(100, 5.0)
    assert time.monotonic() - started < 4
    assert numbers(messages) == [1, 2, 3]


async def test_headers_arrive_and_the_given_dictionary_is_left_alone(world):
    await world.consumer("reader")
    bus = await world.bus()
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    given = dict(headers)
    await bus.publish([OutboundMessage("conformance.item", b"1", "one", given)])
    assert given == headers
    (message,) = await collect(await bus.bind(STREAM, "reader"), 1)
    assert message.headers["traceparent"] == headers["traceparent"]
    assert message.headers["Nats-Msg-Id"] == "one"
    message.headers["traceparent"] = "changed"
    assert given == headers


async def test_a_payload_arrives_byte_for_byte(world):
    await world.consumer("reader")
    bus = await world.bus()
    payload = bytes(range(256)) + "đồng ₫".encode() + b"\r\nMSG x 1 1\r\n"
    await bus.publish([OutboundMessage("conformance.item", payload, "one")])
    (message,) = await collect(await bus.bind(STREAM, "reader"), 1)
    assert message.payload == payload
    assert message.subject == "conformance.item"


async def test_publishing_to_a_subject_no_stream_takes_is_an_error_not_a_loss(world):
    bus = await world.bus()
    with pytest.raises(MessageRefusedError):
        await bus.publish([OutboundMessage("elsewhere.item", b"1", "one")])


async def test_publishing_nothing_is_fine(world):
    await (await world.bus()).publish([])


async def test_each_message_has_its_own_verdict_and_a_refused_one_keeps_none_back(world):
    await world.consumer("reader")
    bus = await world.bus()
    one, two = numbered(1, 2)
    lost = OutboundMessage("elsewhere.item", b"x", "lost")
    first, second, third, again = await bus.offer([one, lost, two, one])
    assert (first, third, again) == (Stored(STREAM, 1), Stored(STREAM, 2), Stored(STREAM, 1))
    assert isinstance(second, Refused)
    assert second.reason.startswith("no stream takes ")
    assert numbers(await collect(await bus.bind(STREAM, "reader"), 2)) == [1, 2]


async def test_a_stream_tells_what_it_holds(world):
    bus = await world.bus()
    empty = await bus.stream_state(STREAM)
    assert (empty.last, empty.lost) == (0, frozenset())
    messages = numbered(1, 3)
    await bus.publish(messages)
    state = await bus.stream_state(STREAM)
    assert (state.identity, state.first, state.last) == (empty.identity, 1, 3)
    ids = [message.message_id for message in messages]
    assert await bus.stored_ids(STREAM, [1, 2, 3, 4]) == [*ids, None]
    with pytest.raises(StreamMissingError):
        await bus.stream_state("NOBODY")


async def test_a_consumer_tells_how_far_it_is(world):
    await world.consumer("reader")
    bus = await world.bus()
    await bus.publish(numbered(1, 3))
    subscription = await bus.bind(STREAM, "reader")
    assert await subscription.state() == ConsumerState(pending=3, floor=0)
    first, second, _ = await collect(subscription, 3)
    await first.ack()
    await second.ack()

    async def two_done() -> bool:  # the server counts our acknowledgements a little later
        return await subscription.state() == ConsumerState(pending=1, floor=2)

    await eventually(two_done)


async def test_a_closed_bus_refuses(world):
    bus = await world.bus()
    await bus.ping()
    await bus.close()
    with pytest.raises(BusUnavailableError):
        await bus.ping()
    with pytest.raises(BusUnavailableError):
        await bus.publish(numbered(1, 1))


# --- what only a server can show -----------------------------------------------------------------


@pytest.fixture
async def jetstream(nats_url: str) -> AsyncIterator[JetStreamWorld]:
    world = JetStreamWorld(nats_url)
    await world.prepare()
    yield world
    for bus in world.opened:
        await bus.close()


async def publish_until_stored(bus: Bus, messages: Sequence[OutboundMessage]) -> None:
    async def stored() -> bool:
        try:
            await bus.publish(messages)
        except BusUnavailableError:
            return False
        return True

    await eventually(stored, "the bus takes them")


async def test_publishing_fails_while_the_server_is_down_and_works_after_its_restart(
    jetstream, nats_server: Nats, monkeypatch
):
    monkeypatch.setattr(jetstream_module, "PUBLISH_TIMEOUT_SECONDS", 0.5)
    await jetstream.consumer("reader")
    bus = await jetstream.bus()
    subscription = await bus.bind(STREAM, "reader")
    await bus.publish(numbered(1, 1))
    nats_server.kill()
    with pytest.raises(BusUnavailableError):
        await bus.publish(numbered(2, 3))
    with pytest.raises(BusUnavailableError):
        await bus.ping()
    started = time.monotonic()
    try:
        assert await subscription.fetch(10, 0.3) == []
    except BusUnavailableError as error:
        assert str(error)
    assert time.monotonic() - started < 10
    nats_server.start()  # in this thread: the server dies with the thread that started it
    await publish_until_stored(bus, numbered(2, 3))
    got: list[InboundMessage] = []

    async def all_came() -> bool:
        try:
            got.extend(await subscription.fetch(10, 0.5))
        except BusUnavailableError:
            return False
        return len(got) >= 3

    await eventually(all_came, "all three are fetched")
    assert numbers(got) == [1, 2, 3]
    await bus.ping()


async def test_many_failed_publishes_leave_room_for_the_next(
    jetstream, nats_server: Nats, monkeypatch
):
    """Every failed publish must give back its place in the window, or the bus stalls for ever."""
    monkeypatch.setattr(jetstream_module, "PUBLISH_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(jetstream_module, "MAX_IN_FLIGHT", 4)
    await jetstream.consumer("reader")
    bus = await jetstream.bus()
    nats_server.kill()
    large = [OutboundMessage("conformance.item", b"x" * 900_000, f"large-{n}") for n in range(4)]
    for _ in range(60):
        with pytest.raises(BusUnavailableError):
            await bus.publish(large)
    nats_server.start()  # in this thread: the server dies with the thread that started it
    await publish_until_stored(bus, numbered(1, 3))


async def test_a_message_above_the_servers_limit_is_refused_and_the_bus_goes_on(jetstream):
    bus = await jetstream.bus()
    with pytest.raises(MessageRefusedError):
        await bus.publish([OutboundMessage("conformance.item", b"x" * 1_100_000, "huge")])
    await bus.publish(numbered(1, 1))


async def test_a_consumer_that_does_not_exist_is_reported(jetstream):
    subscription = await (await jetstream.bus()).bind(STREAM, "nobody")
    with pytest.raises(BusUnavailableError):
        await subscription.fetch(1, 1.0)
    with pytest.raises(StreamMissingError):
        await subscription.state()
    elsewhere = await (await jetstream.bus()).bind("NOWHERE", "nobody")
    with pytest.raises(StreamMissingError):
        await elsewhere.state()


async def test_a_server_that_stands_still_is_an_error_not_an_empty_fetch(
    jetstream, nats_server: Nats
):
    await jetstream.consumer("reader")
    subscription = await (await jetstream.bus()).bind(STREAM, "reader")
    assert await subscription.fetch(1, 0.3) == []
    with standing_still(nats_server.pid), pytest.raises(BusUnavailableError):
        await subscription.fetch(1, 0.3)


async def test_what_a_credential_may_not_publish_is_refused_at_once_and_the_rest_goes_out(
    tmp_path, request
):
    port = free_port()
    configuration = tmp_path / "nats.conf"
    configuration.write_text(
        f"""listen: "127.0.0.1:{port}"
        jetstream {{ store_dir: "{tmp_path / "store"}" }}
        authorization {{ users: [
          {{ user: admin, password: a }},
          {{ user: narrow, password: n, permissions: {{ publish: ["conformance.item"], subscribe: "_INBOX.>" }} }}
        ] }}"""
    )
    server = Child(
        "nats-server", [server_binary(), "-c", str(configuration)], log=tmp_path / "nats.log"
    )
    server.start()
    request.addfinalizer(server.stop)

    async def made() -> bool:
        try:
            await JetStreamWorld(f"nats://admin:a@127.0.0.1:{port}").prepare()
        except (OSError, nats.errors.Error):
            return False
        return True

    await eventually(made)
    bus = await connect(f"nats://narrow:n@127.0.0.1:{port}", "narrow")
    (good,) = numbered(1, 1)
    started = time.monotonic()
    verdicts = await bus.offer([OutboundMessage("conformance.Other", b"1", "other"), good])
    assert time.monotonic() - started < 2
    assert verdicts == [Refused("this credential may not publish it"), Stored(STREAM, 1)]
    await bus.close()


async def test_an_absent_server_is_waited_for_only_so_long():
    started = time.monotonic()
    with pytest.raises(BusUnavailableError):
        await connect("nats://127.0.0.1:9", "nobody", wait_seconds=0.5)
    assert time.monotonic() - started < 10
