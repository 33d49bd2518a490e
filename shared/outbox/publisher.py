"""What a publisher's worker runs: the relay, the sweep, the gauges and the retention of its outbox, each in its own loop."""

from __future__ import annotations

from datetime import timedelta

from shared.bus import Bus
from shared.database import Database
from shared.loops import Loop, every
from shared.outbox.relay import OutboxRelay
from shared.outbox.sweep import OutboxSweep
from shared.telemetry import metrics

MEASURE_SECONDS = 5.0
SWEEP_SECONDS = 5.0
PURGE_SECONDS = 3_600.0
#: Published events are kept this long: longer than a stream keeps them (14 days), so that either can rebuild the other.
KEPT = timedelta(days=30)
PURGE_BATCH = 10_000

_PURGE = """DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE created_at < now() - $1::interval
      AND published_at IS NOT NULL AND due_at IS NULL ORDER BY id LIMIT $2)"""
_BACKLOG = """SELECT
    (SELECT count(*) FROM outbox WHERE published_at IS NULL AND due_at IS NULL) AS waiting,
    (SELECT extract(epoch FROM now() - created_at)::float8 FROM outbox
     WHERE published_at IS NULL AND due_at IS NULL ORDER BY id LIMIT 1) AS age,
    count(*) FILTER (WHERE published_at IS NULL) AS refused,
    count(*) FILTER (WHERE published_at IS NOT NULL) AS again
    FROM outbox WHERE due_at IS NOT NULL"""


class Publisher:
    """One service's outbox and the streams it publishes to. Give ``loops`` and ``check`` to the worker."""

    def __init__(
        self, database: Database, bus: Bus, *, service: str, streams: tuple[str, ...]
    ) -> None:
        self._database = database
        self._bus = bus
        self._service = service
        self._streams = streams
        self.relay = OutboxRelay(database, bus, service=service)
        self.sweep = OutboxSweep(database, bus, service=service, streams=streams)

    @property
    def loops(self) -> list[Loop]:
        """The gauges have a loop of their own: they are looked up while the relay is busy or fails."""

        async def sweep() -> None:
            await self.sweep.run_once()

        async def purge() -> None:
            await self.purge()

        return [
            Loop("outbox-relay", self.relay.run),
            Loop(
                "outbox-gauges",
                every(MEASURE_SECONDS, self.measure),
                gauges=(
                    metrics.OUTBOX_WAITING,
                    metrics.OUTBOX_AGE,
                    metrics.OUTBOX_REFUSED,
                    metrics.OUTBOX_REPUBLISHING,
                ),
            ),
            Loop(
                "outbox-sweep",
                every(SWEEP_SECONDS, sweep),
                limit_seconds=600.0,
                gauges=(metrics.STREAM_PRESENT,),
            ),
            Loop("outbox-retention", every(PURGE_SECONDS, purge), PURGE_SECONDS + 300),
        ]

    async def check(self) -> None:
        """For ``/readyz``. Raises unless every stream exists."""
        for stream in self._streams:
            await self._bus.stream_state(stream)

    async def measure(self) -> None:
        """Set the outbox's gauges."""
        pool = await self._database.pool()
        row = await pool.fetchrow(_BACKLOG)
        metrics.OUTBOX_WAITING.labels(self._service).set(row["waiting"])
        metrics.OUTBOX_AGE.labels(self._service).set(row["age"] or 0.0)
        metrics.OUTBOX_REFUSED.labels(self._service).set(row["refused"])
        metrics.OUTBOX_REPUBLISHING.labels(self._service).set(row["again"])

    async def purge(self) -> int:
        """Forget what was published long ago. Returns how many events; what waits is never among them."""
        pool = await self._database.pool()
        purged = 0
        while True:
            deleted = int((await pool.execute(_PURGE, KEPT, PURGE_BATCH)).rpartition(" ")[2])
            purged += deleted
            if deleted < PURGE_BATCH:
                return purged
