"""The inbox on real PostgreSQL and a real nats-server: every event takes effect once, or is kept whole."""

from __future__ import annotations

import asyncio
import itertools
import time
from uuid import UUID

import nats
import psycopg
import pytest
from nats.js.api import ConsumerConfig
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from infra.local.nats import Nats
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from shared.audit import Actor, acting
from shared.audit.repository import Filter
from shared.audit.service import all_entries
from shared.bus import OutboundMessage, StreamMissingError
from shared.contracts import decode, encode, new_event
from shared.database import Database
from shared.ids import new_id
from shared.inbox import (
    Consumer,
    ConsumerRunner,
    PermanentError,
    RetryPolicy,
    list_dead_letters,
    replay_dead_letter,
    store,
)
from shared.inbox.commands import replay
from shared.loops import supervise
from shared.telemetry import metrics
from shared.telemetry.exposition import Exposition
from tests.contract.test_events import TYPES, disguised, wire
from tests.fixtures.command_line import command
from tests.fixtures.flow import (
    CONSUMER,
    NOW,
    Flow,
    ItemDropped,
    ItemMade,
    made,
    prepare_database,
    prepare_stream,
    stored_messages,
    take_effect,
)
from tests.fixtures.roles import ensure_roles
from tests.fixtures.standstill import standing_still
from tests.fixtures.waiting import eventually


async def test_two_batches_of_the_same_events_in_other_orders_claim_each_once(
    create_database, template_database
):
    """As when a slow worker's messages are delivered to another one."""
    database = Database(
        create_database("inbox", template_database("flow", prepare_database)),
        application_name="test",
    )
    ids = [new_id() for _ in range(3_000)]

    async def claimed(order: list[UUID]) -> set[UUID]:
        async with database.transaction() as session:
            return await store.claim(session, CONSUMER, order)

    try:
        one, other = await asyncio.gather(claimed(ids), claimed(ids[::-1]))
    finally:
        await database.close()
    assert one | other == set(ids) and not one & other


def outbound(event, message_id: str | None = None) -> OutboundMessage:
    return OutboundMessage(event.bus_subject, encode(event), message_id or str(event.id))


async def handle_all(flow, runner) -> None:
    """Rounds until the consumer owes nothing."""
    subscription = await (await flow.open_bus()).bind("PROOFS", CONSUMER)

    async def done() -> bool:
        await runner.run_once(subscription)
        return await subscription.pending() == 0

    await eventually(done, "the consumer is through", seconds=30)
    await subscription.close()


async def test_a_duplicate_on_the_bus_is_one_effect(flow):
    bus, runner, event = await flow.open_bus(), await flow.runner(), made("one")
    await bus.publish([outbound(event, "copy-1"), outbound(event, "copy-2")])
    await bus.publish([outbound(made("two"))])
    await bus.publish([outbound(event, "copy-3")])
    assert await stored_messages(flow.nats_url) == 4
    await handle_all(flow, runner)
    assert flow.effects() == ["one", "two"]


async def test_a_crash_after_the_commit_and_before_the_acknowledgement_is_one_effect(
    flow, monkeypatch
):
    bus, runner = await flow.open_bus(), await flow.runner()
    await bus.publish([outbound(made("one"))])
    subscription = await bus.bind("PROOFS", CONSUMER)

    class CrashError(Exception):
        pass

    async def crash(name: str) -> None:
        if name == "consumer.after_commit":
            raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr("shared.inbox.runner.fault_point", crash)
        await runner.run_once(subscription)
    assert flow.effects() == ["one"]
    await handle_all(flow, runner)
    assert flow.effects() == ["one"]
    assert flow.letters() == []


