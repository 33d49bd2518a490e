"""Every SQL statement of the meters, on connections of their own.

A pooled connection is reset after every use, which would cost a round trip per group.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.paywall.policies.rules import Window
from shared.database import Database

FLUSH_TIMEOUT_SECONDS = 3.0
DELETE_CHUNK = 5_000

_COUNT = """SELECT granted, counted, used_now FROM meter_count(
    $1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[],
    $5::text[], $6::integer[], $7::text[], $8::timestamptz) ORDER BY item"""
# A reader's window as it is, with the device's views that have not been merged yet.
_LOOK = """SELECT array(
        SELECT v.article_id FROM meter_view v
        WHERE v.agency = i.agency AND v.meter_key = i.key AND v.window_start = i.start
        UNION
        SELECT v.article_id FROM meter_view v
        WHERE v.agency = i.agency AND v.meter_key = i.device AND v.window_start = i.start
    ) AS articles
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[]) WITH ORDINALITY
        AS i (agency, key, start, device, n) ORDER BY i.n"""
_DELETE = """DELETE FROM meter_window WHERE ctid IN (
    SELECT ctid FROM meter_window WHERE window_end < $1 LIMIT $2)"""


_BETWEEN = """SELECT count(*) FILTER (WHERE NOT known AND used >= $3 AND used < $4),
        count(*) FILTER (WHERE known AND used >= $5 AND used < $6)
    FROM (SELECT used, meter_key LIKE 'r:%' AS known FROM meter_window
          WHERE agency = $1 AND window_start = $2) AS present"""


@dataclass(frozen=True, slots=True)
class View:
    """A view to be counted. ``device``: a device whose views are merged into the reader's first."""

    agency: str
    key: str
    window: Window
    article_id: str
    limit: int
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of it. ``new``: it took one of the allowance now."""

    granted: bool
    new: bool
    used: int


@dataclass(frozen=True, slots=True)
class Look:
    """A question that counts nothing."""

    agency: str
    key: str
    window: Window
    device: str | None = None


class MeterStore:
    """The meters in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: list[asyncpg.Connection] = []

    async def warm_up(self, connections: int, at: datetime) -> None:
        """Connect and prepare now, so that the first readers do not wait for it. Raises when the database is away."""
        for _ in range(connections):
            self._idle.append(await self._database.connect_raw())
            await self.count([], at)  # takes the last one: every connection plans the function once
            await self.look([])

    async def count(self, views: Sequence[View], at: datetime) -> list[Counted]:
        """Count a group in one statement, durable when this returns. Nothing is counted when it raises."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                _COUNT,
                [view.agency for view in views],
                [view.key for view in views],
                [view.window.start for view in views],
                [view.window.end for view in views],
                [view.article_id for view in views],
                [view.limit for view in views],
                [view.device for view in views],
                at,
                timeout=FLUSH_TIMEOUT_SECONDS,
            )
        return [Counted(granted, new, used) for granted, new, used in rows]

    async def look(self, looks: Sequence[Look]) -> list[frozenset[str]]:
        """The articles each reader has opened in the window."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                _LOOK,
                [look.agency for look in looks],
                [look.key for look in looks],
                [look.window.start for look in looks],
                [look.device for look in looks],
                timeout=FLUSH_TIMEOUT_SECONDS,
            )
        return [frozenset(row["articles"]) for row in rows]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        connection = self._idle.pop() if self._idle else await self._database.connect_raw()
        try:
            yield connection
        except BaseException:
            # Its state is unknown, perhaps its server is gone: the next group gets a fresh one.
            connection.terminate()
            raise
        self._idle.append(connection)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close(timeout=2)


async def readers_between(
    database: Database,
    agency: str,
    window: Window,
    anonymous: tuple[int, int],
    registered: tuple[int, int],
) -> tuple[int, int]:
    """How many meters of the window, anonymous and of signed-in readers, have counted from the first number up to, not
    including, the second.
    """
    pool = await database.pool()
    row = await pool.fetchrow(_BETWEEN, agency, window.start, *anonymous, *registered)
    return row[0], row[1]


async def delete_ended(database: Database, before: datetime) -> int:
    """Delete windows (and with them their views) that ended before an instant, in small steps."""
    pool = await database.pool()
    deleted = 0
    while True:
        status = await pool.execute(_DELETE, before, DELETE_CHUNK)
        step = int(status.split()[-1])
        deleted += step
        if step < DELETE_CHUNK:
            return deleted
