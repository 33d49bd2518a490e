"""The relay: takes stored events, publishes them, marks them after the acknowledgement.

A crash between publishing and marking publishes twice; readers' inboxes make that harmless. Several relays may run
side by side (SKIP LOCKED).

An event the bus refuses is set aside with the reason and offered again after a growing delay; everything else goes on
without it. Later events of the same aggregate may then arrive before it: they carry higher versions, and no reader lets an
older version overwrite a newer one.
"""

from __future__ import annotations

import asyncio
import json

import asyncpg
import structlog

from shared.bus import Bus, BusUnavailableError, OutboundMessage, Refused, Stored
from shared.database import RAW_FAILURES, Database
from shared.faults import fault_point
from shared.loops import Heartbeat
from shared.outbox.store import CHANNEL
from shared.telemetry import metrics

log = structlog.get_logger(__name__)

BATCH = 500
#: Of rows that are due again; what is fresh always leaves first.
DUE_BATCH = 200
POLL_SECONDS = 1.0
BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LONGEST_REFUSAL_DELAY_SECONDS = 600.0

_FRESH = """SELECT id, event_id, subject, payload, headers FROM outbox
    WHERE published_at IS NULL AND due_at IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"""
_DUE = """SELECT id, event_id, subject, payload, headers FROM outbox
    WHERE due_at <= now() ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED"""
_STORED = """UPDATE outbox SET published_at = clock_timestamp(), stream = s.stream,
        stream_sequence = s.sequence, due_at = NULL, refusals = 0, refusal = NULL
    FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS s (id, stream, sequence)
    WHERE outbox.id = s.id"""
_REFUSED = """UPDATE outbox SET refusals = refusals + 1, refusal = r.reason,
        due_at = clock_timestamp()
            + least(power(2, least(refusals, 16)), $3) * interval '1 second'
    FROM unnest($1::bigint[], $2::text[]) AS r (id, reason) WHERE outbox.id = r.id"""


class OutboxRelay:
    """Publishes one service's outbox. ``run`` until ``stop`` is set."""

    def __init__(self, database: Database, bus: Bus, *, service: str) -> None:
        self._database = database
        self._bus = bus
        self._service = service
        self._wake = asyncio.Event()

    async def relay_once(self) -> int:
        """Publish one batch. Returns how many were published; raises when the bus or database is away."""
        return (await self._round())[0]

    async def _round(self) -> tuple[int, bool]:
        """How many were published, and whether more may wait."""
        pool = await self._database.pool()
        async with pool.acquire() as connection:
            async with connection.transaction():
                fresh = await connection.fetch(_FRESH, BATCH)
                due = await connection.fetch(_DUE, DUE_BATCH)
                rows = [*fresh, *due]
                if not rows:
                    return 0, False
                await fault_point("relay.after_fetch")
                verdicts = await self._bus.offer([_message(row) for row in rows])
                await fault_point("relay.after_publish")
                stored = [
                    (row["id"], verdict.stream, verdict.sequence)
                    for row, verdict in zip(rows, verdicts, strict=True)
                    if isinstance(verdict, Stored)
                ]
                if stored:
                    await connection.execute(_STORED, *map(list, zip(*stored, strict=True)))
                refused = [
                    (row, verdict.reason)
                    for row, verdict in zip(rows, verdicts, strict=True)
                    if isinstance(verdict, Refused)
                ]
                if refused:
                    await self._set_aside(connection, refused)
            await fault_point("relay.after_mark")
        metrics.OUTBOX_PUBLISHED.labels(self._service).inc(len(stored))
        return len(stored), len(fresh) == BATCH or len(due) == DUE_BATCH

    async def _set_aside(
        self, connection: asyncpg.Connection, refused: list[tuple[asyncpg.Record, str]]
    ) -> None:
        await connection.execute(
            _REFUSED,
            [row["id"] for row, _ in refused],
            [reason for _, reason in refused],
            LONGEST_REFUSAL_DELAY_SECONDS,
        )
        row, reason = refused[0]
        log.error(
            "outbox_refused",
            events=len(refused),
            subject=row["subject"],
            event_id=str(row["event_id"]),
            reason=reason,
        )

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Relay until told to stop. Failures back off and are retried for ever."""
        failures = 0
        listener: asyncpg.Connection | None = None
        try:
            while not stop.is_set():
                heartbeat.beat()
                try:
                    if listener is None or listener.is_closed():
                        listener = await self._database.connect_raw()
                        await listener.add_listener(CHANNEL, self._on_notify)
                    _, more = await self._round()
                    failures = 0
                except (BusUnavailableError, *RAW_FAILURES) as error:
                    delay = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
                    failures += 1
                    heartbeat.failed()
                    log.warning("relay_retry", error=repr(error), delay_seconds=delay)
                    await _wait(stop, delay)
                    continue
                heartbeat.succeeded()
                if not more:
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


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _message(row: asyncpg.Record) -> OutboundMessage:
    return OutboundMessage(
        row["subject"], row["payload"], str(row["event_id"]), json.loads(row["headers"])
    )