async def test_a_poisonous_event_delays_nobody_and_becomes_a_dead_letter_that_can_be_replayed(flow):
    bus = await flow.open_bus()
    poison = made("poison", failing="always")
    before = [made(f"before-{number}") for number in range(5)]
    after = [made(f"after-{number}") for number in range(5)]
    tries: list[float] = []
    mended = False

    async def handler(session, events):
        if any(event.id == poison.id for event in events) and not mended:
            if len(events) == 1:
                tries.append(time.monotonic())
            await take_effect(session, events)
        for event in events:
            await take_effect(session, [made(event.data.name)])

    runner = await flow.runner(
        handlers={ItemMade: handler}, retry=RetryPolicy(max_tries=4, first_delay_seconds=0.3)
    )
    await bus.publish([outbound(event) for event in [*before, poison, *after]])
    started = time.monotonic()
    async with flow.running(runner.run):
        await eventually(lambda: len(flow.effects()) == 10, "the others took effect")
        assert time.monotonic() - started < 3
        assert not flow.letters()
        await eventually(flow.letters, "kept as a dead letter")
        gaps = [b - a for a, b in itertools.pairwise(tries)]
        assert len(tries) == 4
        assert all(gap >= delay * 0.9 for gap, delay in zip(gaps, (0.3, 0.6, 1.2), strict=True)), (
            gaps
        )

        database = flow.databases[0]
        (letter,) = await list_dead_letters(database)
        assert (letter.consumer, letter.event_id, letter.subject, letter.deliveries) == (
            CONSUMER,
            poison.id,
            "proofs.item.made.v1.thai-binh",
            4,
        )
        assert letter.payload == encode(poison)
        assert letter.headers["Nats-Msg-Id"] == str(poison.id)
        assert (letter.reason, letter.error) == (
            "tries_exhausted",
            "RuntimeError: no luck with poison",
        )
        mended = True
        with acting(Actor.command("dead-letters", "operator")):
            proofs = Consumer("flow", "PROOFS", CONSUMER, {ItemMade: handler})
            both = [replay_dead_letter(database, [proofs], letter.id) for _ in range(2)]
            assert sorted(await asyncio.gather(*both)) == [False, True], "two operators at once"
        [entry] = [e async for e in all_entries(database, None, Filter())]
        assert (entry.action, entry.actor) == ("dead-letters-replayed", "dead-letters (operator)")
        assert "poison" in flow.effects(), "in the transaction that marks the letter"
        assert await list_dead_letters(database) == []
        await bus.publish([outbound(poison, "once more")])
        await bus.publish([outbound(made("last"))])
        await eventually(lambda: "last" in flow.effects(), "the bus brings it again")
    assert sorted(flow.effects()) == sorted(
        e.data.name for e in [*before, poison, *after, made("last")]
    )


async def test_a_lone_poisonous_event_is_retried_with_its_delay_and_kept(flow):
    bus = await flow.open_bus()
    runner = await flow.runner(retry=RetryPolicy(max_tries=2, first_delay_seconds=0.3))
    await bus.publish([outbound(made("poison", failing="always"))])
    async with flow.running(runner.run):
        (letter,) = await eventually(flow.letters, "kept", seconds=5)
    assert letter[0] == "tries_exhausted"
    assert flow.effects() == []


async def test_a_permanent_error_is_kept_at_once(flow):
    bus, runner = await flow.open_bus(), await flow.runner()
    await bus.publish([outbound(made("never", failing="permanent")), outbound(made("fine"))])
    await handle_all(flow, runner)
    ((reason, _, deliveries, error),) = flow.letters()
    assert (reason, deliveries, error) == ("permanent", 1, "PermanentError: this can never work")
    assert flow.effects() == ["fine"]


async def test_what_cannot_be_read_is_kept_whole_and_the_rest_goes_on(flow):
    bus, runner = await flow.open_bus(), await flow.runner()
    unhandled = new_event(
        ItemDropped(name="x"), agency="thai-binh", subject="x", version=1, now=NOW
    )
    whole = encode(made("whole"))
    bad = [
        b"\xff\xfe not json",
        b"{}",
        b'{"type":"vn.press.proofs.item.unheard.v1"}',
        whole.replace(b'"name":"whole",', b""),
        whole.replace(b'"version":1', b'"version":"one"'),
        encode(unhandled),
        b"",
    ]
    await bus.publish(
        [
            OutboundMessage(
                unhandled.bus_subject if raw == encode(unhandled) else "proofs.item.made.v1.x",
                raw,
                f"bad-{n}",
            )
            for n, raw in enumerate(bad)
        ]
    )
    await bus.publish([outbound(made("fine"))])
    await handle_all(flow, runner)
    assert flow.effects() == ["fine"]
    kept = flow.query("SELECT payload, reason FROM dead_letter ORDER BY created_at, id")
    assert [bytes(payload) for payload, _ in kept] == bad
    assert [reason for _, reason in kept] == [
        "MalformedEventError",
        "MalformedEventError",
        "UnknownEventTypeError",
        "MalformedEventError",
        "MalformedEventError",
        "UnknownEventTypeError",
        "MalformedEventError",
    ]


