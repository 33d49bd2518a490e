"""Composition root of the paywall's worker: entitlement events, outbox relay, retention."""

from __future__ import annotations

import structlog

from services.paywall.entitlements import consumers
from services.paywall.meters.service import delete_ended_windows
from services.paywall.settings import PaywallSettings
from shared.loops import Loop, every
from shared.outbox import OutboxRelay
from shared.process import Process, WorkerParts
from shared.telemetry import metrics

log = structlog.get_logger(__name__)

RETENTION_SECONDS = 3_600.0
LAG_SECONDS = 15.0


async def worker(process: Process[PaywallSettings]) -> WorkerParts:
    """The parts of the worker."""
    database, bus = process.database, await process.bus()
    watched = await bus.bind(consumers.STREAM, consumers.CONSUMER)

    async def retention() -> None:
        deleted = await delete_ended_windows(database, process.clock)
        if deleted:
            log.info("meter_windows_deleted", windows=deleted)

    async def lag() -> None:
        metrics.CONSUMER_LAG.labels(consumers.CONSUMER).set(await watched.pending())

    return WorkerParts(
        loops=[
            Loop("entitlements", consumers.runner(database, bus).run),
            Loop("outbox-relay", OutboxRelay(database, bus, service="paywall").run),
            Loop("retention", every(RETENTION_SECONDS, retention), limit_seconds=7_200),
            Loop("consumer-lag", every(LAG_SECONDS, lag)),
        ],
    )
