"""Stripe webhooks: verified, stored and answered; and stored ones applied in full by the worker.

The events are paid invoices of renewals, with all the fields such an event has. Applying one writes the payment, its balanced
entry in the books, the schedule of its revenue, the subscription, the right to read, and the events that tell it, in one
transaction; the relay publishes them at the same time.
Floor of the webhook: raw ASGI. Floor of applying: transactions of one insert and one update on as many connections.
Verified: rows of the inbox = events acknowledged; payments, entries, invoices and handled events in equal number, every entry
balanced, and all of billing's own invariants.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import psutil

from benchmarks import servers
from benchmarks.harness import RUNS, Request, Result, Run, Target, compare, in_flight
from benchmarks.stripe_events import PRICE_VND, invoice_paid
from infra.local.nats import Nats
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from infra.nats.streams import apply
from services.billing.composition import Billing, build
from services.billing.ledger.service import open_books
from services.billing.payments.adapters.port import Origin, SubscriptionFacts
from services.billing.payments.adapters.stripe import StripeProvider
from services.billing.process import BILLING
from services.billing.settings import BillingSettings
from services.billing.webhooks import repository as inbox
from shared.agencies import save_agencies
from shared.audit import Actor, acting

PACKAGE = "services.billing"
AGENCY = "bao-do-toc"
SECRET = "whsec_of_the_benchmark"
SUBSCRIPTIONS = 500
MONTH = timedelta(days=30)
APPLIERS = 4
DEADLINE_SECONDS = 120.0
APPLIED = "Stripe webhook applied in full"
FLOOR = f"floor: raw insert and update, {APPLIERS} connections"
SETTINGS = {
    "STRIPE_SECRET_KEY": "sk_test_benchmark",
    "STRIPE_API_BASE": "http://127.0.0.1:9",  # a renewal of what is active asks nobody
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
        yield _signed(invoice_paid(uuid4().hex, uuid4().hex, now, now + MONTH))


def run(folder: Path, say: Callable[[str], None], *, seconds: int) -> list[Result]:
    """The two rows."""
    with ExitStack() as stack:
        postgres = Postgres(folder / "pg", free_port(), trust=True).start()
        stack.callback(postgres.stop)
        stored = _measure_stored(folder, say, seconds, postgres)
        nats = Nats(folder / "nats", free_port()).start()
        stack.callback(nats.stop)
        asyncio.run(apply(nats.url))
        return [*stored, *_measure_applied(folder, say, postgres, nats)]


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


class _Subscriptions(StripeProvider):
    """Says of every subscription of the seed what Stripe would say; nothing else is asked."""

    def __init__(self, origins: dict[str, Origin], begin: datetime) -> None:
        super().__init__("sk_test_benchmark", api_base=SETTINGS["STRIPE_API_BASE"])
        self._origins, self._begin = origins, begin

    async def fetch_subscription(self, subscription_id: str) -> SubscriptionFacts:
        return SubscriptionFacts(
            subscription_id, "active", "cus_" + subscription_id, self._origins[subscription_id],
            False, None, self._begin, self._begin + MONTH, self._begin,
        )  # fmt: skip


def _build(database: str, folder: Path, provider: StripeProvider | None = None) -> Billing:
    values = {name.lower(): value for name, value in SETTINGS.items()}
    settings = BillingSettings.model_validate(
        {
            "environment": "local",
            "database_url": database,
            "signing_keys_file": str(folder / "keys.pem"),
            **values,
        }
    )
    return build(BILLING.process("bench", settings), provider=provider)


async def _seed(database: str, folder: Path, begin: datetime) -> list[str]:
    """Readers with an active subscription each, paid for a month. Gives the subscriptions' ids."""
    origins: dict[str, Origin] = {}
    billing = _build(database, folder, _Subscriptions(origins, begin))
    plan = {"code": "doc-bao", "name_vi": "Đọc báo", "name_en": "Reading"}
    try:
        async with billing.database.transaction() as session:
            zone = {"id": AGENCY, "name": "Báo Đo Tốc", "time_zone": "Asia/Ho_Chi_Minh"}
            await save_agencies(session, [zone], actor=Actor.system("bench"))
            await open_books(session, AGENCY, datetime.now(UTC))
        with acting(Actor.system("bench")):
            await billing.plans.save_plan(AGENCY, plan, {"month": PRICE_VND})
        price = (await billing.plans.offers(AGENCY))[0].price_id
        readers: list[UUID] = [uuid4() for _ in range(SUBSCRIPTIONS)]
        pool = await billing.database.pool()
        await pool.execute(
            """INSERT INTO reader (id, agency, email, name, created_at)
               SELECT id, $2, id || '@example.vn', 'Bạn đọc', now() FROM unnest($1::uuid[]) AS id""",
            readers,
            AGENCY,
        )
        for reader in readers:
            origins[f"sub_{reader.hex}"] = Origin(AGENCY, reader, price)
        for id_ in origins:
            payload = invoice_paid(uuid4().hex, id_.removeprefix("sub_"), begin, begin + MONTH)
            async with billing.database.transaction() as session:
                await billing.payments.apply(session, billing.provider.interpret(payload))
        return list(origins)
    finally:
        await billing.close()
        await billing.process.close()


