"""Event from outbox commit to effect committed in another service's database.

Sustained: events are committed to the outbox in transactions of 100; the clock runs from the first commit to the last
effect. The floor is the bus alone: the same bytes published and acknowledged, fetched and acknowledged, no database.
Idle: one event at a time, from the instant before its commit to the instant its effect is written.
Verified: exactly as many effects as events.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil

from benchmarks.harness import RUNS, Result
from infra.local.nats import Nats
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from infra.nats.streams import apply
from shared import bus as bus_module
from shared import inbox, outbox
from shared.bus import OutboundMessage, Subscription
from shared.contracts import Event, encode, new_event
from shared.contracts.billing import EntitlementGranted

EVENTS = 20_000
IDLE_EVENTS = 200
DEADLINE_SECONDS = 120.0
EFFECT_TABLE = """CREATE TABLE effect (event_id uuid PRIMARY KEY, recorded_at timestamptz NOT NULL,
                                       committed_at timestamptz NOT NULL)"""


@dataclass(frozen=True)
class Child:
    """One half of the pipeline, and what it printed."""

    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-1500:]


def _event() -> Event[EntitlementGranted]:
    now = datetime.now(UTC)
    data = EntitlementGranted(
        entitlement_id=uuid4(), reader_id=uuid4(), plan_code="month", scope="site",
        valid_from=now, valid_until=now + timedelta(days=30),
    )  # fmt: skip
    return new_event(data, agency="bench", subject=str(data.entitlement_id), now=now)


async def _floor(nats_url: str, count: int) -> float:
    """Events a second through the bus alone."""
    bus = await bus_module.connect(nats_url, "bench-floor")
    try:
        messages = [
            OutboundMessage(event.bus_subject, encode(event), str(event.id))
            for event in (_event() for _ in range(count))
        ]
        subscription = await bus.bind("BILLING", "paywall-entitlements")
        started = time.perf_counter()
        publishing = asyncio.create_task(bus.publish(messages))
        received = 0
        while received < count:
            for message in await subscription.fetch(250, 1.0):
                await message.ack()
                received += 1
        await publishing
        elapsed = time.perf_counter() - started
        await _drained(subscription)
        await subscription.close()
        return count / elapsed
    finally:
        await bus.close()


async def _drained(subscription: Subscription) -> None:
    """Wait until the server has taken note of every acknowledgement."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        left = await subscription.pending()
        while left:
            await asyncio.sleep(0.01)
            left = await subscription.pending()


