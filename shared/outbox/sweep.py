"""The sweep: what the bus confirmed and no longer holds is published again, without anybody asking.

The outbox knows of every confirmed event in which stream, and at which sequence, it was stored. A stream forgets when it
is deleted and made again (its identity changes), when its store is put back from an older copy, purged or damaged, and
when a server that confirms before it flushes loses power: then the newest events are missing, and others may meanwhile
stand at their sequences. So each round asks whether the newest confirmed event is still there, and after every lost
connection each event confirmed since shortly before the last good round is looked up by its id.

Publishing again is harmless: consumers know what they have handled by the event's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import structlog

from shared.bus import Bus, StreamMissingError, StreamState
from shared.database import Database
from shared.outbox.store import CHANNEL
from shared.telemetry import metrics

log = structlog.get_logger(__name__)

#: How far before the last good round events are looked up: nats-server flushes at least every two minutes.
MARGIN = timedelta(minutes=5)
LOOK_UP = 1_000
TAKE = 5_000
_LOCK = "SELECT pg_try_advisory_lock(hashtext('outbox_sweep'))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext('outbox_sweep'))"

_KNOWN = "SELECT identity, checked_at, now() AS now FROM outbox_stream WHERE stream = $1"
_REMEMBER = """INSERT INTO outbox_stream (stream, identity, checked_at) VALUES ($1, $2, $3)
    ON CONFLICT (stream) DO UPDATE SET identity = excluded.identity, checked_at = excluded.checked_at
    WHERE (outbox_stream.identity, outbox_stream.checked_at)
       IS DISTINCT FROM (excluded.identity, excluded.checked_at)"""
_NEWEST = """SELECT event_id, stream_sequence, published_at FROM outbox
    WHERE stream = $1 AND published_at < $2 AND published_at >= $3
    ORDER BY published_at DESC LIMIT 1"""
_CONFIRMED = """SELECT id, event_id, stream_sequence, published_at FROM outbox
    WHERE stream = $1 AND (published_at, id) > ($2, $3) AND published_at <= $4
    ORDER BY published_at, id LIMIT $5"""
#: Rows are held in the order of their ids, as by ``outbox republish``: neither waits for the other in a circle.
_DUE_NOW = "UPDATE outbox SET due_at = now() WHERE id IN (SELECT id FROM outbox WHERE {} ORDER BY id FOR UPDATE)"
_AGAIN_SINCE = _DUE_NOW.format(
    """id IN (SELECT id FROM outbox WHERE stream = $1 AND published_at >= $2 AND published_at <= $3
         AND due_at IS NULL ORDER BY published_at, id LIMIT $4)"""
)
_AGAIN = _DUE_NOW.format("id = ANY($1::bigint[]) AND due_at IS NULL")
_AGAIN_AT = _DUE_NOW.format(
    "stream = $1 AND stream_sequence = ANY($2::bigint[]) AND due_at IS NULL"
)
_OFFER_REFUSED = _DUE_NOW.format("published_at IS NULL AND due_at > now()")


@dataclass(slots=True)
class _Seen:
    """What this process saw of a stream at its last good round."""

    generation: int = -1
    leader: str = ""
    lost: frozenset[int] = frozenset()
    missing: bool = False


class OutboxSweep:
    """Compares the streams a service publishes to with its outbox."""

    def __init__(
        self, database: Database, bus: Bus, *, service: str, streams: tuple[str, ...]
    ) -> None:
        self._database = database
        self._bus = bus
        self._service = service
        self._seen = {stream: _Seen() for stream in streams}
        for stream in streams:  # an alert needs the 0 before the first 1
            metrics.STREAM_FORGOT.labels(service, stream)
            metrics.OUTBOX_REPUBLISHED.labels(service, stream)

    async def run_once(self) -> int:
        """One round over all streams. Returns how many events will be published again.

        Raises when the bus or the database is away.
        """
        taken = 0
        pool = await self._database.pool()
        for stream, seen in self._seen.items():
            generation = self._bus.generation
            try:
                state = await self._bus.stream_state(stream)
            except StreamMissingError as error:
                log.error("stream_missing", stream=stream, error=str(error))
                metrics.STREAM_PRESENT.labels(self._service, stream).set(0)
                seen.missing = True
                continue
            metrics.STREAM_PRESENT.labels(self._service, stream).set(1)
            async with pool.acquire() as connection:
                if not await connection.fetchval(_LOCK):
                    continue  # another process of this service is at it
                try:
                    taken += await self._compare(connection, stream, state, generation)
                finally:
                    await connection.execute(_UNLOCK)
        return taken

    async def _compare(
        self, connection: asyncpg.Connection, stream: str, state: StreamState, generation: int
    ) -> int:
        seen = self._seen[stream]
        known = await connection.fetchrow(_KNOWN, stream)
        now: datetime = known["now"] if known else await connection.fetchval("SELECT now()")
        # What is older than the stream's own age limit need not be there.
        oldest = now - timedelta(seconds=state.max_age_seconds or 10**9)
        since = max(known["checked_at"] - MARGIN, oldest) if known else oldest
        settled = (seen.generation, seen.leader) == (generation, state.leader)
        taken = 0
        if known is not None and known["identity"] != state.identity:
            taken = await self._again_since(connection, stream, oldest, now)
        elif not (settled and await self._holds_newest(connection, stream, now, oldest)):
            taken = await self._look_up(connection, stream, since, now, oldest)
        if state.lost != seen.lost:
            taken += _count(await connection.execute(_AGAIN_AT, stream, list(state.lost)))
        if taken:
            log.error("stream_forgot", stream=stream, events=taken, identity=state.identity)
            metrics.STREAM_FORGOT.labels(self._service, stream).inc()
            metrics.OUTBOX_REPUBLISHED.labels(self._service, stream).inc(taken)
        if taken or seen.missing:
            await connection.execute(_OFFER_REFUSED)
            await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
        # Once a minute is often enough for what MARGIN allows for.
        stale = known is None or now - known["checked_at"] > timedelta(minutes=1)
        if stale or taken or known["identity"] != state.identity:
            await connection.execute(_REMEMBER, stream, state.identity, now)
        self._seen[stream] = _Seen(generation, state.leader, state.lost)
        return taken

    async def _holds(self, stream: str, row: asyncpg.Record) -> bool:
        (found,) = await self._bus.stored_ids(stream, [row["stream_sequence"]])
        return found == str(row["event_id"])

    async def _holds_newest(
        self, connection: asyncpg.Connection, stream: str, before: datetime, oldest: datetime
    ) -> bool:
        row = await connection.fetchrow(_NEWEST, stream, before, oldest)
        return row is None or await self._holds(stream, row)

    async def _look_up(
        self,
        connection: asyncpg.Connection,
        stream: str,
        since: datetime,
        until: datetime,
        oldest: datetime,
    ) -> int:
        """Every event confirmed since then, by its id; and, when what came before is missing as well, all that does."""
        begin = since
        step = MARGIN
        while row := await connection.fetchrow(_NEWEST, stream, begin, oldest):
            if await self._holds(stream, row):
                break
            begin = min(row["published_at"], since - step)
            step *= 2
        taken = 0
        if begin < since:
            taken += await self._again_since(connection, stream, max(begin, oldest), since)
        position: tuple[datetime, int] = (since, 0)
        while rows := await connection.fetch(_CONFIRMED, stream, *position, until, LOOK_UP):
            found = await self._bus.stored_ids(stream, [row["stream_sequence"] for row in rows])
            lost = [
                row["id"]
                for row, id_ in zip(rows, found, strict=True)
                if id_ != str(row["event_id"])
            ]
            taken += _count(await connection.execute(_AGAIN, lost)) if lost else 0
            position = (rows[-1]["published_at"], rows[-1]["id"])
        return taken

    async def _again_since(
        self, connection: asyncpg.Connection, stream: str, since: datetime, until: datetime
    ) -> int:
        """Take everything confirmed in between, in steps: the relay works on what is taken already."""
        taken = 0
        while count := _count(await connection.execute(_AGAIN_SINCE, stream, since, until, TAKE)):
            taken += count
        return taken


def _count(tag: Any) -> int:
    """The number of rows in a command's tag (``UPDATE 5``)."""
    return int(str(tag).rpartition(" ")[2])
