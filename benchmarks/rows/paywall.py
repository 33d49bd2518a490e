"""Paywall decisions as browsers ask for them: a mix, and only such that count a view, durably.

Beside it the refused: readers whose meter is used up ask for one more article, as a crawler does all day.
The mix, by hundred: 40 readers come back to an article they have opened, 20 are entitled (a reader token), 20 read
free articles, 20 open an article that counts. Every counted view is new: its reader has not opened it before, and a
third of them is a reader's first of the month. Floor: raw ASGI that parses, checks an HMAC and answers JSON, in the
same number of processes.
Verified: rows of ``meter_view`` = views granted and counted, but for what was in flight when a run ended; every refused
reader was refused.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

from benchmarks import servers
from benchmarks.harness import Request, Result, Run, Target, compare, in_flight
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from services.paywall.meters.rules import MeterIds, device_key, new_meter_id
from services.paywall.policies.rules import month_window
from services.paywall.policies.schemas import default_policy
from services.paywall.policies.service import PolicyService
from shared.agencies import save_agencies
from shared.audit import Actor
from shared.auth import SigningKeySet
from shared.clock import SystemClock
from shared.database import Database

AGENCY = "bao-do-toc"
ZONE = "Asia/Ho_Chi_Minh"
SITE = "https://bao-do-toc.example"
SECRET = "a-cookie-secret-of-the-benchmark-only"
RETURNING = 2_000
ENTITLED = 1_000
FREE_READERS = 4_000
ARTICLES = {"free": 100, "metered": 500, "new": 500, "premium": 100}
PER_READER = 3  # counted views of a reader, all within the allowance
ALLOWANCE = PER_READER + 1  # of a reader who is not signed in
PACKAGE = "services.paywall"
REFUSED = '"granted":false,"reason":"METER_EXHAUSTED"'
EXHAUSTED = 2_000
NEW_VIEW = '^{"article_id":"new%d+","granted":true,"reason":"METERING"'

_ARTICLES = """INSERT INTO article (agency, id, title, url, section, tags, access, published_at)
    SELECT $1, $2 || n, 'Bài ' || n, $3 || '/' || $2 || n, 'tin', '{}', $5, now()
    FROM generate_series(0, $4 - 1) AS n"""
_WINDOWS = """INSERT INTO meter_window (agency, meter_key, window_start, window_end, used)
    SELECT $1, key, $3, $4, $5 FROM unnest($2::text[]) AS key"""
_VIEWS = """INSERT INTO meter_view (agency, meter_key, window_start, article_id, viewed_at)
    SELECT $1, key, $3, 'metered' || ((n + view) % $4), now()
    FROM unnest($2::text[]) WITH ORDINALITY AS k (key, n), generate_series(0, $5 - 1) AS view"""


def _reader() -> str:
    return new_meter_id(secrets.token_bytes(16))


class Readers:
    """Who asks, and for what."""

    def __init__(self, billing: SigningKeySet) -> None:
        self._ids = MeterIds([SECRET.encode()])
        self._random = random.Random(20261123)
        self.returning = [_reader() for _ in range(RETURNING)]
        self._coming_back = [
            self._cookied(id_, f"metered{(n + 1) % ARTICLES['metered']}")
            for n, id_ in enumerate(self.returning)
        ]
        self.exhausted = [_reader() for _ in range(EXHAUSTED)]
        self._free = [
            self._cookied(_reader(), f"free{self._random.randrange(ARTICLES['free'])}")
            for _ in range(FREE_READERS)
        ]
        self._billing = billing
        self._entitled: list[Request] = []
        self._tokens_until = 0.0

    def _cookied(self, id_: str, article: str) -> Request:
        return _request(article, ("Cookie", f"pr_meter={self._ids.sign(id_)}"))

    def _fresh_tokens(self) -> None:
        """Reader tokens live five minutes: new ones every two."""
        self._tokens_until = time.monotonic() + 120
        now, until = datetime.now(UTC), int(datetime.now(UTC).timestamp()) + 86_400
        tokens = [
            self._billing.sign(
                {"sub": str(uuid4()), "agency": AGENCY, "ent": [{"scope": "site", "until": until}]},
                audience="press-paywall",
                now=now,
                lifetime_seconds=300,
            )
            for _ in range(ENTITLED)
        ]
        self._entitled = [
            _request(f"premium{self._random.randrange(ARTICLES['premium'])}", bearer)
            for bearer in (("Authorization", f"Bearer {token}") for token in tokens)
            for _ in range(3)
        ]

    def counted(self, count: int) -> Iterator[Request]:
        """Views that count. A reader's three are apart, as they are in life."""
        readers = [_reader() for _ in range(-(-count // PER_READER))]
        for number in range(count):
            turn, which = divmod(number, len(readers))
            article = (which * PER_READER + turn) % ARTICLES["new"]
            yield self._cookied(readers[which], f"new{article}")

    def refused(self, count: int) -> Iterator[Request]:
        """Readers whose meter is used up, each time at another article."""
        for number in range(count):
            yield self._cookied(
                self.exhausted[number % EXHAUSTED], f"new{number % ARTICLES['new']}"
            )

    def mix(self, count: int) -> Iterator[Request]:
        if time.monotonic() > self._tokens_until:
            self._fresh_tokens()
        new = self.counted(count // 5 + 1)
        for number in range(count):
            kind = number % 5
            if kind == 0:
                yield next(new)
            elif kind == 1:
                yield self._random.choice(self._entitled)
            elif kind == 2:
                yield self._random.choice(self._free)
            else:
                yield self._random.choice(self._coming_back)


def _request(article: str, credential: tuple[str, str]) -> Request:
    return Request(
        "/v1/decisions",
        f'{{"agency":"{AGENCY}","article_id":"{article}"}}',
        headers=(("Content-Type", "application/json"), ("Origin", SITE), credential),
    )


async def _seed(url: str, readers: Readers) -> None:
    database = Database(url, application_name="bench-seed", pool_size=1)
    clock = SystemClock()
    try:
        async with database.transaction() as session:
            await save_agencies(
                session,
                [{"id": AGENCY, "name": "Báo Đo Tốc", "time_zone": ZONE, "website": SITE}],
                actor=Actor.system("bench"),
            )  # fmt: skip
        await PolicyService(database, clock).put(
            AGENCY,
            default_policy(ALLOWANCE, ALLOWANCE + 1),
            expected=0,
            editor=Actor.system("bench"),
        )
        window = month_window(clock.now(), ZoneInfo(ZONE))
        pool = await database.pool()
        for name, number in ARTICLES.items():
            access = "metered" if name == "new" else name
            await pool.execute(_ARTICLES, AGENCY, name, SITE, number, access)
        for ids, used in ((readers.returning, 1), (readers.exhausted, ALLOWANCE)):
            keys = [device_key(AGENCY, id_) for id_ in ids]
            await pool.execute(_WINDOWS, AGENCY, keys, window.start, window.end, used)
            await pool.execute(_VIEWS, AGENCY, keys, window.start, ARTICLES["metered"], used)
    finally:
        await database.close()


def run(folder: Path, say: Callable[[str], None], *, seconds: int) -> list[Result]:
    """The row: the mix and what counts, by one process and by two."""
    results: list[Result] = []
    for processes in (1, 2):
        (folder / str(processes)).mkdir()
        results += _measure(folder / str(processes), say, seconds, processes)
    return results


def _measure(
    folder: Path, say: Callable[[str], None], seconds: int, processes: int
) -> list[Result]:
    billing = SigningKeySet.generate("press-billing")
    readers = Readers(billing)
    with ExitStack() as stack:
        postgres = Postgres(folder / "pg", free_port(), trust=True).start()
        stack.callback(postgres.stop)
        url = servers.migrated(postgres, "paywall", PACKAGE)
        asyncio.run(_seed(url, readers))
        keys = stack.enter_context(servers.json_server({"/.well-known/jwks.json": billing.jwks()}))
        floor_url, floor_pid = stack.enter_context(
            servers.floor("signed", folder, processes=processes)
        )
        ours_url, pid = stack.enter_context(
            servers.service(
                PACKAGE,
                folder,
                url,
                {"BILLING_URL": keys, "COOKIE_SECRET": SECRET},
                processes=processes,
            )
        )
        many = f"{processes} process{'es' if processes > 1 else ''}"
        ours = [
            Target(f"{name}, {many}", ours_url, [pid], requests, marker=NEW_VIEW, once=True)
            for name, requests in (("mix", readers.mix), ("counts (100 %)", readers.counted))
        ]
        refused = Target(f"refused, {many}", ours_url, [pid], readers.refused, marker=REFUSED)
        return compare(
            f"paywall decision, {many}",
            Target(f"floor: raw ASGI, {many}", floor_url, [floor_pid], readers.counted),
            [*ours, refused],
            folder=folder,
            seconds=seconds,
            say=say,
            verify=lambda runs: _verify(
                [run for t in ours for run in runs[t.name]], runs[refused.name], postgres
            ),
        )


def _verify(runs: list[Run], refused: list[Run], postgres: Postgres) -> str:
    """Every new view that was granted is a row, and no other; who was to be refused was. Refuses with what is wrong."""
    asked, walled = sum(run.ok for run in refused), sum(run.marked for run in refused)
    if asked != walled:
        raise SystemExit(f"paywall: {asked - walled} of {asked} exhausted readers were not refused")
    granted = sum(run.marked for run in runs)
    rows = int(
        postgres.execute("SELECT count(*) FROM meter_view WHERE article_id LIKE 'new%'", "paywall")
    )
    if not granted <= rows <= granted + in_flight(runs):
        raise SystemExit(f"paywall: {rows} rows for {granted} counted views")
    return (
        f"{rows:,} rows of meter_view for {granted:,} new views granted "
        f"(and at most {in_flight(runs)} in flight when a run ended)"
    )
