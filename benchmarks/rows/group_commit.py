"""Rows committed durably: one statement a commit, groups by hand, and our group commit with many who wait.

The floor is PostgreSQL itself with raw asyncpg: groups of the same size in one ``unnest`` statement, nobody waiting for
an answer of their own. Verified: as many rows as were acknowledged.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import uvloop

from benchmarks.harness import RUNS, Result
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from shared.database import GroupCommit

SINGLE_CONNECTIONS = 32
WRITERS = 2
GROUP = 256
WAITING = 512
ROW = "durable commits of one row each"
FLOOR = "floor: raw unnest, groups of 256"
_ONE = "INSERT INTO fact (id) VALUES ($1)"
_MANY = "INSERT INTO fact (id) SELECT * FROM unnest($1::uuid[])"

Work = Callable[[asyncpg.Pool, float], Awaitable[list[float]]]


async def _one_a_commit(pool: asyncpg.Pool, until: float) -> list[float]:
    """Seconds of each commit."""
    taken: list[float] = []

    async def client() -> None:
        async with pool.acquire() as connection:
            while (started := time.perf_counter()) < until:
                await connection.execute(_ONE, uuid4())
                taken.append(time.perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(SINGLE_CONNECTIONS)))
    return taken


async def _raw_groups(pool: asyncpg.Pool, until: float) -> list[float]:
    taken: list[float] = []

    async def client() -> None:
        async with pool.acquire() as connection:
            while (started := time.perf_counter()) < until:
                await connection.execute(_MANY, [uuid4() for _ in range(GROUP)])
                taken.extend([time.perf_counter() - started] * GROUP)

    await asyncio.gather(*(client() for _ in range(WRITERS)))
    return taken


async def _ours(pool: asyncpg.Pool, until: float) -> list[float]:
    async def flush(items: Sequence[UUID]) -> list[bool]:
        await pool.execute(_MANY, list(items))
        return [True] * len(items)

    group: GroupCommit[UUID, bool] = GroupCommit(flush, writers=WRITERS)
    taken: list[float] = []

    async def client() -> None:
        while (started := time.perf_counter()) < until:
            await group.submit(uuid4())
            taken.append(time.perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(WAITING)))
    await group.drain()
    return taken


TARGETS: dict[str, tuple[Work, int]] = {
    FLOOR: (_raw_groups, WRITERS),
    f"one statement a commit, {SINGLE_CONNECTIONS} connections": (_one_a_commit, SINGLE_CONNECTIONS),
    f"our group commit, {WAITING} waiting": (_ours, WAITING),
}  # fmt: skip


async def _measure(url: str, say: Callable[[str], None], seconds: int) -> list[Result]:
    pool = await asyncpg.create_pool(url, min_size=2, max_size=SINGLE_CONNECTIONS)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in TARGETS}
    written = 0
    try:
        await pool.execute("CREATE TABLE fact (id uuid PRIMARY KEY)")
        for number in range(RUNS):
            for name, (work, _) in TARGETS.items():
                say(f"group commit: {name}, run {number + 1} of {RUNS}")
                started = time.perf_counter()
                taken = sorted(await work(pool, started + seconds))
                elapsed = time.perf_counter() - started
                written += len(taken)
                median, last = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
                found[name].append((len(taken) / elapsed, median * 1000, last * 1000))
        rows = await pool.fetchval("SELECT count(*) FROM fact")
    finally:
        await pool.close()
    if rows != written:
        raise SystemExit(f"group commit: {rows} rows for {written} acknowledged")
    results = []
    for name, (_, waiting) in TARGETS.items():
        ratio = statistics.median(
            ours[0] / floor[0] for ours, floor in zip(found[name], found[FLOOR], strict=True)
        )
        rate, p50, p99 = (statistics.median(column) for column in zip(*found[name], strict=True))
        note = "" if name == FLOOR else f"{rows:,} rows for {written:,} commits acknowledged"
        results.append(Result(ROW, name, waiting, rate, p50, p99, 0, 0, 0, FLOOR, ratio, note))
    return results


def run(folder: Path, say: Callable[[str], None], *, seconds: int) -> list[Result]:
    """The row. The client is in this process: only the database is another."""
    postgres = Postgres(folder / "pg", free_port(), trust=True).start()
    try:
        return uvloop.run(_measure(postgres.url(), say, seconds))
    finally:
        postgres.stop()