async def test_while_the_database_is_away_no_try_is_spent_and_afterwards_work_resumes_at_once(
    nats_url, tmp_path, request
):
    server = Postgres(tmp_path / "data", free_port(), fsync=False, trust=True).start()
    request.addfinalizer(server.stop)
    ensure_roles(server)
    server.execute("CREATE DATABASE flow")
    flow = Flow(server.url("flow"), nats_url)
    flow.open_database()
    prepare_database(flow.url)
    await prepare_stream(nats_url, ack_wait_seconds=2)
    bus = await flow.open_bus()
    relay, runner = await flow.relay(), await flow.runner(retry=RetryPolicy(max_tries=2))
    async with flow.running(relay.run, runner.run) as loops:
        await flow.record(made("first"))
        await eventually(lambda: flow.effects() == ["first"])
        server.kill()
        names = [f"away-{number}" for number in range(5)]
        await bus.publish([outbound(made(name)) for name in names])
        await eventually(
            lambda: len(runner._postponed) == 5 and min(runner._postponed.values()) > 2,
            "each comes back more often than it may be tried",
        )
        assert all(loop.heartbeat.alive for loop in loops)
        server.start()
        back = time.monotonic()
        await eventually(lambda: len(flow.effects()) == 6, "resumed")
        assert time.monotonic() - back < 8
        await flow.record(made("last"))
        await eventually(lambda: flow.effects()[-1] == "last", "the relay is back too")
    assert sorted(flow.effects()) == sorted(["first", *names, "last"])
    assert flow.letters() == []
    await flow.close()


async def test_what_another_transaction_holds_is_waited_for_and_no_try_is_spent(flow, monkeypatch):
    monkeypatch.setattr("shared.database.core.LOCK_TIMEOUT_MS", 50)
    runner = await flow.runner(retry=RetryPolicy(max_tries=2))
    relay = await flow.relay()
    with psycopg.connect(flow.url) as holder:
        holder.execute("LOCK TABLE effect IN EXCLUSIVE MODE")
        async with flow.running(relay.run, runner.run):
            await flow.record(made("waited for"))
            await eventually(
                lambda: min(runner._postponed.values(), default=0) > 2,
                "it comes back more often than it may be tried",
            )
            holder.rollback()
            await eventually(lambda: flow.effects() == ["waited for"])
    assert flow.letters() == []


async def test_a_nats_restart_in_the_middle_of_it_all_loses_and_doubles_nothing(
    flow, nats_server: Nats
):
    relay, runner = await flow.relay(), await flow.runner()
    names = [f"item-{number}" for number in range(400)]
    async with flow.running(relay.run, runner.run) as (relaying, _):
        for start in range(0, 400, 20):
            await flow.record(*(made(name) for name in names[start : start + 20]))
            if start in (100, 260):
                nats_server.kill()
                await flow.fails_once_more(relaying)
                nats_server.start()
        await eventually(lambda: len(flow.effects()) >= 400, "all took effect", seconds=40)
    assert sorted(flow.effects()) == sorted(names)
    assert flow.letters() == []


async def test_a_trace_crosses_from_the_recording_to_the_handling(flow, monkeypatch):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("shared.telemetry.tracing._TRACER", provider.get_tracer("test"))
    seen: list[str] = []

    async def handler(session, events):
        seen.append(format(trace.get_current_span().get_span_context().trace_id, "032x"))
        await take_effect(session, events)

    relay, runner = await flow.relay(), await flow.runner(handlers={ItemMade: handler})
    with provider.get_tracer("test").start_as_current_span("pay") as paying:
        await flow.record(made("one"))
    await relay.relay_once()
    await handle_all(flow, runner)
    expected = format(paying.get_span_context().trace_id, "032x")
    assert seen == [expected]
    (consumed,) = [s for s in exporter.get_finished_spans() if s.name == f"consume {CONSUMER}"]
    assert consumed.parent is not None
    assert consumed.parent.span_id == paying.get_span_context().span_id


async def test_lag_and_dead_letters_are_measured(flow, monkeypatch):
    monkeypatch.setattr("shared.inbox.runner.MEASURE_EVERY_SECONDS", 0.0)
    bus, runner = await flow.open_bus(), await flow.runner()
    await bus.publish([outbound(made("never", failing="permanent"))])

    def measured(gauge) -> float:
        return gauge.labels(CONSUMER)._value.get()

    async with flow.running(*(loop.body for loop in runner.loops)):
        await eventually(lambda: measured(metrics.DEAD_LETTERS) == 1, "one dead letter shown")
        await eventually(lambda: measured(metrics.CONSUMER_LAG) == 0, "no lag shown")
    assert measured(metrics.CONSUMER_PRESENT) == 1


