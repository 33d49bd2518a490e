"""The relay: takes stored events, publishes them, marks them after the acknowledgement.

A crash between publishing and marking publishes twice; readers' inboxes make that harmless. Several relays may run
side by side (SKIP LOCKED).
"""

from __future__ import annotations

import asyncio
import json

import asyncpg
import structlog

from shared.bus import Bus, BusUnavailableError, MessageRefusedError, OutboundMessage
from shared.database import Database
from shared.faults import fault_point
from shared.loops import Heartbeat
from shared.outbox.store import CHANNEL
from shared.telemetry import metrics

log = structlog.get_logger(__name__)

BATCH = 500
POLL_SECONDS = 1.0
BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
PURGE_EVERY_SECONDS = 3_600.0

_TAKE = """SELECT id, event_id, subject, payload, headers FROM outbox
    WHERE published_at IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"""
_MARK = "UPDATE outbox SET published_at = now() WHERE id = ANY($1::bigint[])"
_PURGE = """DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE published_at < now() - interval '7 days' LIMIT 10000)"""
_BACKLOG = """SELECT count(*) AS waiting,
    coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age
    FROM outbox WHERE published_at IS NULL"""


class OutboxRelay:
    """Publishes one service's outbox. ``run`` until ``stop`` is set."""

    def __init__(self, database: Database, bus: Bus, *, service: str) -> None:
        self._database = database
        self._bus = bus
        self._service = service
        self._wake = asyncio.Event()

    async def relay_once(self) -> int:
        """Publish one batch. Returns how many were published; raises when the bus or database is away."""
        pool = await self._database.pool()
        async with pool.acquire() as connection:
            async with connection.transaction():
                rows = await connection.fetch(_TAKE, BATCH)
                if not rows:
                    return 0
                await fault_point("relay.after_fetch")
                stored = await self._publish(rows)
                await fault_point("relay.after_publish")
                await connection.execute(_MARK, stored)
            await fault_point("relay.after_mark")
        metrics.OUTBOX_PUBLISHED.labels(self._service).inc(len(stored))
        return len(stored)

    async def _publish(self, rows: list[asyncpg.Record]) -> list[int]:
        """Ids of the rows the bus has stored. One it refuses stays in the outbox and holds up nobody."""
        try:
            await self._bus.publish([_message(row) for row in rows])
        except MessageRefusedError:
            stored = []
            for row in rows:
                try:
                    await self._bus.publish([_message(row)])
                except MessageRefusedError as error:
                    log.error("outbox_refused", subject=row["subject"], error=str(error))
                else:
                    stored.append(row["id"])
            return stored
        return [row["id"] for row in rows]

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Relay until told to stop. Failures back off and are retried for ever."""
        failures = 0
        listener: asyncpg.Connection | None = None
        purge_at = 0.0
        try:
            while not stop.is_set():
                heartbeat.beat()
                try:
                    if listener is None or listener.is_closed():
                        listener = await self._database.connect_raw()
                        await listener.add_listener(CHANNEL, self._on_notify)
                    if asyncio.get_running_loop().time() >= purge_at:
                        purge_at = asyncio.get_running_loop().time() + PURGE_EVERY_SECONDS
                        await self._purge()
                    published = await self.relay_once()
                    failures = 0
                except (BusUnavailableError, asyncpg.PostgresError, OSError, TimeoutError) as error:
                    delay = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
                    failures += 1
                    log.warning("relay_retry", error=repr(error), delay_seconds=delay)
                    await _wait(stop, delay)
                    continue
                if published < BATCH:
                    await self._measure()
                    await self._wait_for_work(stop)
        finally:
            if listener is not None and not listener.is_closed():
                await listener.close(timeout=2)

    def _on_notify(self, *_: object) -> None:
        self._wake.set()

    async def _wait_for_work(self, stop: asyncio.Event) -> None:
        stopping = asyncio.ensure_future(stop.wait())
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait(
                {stopping, waking}, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopping.cancel()
            waking.cancel()
        self._wake.clear()

    async def _purge(self) -> None:
        pool = await self._database.pool()
        await pool.execute(_PURGE)

    async def _measure(self) -> None:
        pool = await self._database.pool()
        row = await pool.fetchrow(_BACKLOG)
        metrics.OUTBOX_WAITING.labels(self._service).set(row["waiting"])
        metrics.OUTBOX_AGE.labels(self._service).set(row["age"])


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _message(row: asyncpg.Record) -> OutboundMessage:
    return OutboundMessage(
        row["subject"], row["payload"], str(row["event_id"]), json.loads(row["headers"])
    )