async def _fill(url: str, count: int) -> float:
    """Commit events in transactions of 100; returns when (perf_counter) the first one began."""
    connection = await asyncpg.connect(url)
    try:
        started = time.perf_counter()
        for _ in range(count // 100):
            async with connection.transaction():
                await outbox.record_raw(connection, [_event() for _ in range(100)])
        return started
    finally:
        await connection.close()


async def _wait_for_effects(url: str, count: int, children: Mapping[str, Child]) -> None:
    """Raises SystemExit when they do not come, at once when a process has ended."""
    connection = await asyncpg.connect(url)
    try:
        deadline = time.perf_counter() + DEADLINE_SECONDS
        while (await connection.fetchval("SELECT count(*) FROM effect")) < count:
            if time.perf_counter() > deadline:
                raise SystemExit("the pipeline row: effects did not arrive in time")
            for half, child in children.items():
                if child.process.poll() is not None:
                    raise SystemExit(f"the pipeline row: the {half} ended:\n{child.tail()}")
            await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def _idle(source: str, sink: str, already: int, children: Mapping[str, Child]) -> list[float]:
    """Milliseconds from commit to effect, one event at a time."""
    connection = await asyncpg.connect(source)
    try:
        for number in range(IDLE_EVENTS):
            async with connection.transaction():
                await outbox.record_raw(connection, [_event()])
            await _wait_for_effects(sink, already + number + 1, children)
    finally:
        await connection.close()
    reader = await asyncpg.connect(sink)
    try:
        rows = await reader.fetch(
            """SELECT extract(epoch FROM committed_at - recorded_at) * 1000 AS ms FROM effect
               ORDER BY committed_at DESC LIMIT $1""",
            IDLE_EVENTS,
        )
        return sorted(float(row["ms"]) for row in rows)
    finally:
        await reader.close()


async def _prepare(postgres: Postgres) -> tuple[str, str]:
    for name in ("source", "sink"):
        postgres.execute(f"CREATE DATABASE {name}")
    source, sink = postgres.url("source"), postgres.url("sink")
    for url, schema in ((source, outbox.SCHEMA_V1), (sink, inbox.SCHEMA_V1 + ";" + EFFECT_TABLE)):
        connection = await asyncpg.connect(url)
        await connection.execute(schema)
        await connection.close()
    return source, sink


def run(folder: Path, say: Callable[[str], None], *, seconds: int) -> list[Result]:
    """The row. ``seconds`` does not apply: it is a fixed number of events."""
    del seconds
    with ExitStack() as stack:
        postgres = Postgres(folder / "pg-pipeline", free_port()).start()
        stack.callback(postgres.stop)
        nats = Nats(folder / "nats-pipeline", free_port()).start()
        stack.callback(nats.stop)
        asyncio.run(apply(nats.url))
        source, sink = asyncio.run(_prepare(postgres))
        floors = [asyncio.run(_floor(nats.url, EVENTS)) for _ in range(RUNS)]
        children = {
            half: _child(half, url, nats.url, folder)
            for half, url in (("relay", source), ("consumer", sink))
        }
        for child in children.values():
            stack.callback(_end, child)
        processes = [psutil.Process(child.process.pid) for child in children.values()]
        rates, cpu = [], []
        for number in range(RUNS):
            say(f"pipeline: {EVENTS} events, run {number + 1} of {RUNS}")
            before = sum(sum(p.cpu_times()[:2]) for p in processes)
            started = asyncio.run(_fill(source, EVENTS))
            asyncio.run(_wait_for_effects(sink, EVENTS * (number + 1), children))
            rates.append(EVENTS / (time.perf_counter() - started))
            cpu.append((sum(sum(p.cpu_times()[:2]) for p in processes) - before) * 1e6 / EVENTS)
        say(f"pipeline: {IDLE_EVENTS} events one at a time")
        idle = asyncio.run(_idle(source, sink, EVENTS * RUNS, children))
        peak = sum(p.memory_info().rss for p in processes) / 2**20
        effects = int(postgres.execute("SELECT count(*) FROM effect", "sink").strip())
    expected = EVENTS * RUNS + IDLE_EVENTS
    if effects != expected:
        raise SystemExit(f"the pipeline row: {effects} effects for {expected} events")
    floor, ours = statistics.median(floors), statistics.median(rates)
    name = "event: outbox commit → effect committed elsewhere"
    return [
        Result(name, "floor: bus alone", 1, floor, 0, 0, 0, 0, 0, "floor: bus alone", 1.0),
        Result(
            name, "sustained; p50/p99 when idle", 1, ours,
            idle[len(idle) // 2], idle[int(len(idle) * 0.99)],
            statistics.median(cpu), peak, 0, "floor: bus alone", ours / floor,
            f"{effects} effects for {expected} events",
        ),
    ]  # fmt: skip


def _child(half: str, database_url: str, nats_url: str, folder: Path) -> Child:
    log = folder / f"pipeline-{half}.log"
    with log.open("ab") as out:
        return Child(
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.pipeline_worker", half],
                env={**os.environ, "DATABASE_URL": database_url, "NATS_URL": nats_url},
                stdout=out,
                stderr=subprocess.STDOUT,
            ),
            log,
        )


def _end(child: Child) -> None:
    child.process.send_signal(signal.SIGTERM)
    try:
        child.process.wait(20)
    except subprocess.TimeoutExpired:
        child.process.kill()
