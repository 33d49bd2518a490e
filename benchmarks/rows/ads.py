"""Ad decisions at 10, 100 and 10,000 live lines of one placement, and impressions counted at most once, durably.

Floor: raw ASGI that parses, checks an HMAC and answers JSON. Tokens of impressions are those of real decisions, so that
each is counted on a real lease.
Verified: transactions of the database while it decided (plan and leases only: none per decision); rows of
``delivery_event`` and the days' counters = impressions accepted; the same tokens once more add nothing.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec

from benchmarks import servers
from benchmarks.harness import Request, Result, Run, Target, compare, in_flight, run_once
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from services.ads.availability.service import agency_today
from services.ads.bookings import service as bookings
from services.ads.bookings.rules import Action
from services.ads.bookings.service import LineSpec, Step
from services.ads.catalogue import service as catalogue
from services.ads.catalogue.rules import RateOn
from services.ads.creatives import service as creatives
from services.ads.creatives.service import CreativeText
from shared.agencies import get_agency, save_agencies
from shared.audit import Actor, acting
from shared.database import Database

AGENCY = "bao-do-toc"
SITE = "https://bao-do-toc.example"
PACKAGE = "services.ads"
LINES = (10, 100, 10_000)
COUNTING = 100  # impressions are counted at so many lines
UNITS = 1_000_000  # a line
DAYS = 30
SLOTS = 20  # placements in one question for tokens
FETCHERS = 8
BROWSER = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/140 Mobile Safari/537.36"
HEADERS = (("Content-Type", "application/json"), ("Origin", SITE), ("User-Agent", BROWSER))
WORDS = CreativeText(
    "Nhãn lồng Phố Hiến", "Giao tận nhà.", "Đặt ngay", "https://example.com/x", "green"
)
DECISION = Request(
    "/v1/ad-decisions",
    f'{{"agency":"{AGENCY}","page":{{"url":"{SITE}/tin","section":"home"}},'
    '"placements":[{"slot":"a","placement":"home-top"}]}',
    headers=HEADERS,
)

# The first line is sold by the use case; the others are its copies: selling ten thousand one by one is another matter.
_COPY_LINES = """INSERT INTO line SELECT (jsonb_populate_record(l, jsonb_build_object('id', gen_random_uuid()))).*
    FROM line l, generate_series(2, $1)"""
_COPY_CREATIVES = """INSERT INTO creative SELECT (jsonb_populate_record(c, jsonb_build_object(
        'id', gen_random_uuid(), 'line_id', l.id))).*
    FROM creative c, line l WHERE l.id <> c.line_id"""
_TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = "


async def _seed(url: str, lines: int) -> None:
    database = Database(url, application_name="bench-seed", pool_size=1)
    place = {
        "code": "home-top", "name": "Đầu trang", "section": "home",
        "width": 728, "height": 90, "daily_capacity": UNITS,
    }  # fmt: skip
    zone = {"id": AGENCY, "name": "Báo Đo Tốc", "time_zone": "Asia/Ho_Chi_Minh", "website": SITE}
    try:
        with acting(Actor.system("bench")):
            async with database.transaction() as session:
                await save_agencies(session, [zone])
                await catalogue.set_placement(session, AGENCY, place)
                await catalogue.set_product(session, AGENCY, "home", "Trang chủ", ["home-top"])
                await catalogue.set_rate(
                    session, AGENCY, "home", RateOn(date(2020, 1, 1), 60_000, 10)
                )
                brand = await catalogue.add_advertiser(session, AGENCY, "Nhãn lồng Hồng Nam")
                agency = await get_agency(session, AGENCY)
                today = await agency_today(session, agency)
                spec = LineSpec(
                    "home", today, today + timedelta(days=DAYS - 1), UNITS, pacing="asap"
                )
                _, sold = await bookings.create_order(
                    session, agency, advertiser_id=brand, name="", specs=[spec], actor="bench"
                )
                await bookings.act(session, agency, sold[0], Step(Action.BOOK, "bench"))
                await creatives.add(session, AGENCY, sold[0], WORDS)
        pool = await database.pool()
        await pool.execute(_COPY_LINES, lines)
        await pool.execute(_COPY_CREATIVES)
    finally:
        await database.close()


async def _wait_until_supplied(url: str, lines: int) -> None:
    """Until every line of the plan has its first lease."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(60):
            supplied = 0
            while supplied < lines:
                await asyncio.sleep(0.1)
                supplied = await connection.fetchval("SELECT count(DISTINCT line_id) FROM lease")
    finally:
        await connection.close()


class _Chosen(msgspec.Struct):
    line_id: UUID | None
    token: str | None


class _Answer(msgspec.Struct):
    decisions: list[_Chosen]


