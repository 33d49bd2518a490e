"""Time of one scrape for a province: ``python -m benchmarks.exporter [AGENCIES]``.

Three figures: everything to compute (cold), nothing changed, and every agency changed since the last scrape.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg

from infra.local.databases import ensure_runtime_group
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from shared.clock import MovableClock
from shared.database import Database
from shared.database.migrations import migrate
from shared.metrics.exporter.service import Exporter

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
SERIES = 8
FILL = """
INSERT INTO agency (id, name, time_zone) SELECT 'agency-' || n, 'Agency ' || n, 'Asia/Ho_Chi_Minh'
FROM generate_series(1, $AGENCIES) n;
INSERT INTO import_file SELECT gen_random_uuid(), id, 'baseline', 'b', repeat('0', 64), '', 'bench', now() FROM agency;
INSERT INTO baseline_version (agency, version, baseline_year, origin, import_id, created_by, created_at)
SELECT agency, 1, 2024, 'import', id, 'bench', now() FROM import_file;
INSERT INTO baseline_row SELECT a.id, seg, str, 'VND', 1, m, 100000000
FROM agency a, unnest(ARRAY['print', 'online', 'radio', 'tv']) seg, unnest(ARRAY['advertising', 'events']) str,
     generate_series(1, 12) m;
UPDATE baseline_version SET approver = 'bench', frozen_at = now(), sha256 = repeat('0', 64);
INSERT INTO revenue_entry (agency, segment, stream, currency, source_reference, payer, law_source, account, amount, recognised_on)
SELECT a.id, seg, str, 'VND', seg || str || d, 'business',
       CASE str WHEN 'events' THEN 'business_and_services' ELSE 'advertising' END, 'x', 4000000 + d, date '2026-11-23' - d
FROM agency a, unnest(ARRAY['print', 'online', 'radio', 'tv']) seg, unnest(ARRAY['advertising', 'events']) str,
     generate_series(0, 59) d;
ANALYZE;
"""


async def timed(exporter: Exporter) -> tuple[float, int]:
    started = time.perf_counter()
    text = await exporter.scrape()
    return (time.perf_counter() - started) * 1000, len(text)


async def measure(url: str, agencies: int) -> None:
    await migrate(url, "shared.metrics")
    connection = await asyncpg.connect(url)
    await connection.execute(FILL.replace("$AGENCIES", str(agencies)))
    database, clock = Database(url, application_name="bench"), MovableClock(NOW)
    exporter = Exporter(database, clock, Decimal("0.2"))
    cold, size = await timed(exporter)
    floor = []
    for _ in range(20):
        started = time.perf_counter()
        await connection.fetch("SELECT * FROM agency_revision")
        floor.append((time.perf_counter() - started) * 1000)
    quiet = [(await timed(exporter))[0] for _ in range(20)]
    busy = []
    for _ in range(5):
        await connection.execute("UPDATE agency_revision SET revision = revision + 1")
        busy.append((await timed(exporter))[0])
    few = []
    for number in range(10):
        await connection.execute(
            "UPDATE agency_revision SET revision = revision + 1 WHERE agency LIKE 'agency-1%0'"
        )
        clock.advance(timedelta(seconds=number))
        few.append((await timed(exporter))[0])
    print(f"{agencies} agencies, {SERIES} series each, {size // 1024} kB a scrape")
    for name, value in (
        ("floor: reading the revisions", statistics.median(floor)),
        ("nothing changed", statistics.median(quiet)),
        ("some agencies changed", statistics.median(few)),
        ("every agency changed", statistics.median(busy)),
        ("first scrape", cold),
    ):
        print(f"  {name:<32}{value:9.1f} ms")
    await connection.close()
    await database.close()


def main() -> None:
    agencies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder) / "postgres", free_port(), fsync=False, trust=True).start()
        try:
            ensure_runtime_group(server)
            server.execute("CREATE DATABASE metrics")
            asyncio.run(measure(server.url("metrics"), agencies))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
