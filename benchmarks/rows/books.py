"""The books: a day of a million open schedules recognised, and the trial balance of a journal of ten million lines.

Floor of recognition: the schedules' table summed once. Floor of the trial balance: one row by its key, over the same
connection. Verified: what the day's entry books is what a list of the schedules' parts sums to; debits equal credits
and are those of the journal.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from benchmarks import servers
from benchmarks.harness import RUNS, Result
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from services.billing.ledger import repository
from services.billing.ledger.service import open_books
from services.billing.recognition.service import Recognition
from shared.agencies import save_agencies
from shared.audit import Actor
from shared.clock import MovableClock
from shared.database import Database, ReadSession

PACKAGE = "services.billing"
AGENCY = "bao-do-toc"
BEGIN = datetime(2026, 11, 1, 3, tzinfo=UTC)
SCHEDULES = 1_000_000
ENTRIES = 5_000_000
QUERIES = 30
RECOGNITION = "recognition of a day, 1,000,000 open schedules"
BALANCE = "trial balance, journal of 10,000,000 lines"
SUMMED, BY_KEY = "floor: the schedules summed once", "floor: one row by its key"

# Straight into the tables: what is measured are the readers of these rows, not their making.
_SCHEDULES = f"""INSERT INTO recognition_schedule (id, agency, payment_id, stream, currency, starts_on, ends_on, total_vnd, counted_from)
    SELECT gen_random_uuid(), '{AGENCY}', gen_random_uuid(), 'subscription', 'VND', start, start + days, 19000 + n % 571000, start
    FROM (SELECT n, DATE '2026-10-31' - n % 200 AS start, (ARRAY[240, 300, 365])[1 + n % 3] AS days
          FROM generate_series(1, {SCHEDULES}) AS n) AS made"""
#: Three years of entries of two lines (the lines alone: no balance looks at an entry), in parts.
_LINES = f"""INSERT INTO journal_line (entry_id, line_no, agency, account, booked_on, amount_vnd)
    SELECT lpad(to_hex(n), 32, '0')::uuid, line, '{AGENCY}',
           (ARRAY['stripe_receivable', 'bank', 'deferred_subscription', 'payment_fees',
                  'deferred_subscription', 'stripe_receivable', 'revenue_subscription', 'bank'])[1 + n % 4 + (line - 1) * 4],
           DATE '2023-11-01' + n % 1095, (3 - 2 * line) * (19000 + n % 571000)
    FROM generate_series({{first}}, {{last}}) AS n, generate_series(1, 2) AS line"""
#: What posting them would have left.
_BALANCES = """INSERT INTO account_day
    SELECT agency, account, 'VND', booked_on, coalesce(sum(amount_vnd) FILTER (WHERE amount_vnd > 0), 0),
           coalesce(-sum(amount_vnd) FILTER (WHERE amount_vnd < 0), 0)
    FROM journal_line GROUP BY 1, 2, 4"""
PARTS = 10
#: Filling is quicker without them.
_WITHOUT_INDEXES = (
    "ALTER TABLE journal_line DROP CONSTRAINT pk_journal_line",
    "DROP INDEX ix_journal_line_agency_account",
)
_WITH_INDEXES = (
    "ALTER TABLE journal_line ADD CONSTRAINT pk_journal_line PRIMARY KEY (entry_id, line_no)",
    "CREATE INDEX ix_journal_line_agency_account ON journal_line (agency, account, booked_on, entry_id) INCLUDE (amount_vnd)",
)


def run(folder: Path, say: Callable[[str], None], *, seconds: int) -> list[Result]:
    """The two rows. ``seconds`` does not apply: they are a fixed number of days and questions."""
    del seconds
    with ExitStack() as stack:
        postgres = Postgres(folder / "pg", free_port(), trust=True).start()
        stack.callback(postgres.stop)
        return [*_recognition(postgres, say), *_balance(postgres, say)]


def _fill(postgres: Postgres, database: str, *statements: str) -> None:
    for statement in statements:
        postgres.execute(f"SET session_replication_role = replica; {statement}", database)
    postgres.execute("VACUUM ANALYZE", database)


async def _prepare(url: str) -> None:
    database = Database(url, application_name="bench")
    try:
        async with database.transaction() as session:
            zone = {"id": AGENCY, "name": "Báo Đo Tốc", "time_zone": "Asia/Ho_Chi_Minh"}
            await save_agencies(session, [zone], actor=Actor.system("bench"))
            await open_books(session, AGENCY, BEGIN)
    finally:
        await database.close()


def _recognition(postgres: Postgres, say: Callable[[str], None]) -> list[Result]:
    url = servers.migrated(postgres, "recognition", PACKAGE)
    asyncio.run(_prepare(url))
    say(f"books: {SCHEDULES:,} schedules")
    _fill(postgres, "recognition", _SCHEDULES)
    floors: list[float] = []
    ours: list[tuple[float, float]] = []
    for number in range(RUNS):
        say(f"books: day {number + 1} of {RUNS}")
        started = time.perf_counter()
        postgres.execute("SELECT sum(total_vnd) FROM recognition_schedule", "recognition")
        floors.append(time.perf_counter() - started)
        # A process of its own, so that its memory is its own.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            ours.append(process.submit(recognise, url, number).result())
    booked = int(postgres.execute("SELECT sum(amount_vnd) FROM recognition_day", "recognition"))
    listed = int(postgres.execute(_LISTED.format(last=RUNS), "recognition"))
    if booked != listed:
        raise SystemExit(f"recognition: {booked} đồng booked, {listed} in the list")
    took, floor = statistics.median(row[0] for row in ours), statistics.median(floors)
    note = f"{booked:,} đồng booked of {RUNS} days, {listed:,} in a list of all parts"
    peak = max(row[1] for row in ours)
    return [
        Result(RECOGNITION, SUMMED, 1, 1 / floor, floor * 1e3, floor * 1e3, 0, 0, 0, SUMMED, 1.0),
        Result(RECOGNITION, "one day, booked", 1, SCHEDULES / took, took * 1e3, max(row[0] for row in ours) * 1e3, 0, peak, 0, SUMMED, floor / took, note),
    ]  # fmt: skip


#: The parts as a list, day by day, and not by the statement that is measured.
_LISTED = f"""SELECT sum(trunc(total::numeric * (k + 1) / days) - trunc(total::numeric * k / days)) FROM
    (SELECT s.total_vnd AS total, s.ends_on - s.starts_on AS days, DATE '2026-11-01' + d - s.starts_on AS k
     FROM recognition_schedule s, generate_series(0, {{last}} - 1) AS d
     WHERE agency = '{AGENCY}') AS parts WHERE k >= 0 AND k < days"""


def recognise(url: str, days: int) -> tuple[float, float]:
    """Recognise the ``days``-th day after the first; seconds, and MiB of this process at most."""

    async def one_day() -> float:
        database = Database(url, application_name="bench")
        try:
            clock = MovableClock(BEGIN + timedelta(days=days))
            started = time.perf_counter()
            entries = await Recognition(database, clock).run_due()
            took = time.perf_counter() - started
        finally:
            await database.close()
        if entries != 1:
            raise SystemExit(f"recognition: {entries} entries instead of one a day")
        return took

    return asyncio.run(one_day()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _balance(postgres: Postgres, say: Callable[[str], None]) -> list[Result]:
    url = servers.migrated(postgres, "balances", PACKAGE)
    asyncio.run(_prepare(url))
    say(f"books: {2 * ENTRIES:,} lines")
    size = ENTRIES // PARTS
    parts = [_LINES.format(first=n * size + 1, last=(n + 1) * size) for n in range(PARTS)]
    _fill(postgres, "balances", *_WITHOUT_INDEXES, *parts, *_WITH_INDEXES, _BALANCES)
    times = asyncio.run(_ask(url, say))
    sides = postgres.execute(
        "SELECT sum(amount_vnd) FILTER (WHERE amount_vnd > 0), -sum(amount_vnd) FILTER (WHERE amount_vnd < 0) FROM journal_line",
        "balances",
    ).split("|")
    debits, credits = (int(side) for side in sides)
    found = asyncio.run(_sides(url))
    if found != (debits, credits) or debits != credits:
        raise SystemExit(f"trial balance: {found} instead of {debits} and {credits}")
    note = f"{found[0]:,} đồng on either side, as in {2 * ENTRIES:,} lines of the journal"
    floor = statistics.median(times[BY_KEY])
    return [
        _result(name, taken, floor, "" if name == BY_KEY else note) for name, taken in times.items()
    ]


async def _sides(url: str) -> tuple[int, int]:
    database = Database(url, application_name="bench")
    try:
        async with database.read() as session:
            rows = await repository.trial_balance(
                session, AGENCY, date(2000, 1, 1), date(2199, 12, 31)
            )
    finally:
        await database.close()
    return sum(row.debit_vnd for row in rows), sum(row.credit_vnd for row in rows)


async def _ask(url: str, say: Callable[[str], None]) -> dict[str, list[float]]:
    async def by_key(session: ReadSession) -> object:
        return await session.scalar(
            text("SELECT name FROM agency WHERE id = :agency"), {"agency": AGENCY}
        )

    def balance(first: date, last: date) -> Callable[[ReadSession], Awaitable[object]]:
        return lambda session: repository.trial_balance(session, AGENCY, first, last)

    asked: dict[str, Callable[[ReadSession], Awaitable[object]]] = {
        BY_KEY: by_key,
        "a month": balance(date(2026, 10, 1), date(2026, 10, 31)),
        "from the beginning": balance(date(2000, 1, 1), date(2199, 12, 31)),
    }
    times: dict[str, list[float]] = {name: [] for name in asked}
    database = Database(url, application_name="bench")
    try:
        for number in range(RUNS * QUERIES):
            if number % QUERIES == 0:
                say(f"books: balances, run {number // QUERIES + 1} of {RUNS}")
            for name, ask in asked.items():
                started = time.perf_counter()
                async with database.read() as session:
                    await ask(session)
                times[name].append((time.perf_counter() - started) * 1000)
    finally:
        await database.close()
    return times


def _result(name: str, found: list[float], floor: float, note: str) -> Result:
    ordered = sorted(found)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    return Result(BALANCE, name, 1, 1000 / p50, p50, p99, 0, 0, 0, BY_KEY, floor / p50, note)