@dataclass
class Tokens:
    """Tokens for impressions, from decisions of the server that will count them."""

    url: str
    last: list[Request] = field(default_factory=list)

    def requests(self, count: int) -> Iterator[Request]:
        tokens = asyncio.run(self._fetch(count))
        self.last = [
            Request("/v1/impressions", f'{{"token":"{token}"}}', headers=HEADERS)
            for token in tokens
        ]
        yield from self.last

    async def _fetch(self, count: int) -> list[str]:
        each = -(-count // (SLOTS * FETCHERS))
        found = await asyncio.gather(*(self._ask(each) for _ in range(FETCHERS)))
        return [token for tokens in found for token in tokens]

    async def _ask(self, times: int) -> list[str]:
        slots = [{"slot": str(n), "placement": "home-top"} for n in range(SLOTS)]
        body = msgspec.json.encode({"agency": AGENCY, "placements": slots})
        head = f"POST /v1/ad-decisions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        tokens: list[str] = []
        try:
            for _ in range(times):
                writer.write(head.encode() + body)
                answer = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(answer.split(b"content-length:")[1].split(b"\r\n")[0])
                decoded = msgspec.json.decode(await reader.readexactly(length), type=_Answer)
                tokens += [one.token for one in decoded.decisions if one.token is not None]
        finally:
            writer.close()
            await writer.wait_closed()
        return tokens


def run(folder: Path, say: Callable[[str], None], *, seconds: int) -> list[Result]:
    """The row."""
    with ExitStack() as stack:
        postgres = Postgres(folder / "pg", free_port(), trust=True).start()
        stack.callback(postgres.stop)
        floor_url, floor_pid = stack.enter_context(servers.floor("signed", folder))
        ours: list[Target] = []
        counting: Target | None = None
        for lines in LINES:
            name = f"ads_{lines}"
            database = servers.migrated(postgres, name, PACKAGE)
            asyncio.run(_seed(database, lines))
            (folder / name).mkdir()
            url, pid = stack.enter_context(servers.service(PACKAGE, folder / name, database))
            asyncio.run(_wait_until_supplied(database, lines))
            ours.append(
                Target(
                    f"{lines:,} live lines", url, [pid],
                    lambda count: (DECISION for _ in range(count)),
                    marker='"token":"',
                )
            )  # fmt: skip
            if lines == COUNTING:
                tokens = Tokens(url)
                counting = Target(
                    "impression counted once", url, [pid], tokens.requests,
                    marker='"counted":true', once=True,
                )  # fmt: skip
        assert counting is not None
        floor = Target("floor: raw ASGI", floor_url, [floor_pid], ours[0].requests)
        before = _transactions(postgres)
        decisions = compare(
            "ad decision, one placement", floor, ours, folder=folder, seconds=seconds, say=say,
            verify=lambda runs: _verify_decisions(runs, ours, _transactions(postgres) - before),
        )  # fmt: skip
        impressions = compare(
            "impression, counted at most once", floor, [counting],
            folder=folder, seconds=seconds, say=say,
            verify=lambda runs: _verify_counts(runs[counting.name], counting, tokens, postgres, folder),
        )  # fmt: skip
        return [*decisions, *impressions]


def _transactions(postgres: Postgres) -> int:
    return sum(int(postgres.execute(f"{_TRANSACTIONS}'ads_{lines}'")) for lines in LINES)


def _verify_decisions(runs: Mapping[str, list[Run]], ours: list[Target], transactions: int) -> str:
    decided = [run for target in ours for run in runs[target.name]]
    answered, filled = sum(run.ok for run in decided), sum(run.marked for run in decided)

    def rate(target: Target) -> float:
        return statistics.median(run.per_second for run in runs[target.name] if run.connections > 1)

    return (
        f"{LINES[-1]:,} lines cost {rate(ours[0]) / rate(ours[-1]):.2f} × {LINES[0]} lines; "
        f"{transactions:,} transactions (plans, leases) during {answered:,} decisions, "
        f"{answered - filled:,} of them without a line"
    )


def _verify_counts(
    runs: list[Run], target: Target, tokens: Tokens, postgres: Postgres, folder: Path
) -> str:
    accepted = sum(run.marked for run in runs)
    rows = _rows(postgres)
    if not accepted <= rows <= accepted + in_flight(runs):
        raise SystemExit(f"ads: {rows} rows for {accepted} impressions accepted")
    last = runs[-1]
    # wrk looks at the first request before it begins and never sends it.
    again = tokens.last[1 : last.requests - last.connections]
    target.requests, target.once = (lambda _: again), False
    second = run_once(target, 32, 1, folder)
    if second.marked or _rows(postgres) != rows:
        raise SystemExit(f"ads: the same tokens were counted {second.marked} times more")
    return (
        f"{rows:,} rows and as many in the day counters for {accepted:,} impressions accepted (and at most "
        f"{in_flight(runs)} in flight when a run ended); {second.requests:,} repeats of the same tokens added 0"
    )


def _rows(postgres: Postgres) -> int:
    database = f"ads_{COUNTING}"
    rows = int(postgres.execute("SELECT count(*) FROM delivery_event", database))
    counted = int(postgres.execute("SELECT coalesce(sum(impressions), 0) FROM line_day", database))
    if rows != counted:
        raise SystemExit(f"ads: {rows} events, {counted} in the counters")
    return rows