async def test_what_waits_without_being_handled_is_seen_by_its_growing_time(flow):
    bus, runner = await flow.open_bus(), await flow.runner()
    await bus.publish([outbound(made("one")), outbound(made("two"))])

    async def stalled_seconds() -> float:
        await runner.measure()
        return metrics.CONSUMER_STALLED.labels(CONSUMER)._value.get()

    async def long() -> bool:
        return await stalled_seconds() > 0.3

    async def no_longer() -> bool:
        return await stalled_seconds() < 0.1

    await eventually(long)
    assert metrics.CONSUMER_LAG.labels(CONSUMER)._value.get() == 2
    await handle_all(flow, runner)
    await eventually(no_longer)


async def test_a_missing_consumer_or_stream_is_not_ready_and_its_lag_is_unknown(flow):
    runner = await flow.runner()
    await runner.check()
    await runner.measure()
    client = await nats.connect(flow.nats_url)
    await client.jetstream().delete_consumer("PROOFS", CONSUMER)
    with pytest.raises(StreamMissingError):
        await runner.check()
    await client.jetstream().delete_stream("PROOFS")
    await client.close()
    with pytest.raises(StreamMissingError):
        await runner.check()
    await runner.measure()
    shown = Exposition().page().decode()
    assert f'press_consumer_present{{consumer="{CONSUMER}"}} 0.0' in shown
    assert f'press_consumer_lag{{consumer="{CONSUMER}"}}' not in shown


async def test_a_bus_that_stands_still_makes_the_consumer_fail_and_its_lag_unknown(
    flow, nats_server: Nats
):
    runner = await flow.runner()
    (consumer, gauges, _) = runner.loops
    stop = asyncio.Event()
    tasks = [asyncio.create_task(supervise(loop, stop)) for loop in (consumer, gauges)]
    lag = f'press_consumer_lag{{consumer="{CONSUMER}"}}'
    await eventually(lambda: lag in Exposition().page().decode(), "a lag is shown")
    before = metrics.LOOP_FAILURES.labels(CONSUMER)._value.get()
    with standing_still(nats_server.pid):
        await eventually(
            lambda: metrics.LOOP_FAILURES.labels(CONSUMER)._value.get() > before, "it fails"
        )
        since = metrics.LOOP_SUCCESS.labels(CONSUMER)._value.get()
        await eventually(lambda: lag not in Exposition().page().decode(), "the lag is unknown")
        assert metrics.LOOP_SUCCESS.labels(CONSUMER)._value.get() == since
        assert consumer.heartbeat.alive  # it comes round: restarting the process would not help
    await eventually(lambda: lag in Exposition().page().decode(), "a lag is shown again")
    await eventually(lambda: metrics.LOOP_SUCCESS.labels(CONSUMER)._value.get() > since)
    stop.set()
    await asyncio.gather(*tasks)


async def test_the_whole_way_in_numbers(flow, capsys):
    """Prints a figure for the record; it asserts only that everything arrived."""
    relay, runner = await flow.relay(), await flow.runner()
    count = 5000
    for start in range(0, count, 1000):
        await flow.record(*(made(f"{start}-{n}") for n in range(1000)))
    started = time.monotonic()
    async with flow.running(relay.run, runner.run):
        await eventually(
            lambda: flow.query("SELECT count(*) FROM effect")[0][0] == count, seconds=60
        )
    seconds = time.monotonic() - started
    with capsys.disabled():
        print(f"\noutbox → bus → inbox → effect: {count / seconds:,.0f} events a second")


async def test_events_of_one_batch_are_claimed_in_one_statement_whatever_their_number(flow):
    runner, bus = await flow.runner(batch=100), await flow.open_bus()
    await bus.publish([outbound(made(f"item-{n}")) for n in range(100)])
    subscription = await bus.bind("PROOFS", CONSUMER)
    assert await runner.run_once(subscription) == 100
    handled = flow.query(f"SELECT event_id FROM inbox WHERE consumer = '{CONSUMER}'")
    assert len(handled) == 100
    assert all(isinstance(event_id, UUID) for (event_id,) in handled)