def _measure_applied(
    folder: Path, say: Callable[[str], None], postgres: Postgres, nats: Nats
) -> list[Result]:
    database = servers.migrated(postgres, "applied", PACKAGE)
    say(f"webhook applied: {SUBSCRIPTIONS} subscriptions")
    begin = datetime.now(UTC).replace(microsecond=0)
    subscriptions = asyncio.run(_seed(database, folder, begin))
    env = {
        **SETTINGS,
        "NATS_URL": nats.url,
        "APPLIERS": str(APPLIERS),
        "SIGNING_KEYS_FILE": str(folder / "keys.pem"),
    }
    floors, rates, cpu = [], [], []
    with servers.worker(PACKAGE, folder, database, env) as pid:
        process = psutil.Process(pid)
        for number in range(1, RUNS + 1):
            say(f"webhook applied: {SUBSCRIPTIONS} renewals, run {number} of {RUNS}")
            floors.append(asyncio.run(_floor(database)))
            period = begin + MONTH * number
            events = [
                _incoming(id_.removeprefix("sub_"), period, period + MONTH) for id_ in subscriptions
            ]
            before = sum(process.cpu_times()[:2])
            rates.append(asyncio.run(_drain(database, events, number * SUBSCRIPTIONS)))
            cpu.append((sum(process.cpu_times()[:2]) - before) * 1e6 / len(events))
        peak = process.memory_info().rss / 2**20
    note = asyncio.run(_verify_applied(database, folder, postgres))
    floor, rate = statistics.median(floors), statistics.median(rates)
    ratio = statistics.median(ours / raw for ours, raw in zip(rates, floors, strict=True))
    return [
        Result(APPLIED, FLOOR, APPLIERS, floor, 0, 0, 0, 0, 0, FLOOR, 1.0),
        Result(
            APPLIED, "renewal paid: books, subscription, right, outbox", APPLIERS, rate,
            0, 0, statistics.median(cpu), peak, 0, FLOOR, ratio, note,
        ),
    ]  # fmt: skip


def _incoming(subscription: str, start: datetime, end: datetime) -> inbox.Incoming:
    id_ = uuid4().hex
    payload = invoice_paid(id_, subscription, start, end)
    return inbox.Incoming("stripe", f"evt_{id_}", "invoice.paid", datetime.now(UTC), payload, None)


async def _drain(database: str, events: list[inbox.Incoming], handled: int) -> float:
    """Store them and wait until the worker has applied them all. Events a second."""
    connection = await asyncpg.connect(database)
    try:
        started = time.perf_counter()
        await inbox.store(connection, "webhook", datetime.now(UTC), events)
        done = 0
        while done < handled:
            if time.perf_counter() > started + DEADLINE_SECONDS:
                raise SystemExit(f"webhook applied: {done} of {handled} in time")
            await asyncio.sleep(0.02)
            done = await connection.fetchval(
                "SELECT count(*) FROM webhook_event WHERE state = 'handled'"
            )
        return len(events) / (time.perf_counter() - started)
    finally:
        await connection.close()


async def _floor(database: str) -> float:
    """Transactions of one insert and one update a second: the least such work could cost."""
    pool = await asyncpg.create_pool(database, min_size=APPLIERS, max_size=APPLIERS)
    try:
        await pool.execute(
            "CREATE TABLE IF NOT EXISTS floor_fact (id uuid PRIMARY KEY, done boolean)"
        )

        async def client() -> None:
            async with pool.acquire() as connection:
                for _ in range(SUBSCRIPTIONS // APPLIERS):
                    id_ = uuid4()
                    async with connection.transaction():
                        await connection.execute("INSERT INTO floor_fact VALUES ($1, false)", id_)
                        await connection.execute(
                            "UPDATE floor_fact SET done = true WHERE id = $1", id_
                        )

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(APPLIERS)))
        return SUBSCRIPTIONS / (time.perf_counter() - started)
    finally:
        await pool.close()


async def _verify_applied(database: str, folder: Path, postgres: Postgres) -> str:
    def number(sql: str) -> int:
        return int(postgres.execute(sql, "applied"))

    expected = SUBSCRIPTIONS * (RUNS + 1)  # the seed's first payments too
    counts = {
        "payments": number("SELECT count(*) FROM payment"),
        "entries": number("SELECT count(*) FROM journal_entry WHERE kind = 'payment'"),
        "invoices": number("SELECT count(*) FROM invoice"),
        "handled events and the seed's": number(
            "SELECT count(*) FROM webhook_event WHERE state = 'handled'"
        )
        + SUBSCRIPTIONS,
    }
    unbalanced = number(
        """SELECT count(*) FROM (SELECT entry_id FROM journal_line GROUP BY 1
           HAVING sum(amount_vnd) <> 0) AS wrong"""
    )
    billing = _build(database, folder)
    try:
        broken = [one.name for one in await billing.invariants.check() if one.violations]
    finally:
        await billing.close()
        await billing.process.close()
    if set(counts.values()) != {expected} or unbalanced or broken:
        raise SystemExit(f"webhook applied: {counts}, {unbalanced} unbalanced, {broken}")
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    return f"{told}; every entry balanced; all invariants hold"
