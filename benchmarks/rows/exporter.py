"""A scrape of the money exporter with 1,000 agencies, over HTTP.

Each agency has 6 series with 11 months of revenue, a frozen baseline, and monthly recurring revenue. Three cases: nothing has
changed since the last scrape, 20 agencies have, and everything has (the first scrape of a process). Floor: the same bytes from
raw ASGI. Verified: the exported revenue sums to the database's, to the đồng.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil

from benchmarks import servers
from benchmarks.harness import RUNS, Result
from infra.local.ports import free_port
from infra.local.postgres import Postgres

PACKAGE = "shared.metrics"
AGENCIES = 1_000
CHANGED = 20
SCRAPES = 30
ROW = f"exporter scrape, {AGENCIES:,} agencies"
FLOOR = "floor: the same bytes, raw ASGI"

_SERIES = """(VALUES ('print', 'circulation'), ('print', 'advertising'), ('online', 'subscription'),
    ('online', 'advertising'), ('radio', 'advertising'), ('tv', 'syndication')) AS s (segment, stream)"""
SEED = f"""
INSERT INTO agency (id, name, time_zone)
    SELECT 'bao-' || n, 'Báo ' || n, 'Asia/Ho_Chi_Minh' FROM generate_series(1, {AGENCIES}) AS n;
INSERT INTO revenue_entry (agency, segment, stream, currency, source_reference, payer, law_source,
                           account, amount, recognised_on)
    SELECT a.id, s.segment, s.stream, 'VND', s.segment || s.stream || m, 'reader',
           CASE s.stream WHEN 'advertising' THEN 'advertising' ELSE 'sales_and_access_rights' END,
           'doanh-thu', 1000000 + (hashtext(a.id || s.segment || m) % 500000),
           least((date_trunc('year', now()) + make_interval(months => m, days => 9))::date,
                 (now() AT TIME ZONE a.time_zone)::date)
    FROM agency a, {_SERIES}, generate_series(0, 10) AS m;
INSERT INTO mrr_movement (agency, segment, stream, currency, source_reference, movement, amount, occurred_on)
    SELECT id, 'online', 'subscription', 'VND', kind || n, kind, n * 10000,
           (now() AT TIME ZONE time_zone)::date - n
    FROM agency, unnest(ARRAY['new', 'expansion']) AS kind, generate_series(1, 10) AS n;
INSERT INTO baseline_version (agency, version, baseline_year, origin, created_by, created_at)
    SELECT id, 1, extract(year FROM now())::int - 1, 'lineage', 'bench', now() FROM agency;
INSERT INTO baseline_row (agency, segment, stream, currency, version, month, amount)
    SELECT a.id, s.segment, s.stream, 'VND', 1, m, 900000 FROM agency a, {_SERIES}, generate_series(1, 12) AS m;
UPDATE baseline_version SET frozen_at = now(), approver = 'bench', sha256 = repeat('0', 64);
ANALYZE;
"""
_CHANGE = """
INSERT INTO revenue_entry (agency, segment, stream, currency, source_reference, payer, law_source,
                           account, amount, recognised_on)
    SELECT 'bao-' || n, 'online', 'advertising', 'VND', 'change-{number}', 'business', 'advertising',
           'doanh-thu', 1, (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
    FROM generate_series(1, {agencies}) AS n
"""
_TOTAL = """SELECT sum(amount) FROM revenue_entry
    WHERE recognised_on BETWEEN date_trunc('year', (now() AT TIME ZONE 'Asia/Ho_Chi_Minh'))::date
        AND (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date"""


def exported_revenue(page: str) -> tuple[int, int]:
    """Agencies, and the sum of ``press_revenue_ytd_vnd``, in a page of the exposition format."""
    agencies, total = set(), 0
    for line in page.splitlines():
        if line.startswith("press_revenue_ytd_vnd{"):
            labels, _, value = line.rpartition(" ")
            agencies.add(labels.split('agency="')[1].split('"')[0])
            total += int(value)
    return len(agencies), total


def _timed(client: httpx.Client, url: str) -> tuple[float, str]:
    started = time.perf_counter()
    answer = client.get(url)
    answer.raise_for_status()
    return (time.perf_counter() - started) * 1000, answer.text


def run(folder: Path, say: Callable[[str], None], *, seconds: int) -> list[Result]:
    """The row. ``seconds`` does not apply: it is a fixed number of scrapes."""
    del seconds
    with ExitStack() as stack:
        postgres = Postgres(folder / "pg", free_port(), trust=True).start()
        stack.callback(postgres.stop)
        database = servers.migrated(postgres, "metrics", PACKAGE)
        say(f"exporter: {AGENCIES} agencies")
        postgres.execute(SEED, "metrics")
        url, pid = stack.enter_context(servers.service(PACKAGE, folder, database))
        client = stack.enter_context(httpx.Client(timeout=60))
        first, page = _timed(client, f"{url}/metrics")
        page_file = folder / "page"
        page_file.write_text(page, encoding="utf-8")
        floor_url, _ = stack.enter_context(servers.floor("file", folder, file=page_file))
        times: dict[str, list[float]] = {
            FLOOR: [],
            "nothing changed": [],
            "20 agencies changed": [],
        }
        for number in range(RUNS * SCRAPES):
            if number % SCRAPES == 0:
                say(f"exporter: run {number // SCRAPES + 1} of {RUNS}")
            times[FLOOR].append(_timed(client, floor_url)[0])
            times["nothing changed"].append(_timed(client, f"{url}/metrics")[0])
            postgres.execute(_CHANGE.format(number=number, agencies=CHANGED), "metrics")
            took, page = _timed(client, f"{url}/metrics")
            times["20 agencies changed"].append(took)
        peak = psutil.Process(pid).memory_info().rss / 2**20
        total = int(postgres.execute(_TOTAL, "metrics"))
    agencies, exported = exported_revenue(page)
    if (agencies, exported) != (AGENCIES, total):
        raise SystemExit(f"exporter: {exported} of {agencies} agencies, {total} in the database")
    note = f"{exported:,} đồng exported of {agencies:,} agencies, {total:,} in the database; {len(page):,} bytes"
    floor = statistics.median(times[FLOOR])
    times["everything changed (first scrape)"] = [first]
    return [
        _result(name, found, floor, peak, "" if name == FLOOR else note)
        for name, found in times.items()
    ]


def _result(name: str, found: list[float], floor: float, peak: float, note: str) -> Result:
    ordered = sorted(found)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    return Result(ROW, name, 1, 1000 / p50, p50, p99, 0, peak, 0, FLOOR, floor / p50, note)