async def test_dead_letters_are_listed_and_replayed_by_command_without_a_bus(flow):
    def said(*arguments: str, code: int = 0) -> str:
        done = command(
            *("tests.fixtures.flow_command", "dead-letters", *arguments),
            DATABASE_URL=flow.url,
            NATS_URL="nats://127.0.0.1:1",  # nobody: what is kept needs none
            ENVIRONMENT="test",
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    async def broken(session, events):
        raise PermanentError("this cannot work yet")

    bus = await flow.open_bus()
    runner = await flow.runner(handlers={ItemMade: broken})
    hopeless = made("hopeless", failing="permanent")
    await bus.publish([outbound(hopeless), *(outbound(made(name)) for name in ("one", "two"))])
    await handle_all(flow, runner)
    listing = said()
    assert "3 dead letters" in listing
    assert "permanent: PermanentError: this cannot work yet" in listing
    letters = {letter.event_id: letter for letter in await list_dead_letters(flow.databases[0])}
    first = next(str(one.id) for event, one in letters.items() if event != hopeless.id)
    assert "replayed 1" in said("--replay", first, "--by", "Lan")
    assert "replayed 0" in said("--replay", first, "--by", "Lan")
    assert "2 dead letters" in said()
    told = said("--replay-all", "--by", "Hoa", code=1)
    assert "replayed 1" in told, "one that fails again holds up no other"
    assert f"{letters[hopeless.id].id}  waits on  PermanentError: this can never work" in told
    kept = flow.query("SELECT action, actor_kind, actor, subject FROM audit_entry ORDER BY id")
    assert [entry[:3] for entry in kept] == [
        ("dead-letters-replayed", "command", f"dead-letters ({by})") for by in ("Lan", "Hoa")
    ]
    assert kept[0][3] == f"dead-letter/{first}"
    assert sorted(flow.effects()) == ["one", "two"]
    assert "1 dead letters" in said()


async def test_all_dead_letters_are_replayed_however_many(flow):
    async def broken(session, events):
        raise PermanentError("not yet")

    bus = await flow.open_bus()
    await bus.publish([outbound(made(f"item-{number}")) for number in range(120)])
    await handle_all(flow, await flow.runner(handlers={ItemMade: broken}))
    proofs = Consumer("flow", "PROOFS", CONSUMER, {ItemMade: take_effect})
    with acting(Actor.command("dead-letters", "Lan")):
        await replay(flow.databases[0], [proofs], ())
    assert len(flow.effects()) == 120


async def test_a_forged_event_of_every_kind_is_kept_with_its_reason_and_never_applied(flow):
    """Every event of the product in every disguise, on the bus itself, by somebody whose credential may publish all."""
    applied: list[str] = []

    async def apply(_session, events) -> None:
        applied.extend(event.type for event in events)

    handlers = dict.fromkeys(TYPES.values(), apply)
    client = await nats.connect(flow.nats_url)
    js = client.jetstream()
    await js.add_stream(
        name="EVERYTHING", subjects=["billing.>", "paywall.>", "ads.>", "metrics.>"]
    )
    await js.add_consumer("EVERYTHING", ConsumerConfig(durable_name="believer", max_deliver=-1))
    forgeries = [
        (wrong, *forged)
        for name in TYPES
        for wrong, forged in disguised(name).items()
        if ">" not in forged[0]  # the server takes no wildcard as a subject
    ]
    for _, subject, payload in forgeries:
        await js.publish(subject, payload)
    for name in TYPES:
        await js.publish(decode(wire(name)).bus_subject, wire(name))
    counter = metrics.SECURITY_EVENTS.labels("event_forged", "believer")
    before = counter._value.get()
    database = flow.open_database()
    bus = await flow.open_bus()
    runner = ConsumerRunner(
        database,
        bus,
        Consumer("believer", "EVERYTHING", "believer", handlers),
    )
    subscription = await bus.bind("EVERYTHING", "believer")

    async def done() -> bool:
        await runner.run_once(subscription)
        return await subscription.pending() == 0

    await eventually(done, "every message has its verdict", seconds=60)
    await subscription.close()
    await client.close()
    letters = await list_dead_letters(database, limit=1000)
    assert sorted(applied) == sorted(TYPES), "the genuine ones, each once"
    assert [letter.reason for letter in letters] == ["ForgedEventError"] * len(forgeries)
    assert {(x.subject, x.payload) for x in letters} == {(s, p) for _, s, p in forgeries}
    assert counter._value.get() - before == len(forgeries)
