"""Stripe webhooks: verified, stored and answered; captured renewals applied in full by the worker; renewals asked for by the clock; and
what must always be true, read after a few of them.

The events say that the card of a subscription that is due today was charged, with all the fields such an event has. Applying one
writes the payment, the paid order, the charge, its balanced entry in the books, the schedule of its revenue and the day that has begun,
the subscription, the right to read, the numbered invoice, the receipt to be sent, and the events that tell it; the relay publishes
them and the day is recognised at the same time.
Floor of the webhook: raw ASGI. Floor of applying: as many rows inserted into a plain table, as many renewals a commit.
Of the invariants: 300,000 payments, 100 new ones, and the reading of what has changed beside that of everything (its floor: what a
reading without checkpoints costs). Verified: both find nothing, and after one entitlement of the new ones was cut both find that reader.
Verified: rows of the inbox = events acknowledged; payments, entries, invoices, receipts, schedules and handled events in equal number,
every entry balanced, and all of billing's own invariants.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import psutil

from benchmarks import checked, renewals, servers
from benchmarks.harness import RUNS, Request, Result, Run, Target, compare, in_flight
from benchmarks.renewals import AGENCY
from benchmarks.stripe_events import PRICE_VND, renewal_paid
from infra.local.nats import Nats
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from infra.nats.streams import apply
from services.billing.batches.service import MOST
from services.billing.composition import Billing, build
from services.billing.invariants.catalogue import ALL
from services.billing.ledger.service import open_books
from services.billing.process import BILLING
from services.billing.settings import BillingSettings
from services.billing.webhooks import repository as inbox
from shared.agencies import save_agencies
from shared.audit import Actor, acting

PACKAGE = "services.billing"
SECRET = "whsec_of_the_benchmark"
RENEWALS, WARM_UP, ASKED = 3_000, 500, 200
#: Rows that one renewal writes or changes.
ROWS = 18
APPLIERS = 4
DEADLINE_SECONDS = 120.0
APPLIED = "captured renewal applied in full"
FLOOR = f"floor: {ROWS} rows inserted, {MOST} renewals a commit"
OURS = "books, subscription, right, invoice, receipt, outbox"
BY_THE_CLOCK = "renewal asked for by the clock"
CHECKED = f"invariants, {2 * (SUBSCRIBED := 150_000):,} payments"
NEW = 100
ZONE = "Asia/Ho_Chi_Minh"
EVERYTHING, CHANGED = "floor: everything read", f"what {NEW} new payments changed"
SETTINGS = {
    "STRIPE_SECRET_KEY": "sk_test_benchmark",
    "STRIPE_API_BASE": "http://127.0.0.1:9",  # what is told in full asks nobody
    "STRIPE_WEBHOOK_SECRET": SECRET,
    "STRIPE_WEBHOOK_TOLERANCE_SECONDS": "3600",
    "SWEEP_SECONDS": "86400",
}


def _signed(payload: bytes) -> Request:
    stamp = str(int(time.time()))
    mac = hmac.new(SECRET.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return Request(
        "/v1/webhooks/stripe",
        payload.decode(),
        headers=(
            ("Content-Type", "application/json"),
            ("Stripe-Signature", f"t={stamp},v1={mac}"),
        ),
    )


def _requests(count: int) -> Iterator[Request]:
    now = datetime.now(UTC)
    for _ in range(count):
        yield _signed(renewal_paid(uuid4().hex, uuid4(), "cus_1", "pm_1", now))


def run(folder: Path, say: Callable[[str], None], *, seconds: int) -> list[Result]:
    """The rows."""
    with ExitStack() as stack:
        postgres = Postgres(folder / "pg", free_port(), trust=True).start()
        stack.callback(postgres.stop)
        stored = _measure_stored(folder, say, seconds, postgres)
        nats = Nats(folder / "nats", free_port()).start()
        stack.callback(nats.stop)
        asyncio.run(apply(nats.url))
        applied = _measure_applied(folder, say, postgres, nats)
        database = servers.migrated(postgres, "checked", PACKAGE)
        superuser = postgres.url("checked")
        return [*stored, *applied, *asyncio.run(_measure_checked(folder, say, database, superuser))]


def _measure_stored(
    folder: Path, say: Callable[[str], None], seconds: int, postgres: Postgres
) -> list[Result]:
    database = servers.migrated(postgres, "stored", PACKAGE)
    settings = {"SIGNING_KEYS_FILE": str(folder / "keys.pem"), **SETTINGS}
    with (
        servers.floor("signed", folder) as (floor_url, floor_pid),
        servers.service(PACKAGE, folder, database, settings) as (url, pid),
    ):  # fmt: skip
        ours = Target(
            "verified, stored, answered", url, [pid], _requests,
            marker='"duplicate": ?false', once=True,
        )  # fmt: skip
        return compare(
            "Stripe webhook", Target("floor: raw ASGI", floor_url, [floor_pid], _requests), [ours],
            folder=folder, seconds=seconds, say=say,
            verify=lambda runs: _verify_stored(runs[ours.name], postgres),
        )  # fmt: skip


def _verify_stored(runs: list[Run], postgres: Postgres) -> str:
    acknowledged = sum(run.marked for run in runs)
    rows = int(postgres.execute("SELECT count(*) FROM webhook_event", "stored"))
    if not acknowledged <= rows <= acknowledged + in_flight(runs):
        raise SystemExit(f"webhook: {rows} rows for {acknowledged} events acknowledged")
    return (
        f"{rows:,} rows of the inbox for {acknowledged:,} events acknowledged "
        f"(and at most {in_flight(runs)} in flight when a run ended)"
    )


def _build(database: str, folder: Path) -> Billing:
    values = {name.lower(): value for name, value in SETTINGS.items()}
    settings = BillingSettings.model_validate(
        {
            "environment": "local",
            "database_url": database,
            "signing_keys_file": str(folder / "keys.pem"),
            **values,
        }
    )
    return build(BILLING.process("bench", settings))


async def _seed(database: str, folder: Path, numbers: range) -> UUID:
    """An agency and subscriptions that are due today, whose cards are being charged. Gives their price."""
    billing = _build(database, folder)
    plan = {"code": "doc-bao", "name_vi": "Đọc báo", "name_en": "Reading"}
    try:
        async with billing.database.transaction() as session:
            zone = {"id": AGENCY, "name": "Báo Đo Tốc", "time_zone": ZONE}
            await save_agencies(session, [zone], actor=Actor.system("bench"))
            await open_books(session, AGENCY, datetime.now(UTC))
        with acting(Actor.system("bench")):
            await billing.plans.save_plan(AGENCY, plan, {"month": PRICE_VND})
        price = (await billing.plans.offers(AGENCY))[0].price_id
        pool = await billing.database.pool()
        async with pool.acquire() as connection:
            await renewals.seed(connection, price, numbers, _due_at())
        return price
    finally:
        await billing.close()
        await billing.process.close()


def _due_at() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Cost:
    """CPU seconds so far, of the worker and of the database."""

    worker: float
    postgres: float


def _cost(worker: psutil.Process, postgres: Postgres) -> _Cost:
    def spent(top: psutil.Process) -> float:
        # With the children that have ended: a database's connections come and go.
        ended = top.cpu_times()
        own = ended.user + ended.system + ended.children_user + ended.children_system
        return own + sum(sum(one.cpu_times()[:2]) for one in top.children(recursive=True))

    server = psutil.Process(int((postgres.data / "postmaster.pid").read_text().split()[0]))
    return _Cost(spent(worker), spent(server))


def _measure_applied(
    folder: Path, say: Callable[[str], None], postgres: Postgres, nats: Nats
) -> list[Result]:
    database = servers.migrated(postgres, "applied", PACKAGE)
    last = WARM_UP + RUNS * RENEWALS
    say(f"renewals: {last} subscriptions")
    price = asyncio.run(_seed(database, folder, range(1, last + 1)))
    env = {
        **SETTINGS,
        "NATS_URL": nats.url,
        "APPLIERS": str(APPLIERS),
        "SIGNING_KEYS_FILE": str(folder / "keys.pem"),
    }
    floors, rates, cpu, of_postgres = [], [], [], []
    with servers.worker(PACKAGE, folder, database, env) as pid:
        process = psutil.Process(pid)
        asyncio.run(_drain(database, range(1, WARM_UP + 1)))
        for number in range(RUNS):
            say(f"renewals applied: {RENEWALS}, run {number + 1} of {RUNS}")
            floors.append(asyncio.run(_floor(database)))
            first = WARM_UP + number * RENEWALS + 1
            before = _cost(process, postgres)
            rates.append(asyncio.run(_drain(database, range(first, first + RENEWALS))))
            after = _cost(process, postgres)
            cpu.append((after.worker - before.worker) * 1e6 / RENEWALS)
            of_postgres.append((after.postgres - before.postgres) * 1e6 / RENEWALS)
        peak = process.memory_info().rss / 2**20
    note = asyncio.run(_verify_applied(database, folder, postgres, last))
    note += f"; PostgreSQL's own CPU {statistics.median(of_postgres):,.0f} µs a renewal"
    asked = asyncio.run(_ask(database, folder, price, range(last + 1, last + ASKED + 1)))
    floor, rate = statistics.median(floors), statistics.median(rates)
    ratio = statistics.median(ours / raw for ours, raw in zip(rates, floors, strict=True))
    return [
        Result(APPLIED, FLOOR, 1, floor, 0, 0, 0, 0, 0, FLOOR, 1.0),
        Result(
            APPLIED, OURS, APPLIERS, rate, 0, 0, statistics.median(cpu), peak, 0, FLOOR, ratio, note,
        ),
        Result(
            APPLIED, BY_THE_CLOCK, 1, *asked[:1], 0, 0, asked[1], 0, 0, FLOOR, asked[0] / floor,
            f"{ASKED} orders and charges, one after the other",
        ),
    ]  # fmt: skip


async def _drain(database: str, numbers: range) -> float:
    """Store what is told of these subscriptions, in no order, and wait until the worker has applied it all. Renewals a second."""
    connection = await asyncpg.connect(database)
    shuffled = random.Random(numbers.start).sample(numbers, len(numbers))
    events, waiting = renewals.notices(shuffled), True
    try:
        await inbox.store(connection, "webhook", datetime.now(UTC), events)
        started = time.perf_counter()
        while waiting:
            if time.perf_counter() > started + DEADLINE_SECONDS:
                raise SystemExit(f"renewals applied: not all of {len(events)} in time")
            await asyncio.sleep(0.02)
            waiting = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM webhook_event WHERE state = 'waiting')"
            )
        return len(events) / (time.perf_counter() - started)
    finally:
        await connection.close()


async def _floor(database: str) -> float:
    """Renewals a second, if they were nothing but so many rows: the least such work could cost."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS floor_fact (id uuid PRIMARY KEY, agency text, body text, amount bigint, at timestamptz)"
        )
        at, body = datetime.now(UTC), "x" * 200
        started = time.perf_counter()
        for _ in range(RENEWALS // MOST):
            async with connection.transaction():
                for _ in range(ROWS):
                    await connection.execute(
                        "INSERT INTO floor_fact SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[])",
                        [uuid4() for _ in range(MOST)],
                        [AGENCY] * MOST,
                        [body] * MOST,
                        [PRICE_VND] * MOST,
                        [at] * MOST,
                    )
        return RENEWALS // MOST * MOST / (time.perf_counter() - started)
    finally:
        await connection.close()


async def _ask(database: str, folder: Path, price: UUID, numbers: range) -> tuple[float, float]:
    """Renewals whose order and charge the clock makes: how many a second, and CPU microseconds of this process each."""
    billing = _build(database, folder)
    try:
        pool = await billing.database.pool()
        async with pool.acquire() as connection:
            await renewals.seed(connection, price, numbers, _due_at(), asked=False)
        began, cpu = time.perf_counter(), time.process_time()
        done = await billing.renewals.run_due()
        took, spent = time.perf_counter() - began, time.process_time() - cpu
        if done != len(numbers):
            raise SystemExit(f"renewals asked for: {done} of {len(numbers)}")
        return done / took, spent * 1e6 / done
    finally:
        await billing.close()
        await billing.process.close()


async def _verify_applied(database: str, folder: Path, postgres: Postgres, expected: int) -> str:
    def number(sql: str) -> int:
        return int(postgres.execute(sql, "applied"))

    counts = {
        "payments": number("SELECT count(*) FROM payment WHERE provider = 'stripe'"),
        "entries": number("SELECT count(*) FROM journal_entry WHERE kind = 'payment'"),
        "invoices": number("SELECT count(*) FROM invoice"),
        "receipts": number("SELECT count(*) FROM letter WHERE kind = 'receipt'"),
        "schedules": number("SELECT count(*) FROM recognition_schedule"),
        "handled events": number("SELECT count(*) FROM webhook_event WHERE state = 'handled'"),
    }
    unbalanced = number(
        """SELECT count(*) FROM (SELECT entry_id FROM journal_line GROUP BY 1
           HAVING sum(amount_vnd) <> 0) AS wrong"""
    )
    billing = _build(database, folder)
    try:
        await billing.recognition.run_due()
        await billing.invariants.read(whole=True)
        broken = [one.name for one in await billing.invariants.findings(AGENCY) if one.violations]
    finally:
        await billing.close()
        await billing.process.close()
    if set(counts.values()) != {expected} or unbalanced or broken:
        raise SystemExit(f"renewals applied: {counts}, {unbalanced} unbalanced, {broken}")
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    return f"{told}; every entry balanced; all invariants hold"


async def _measure_checked(
    folder: Path, say: Callable[[str], None], database: str, superusers: str
) -> list[Result]:
    """Everything is read, a hundred renewals are applied, and what they changed is read: each so many times."""
    say(f"invariants: {2 * SUBSCRIBED:,} payments")
    price = await _seed(database, folder, range(1, 1))
    billing, due_at = _build(database, folder), _due_at()
    superuser = await asyncpg.connect(superusers)
    try:
        await checked.seed(superuser, price, range(1, SUBSCRIBED + 1), due_at, ZONE)
        await billing.recognition.run_due()
        whole, changes, rows = list[float](), list[float](), list[int]()
        for number in range(RUNS):
            say(f"invariants read: run {number + 1} of {RUNS}")
            whole.append(await _read(billing, whole=True))
            first = SUBSCRIBED + 1 + number * NEW
            numbers = range(first, first + NEW)
            await renewals.seed(superuser, price, numbers, due_at)
            await inbox.store(superuser, "webhook", datetime.now(UTC), renewals.notices(numbers))
            await billing.applier.apply_due()
            changes.append(await _read(billing, whole=False))
            rows.append(sum(one.violations for one in await billing.invariants.findings(AGENCY)))
        if any(rows):
            raise SystemExit(f"invariants: {await billing.invariants.findings(AGENCY)}")
        await _notices(billing, superuser, renewals.reader_of(first))
    finally:
        await superuser.close()
        await billing.close()
        await billing.process.close()
    floor, took = statistics.median(whole), statistics.median(changes)
    note = f"{len(ALL)} invariants; nothing found before a right was cut short, its reader by both readings after"
    return [
        Result(CHECKED, EVERYTHING, 1, 1 / floor, floor * 1e3, max(whole) * 1e3, 0, 0, 0, EVERYTHING, 1.0),
        Result(CHECKED, CHANGED, 1, 1 / took, took * 1e3, max(changes) * 1e3, 0, 0, 0, EVERYTHING, floor / took, note),
    ]  # fmt: skip


async def _read(billing: Billing, *, whole: bool) -> float:
    """Seconds."""
    began = time.perf_counter()
    await billing.invariants.read(whole=whole)
    return time.perf_counter() - began


async def _notices(billing: Billing, superuser: asyncpg.Connection, reader: UUID) -> None:
    """A right is cut short: both readings say whose."""
    await superuser.execute(
        "UPDATE entitlement SET valid_until = valid_from, version = version + 1 WHERE reader_id = $1",
        reader,
    )
    for whole in (False, True):
        await billing.invariants.read(whole=whole)
        found = {one.name: one.readers for one in await billing.invariants.findings(AGENCY)}
        if found["paid_invoices_have_entitlements"] != (str(reader),):
            raise SystemExit(f"invariants: a right that was cut short is not found ({whole=})")
