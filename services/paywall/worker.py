"""Composition root of the paywall's worker: entitlement events, outbox relay, retention."""

from __future__ import annotations

import structlog

from services.paywall.entitlements import consumers
from services.paywall.meters.service import delete_ended_windows
from services.paywall.settings import PaywallSettings
from shared import bus as bus_module
from shared.clock import SystemClock
from shared.database import Database
from shared.loops import Loop, every
from shared.outbox import OutboxRelay
from shared.startup import Duty, load_settings
from shared.telemetry import metrics
from shared.worker import WorkerParts, run_worker

log = structlog.get_logger(__name__)

SERVICE = "paywall"
RETENTION_SECONDS = 3_600.0
LAG_SECONDS = 15.0


async def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = load_settings(PaywallSettings, Duty.WORKER, "paywall")
    clock = SystemClock(settings.clock_offset_seconds)
    database = Database(
        settings.database_url,
        application_name="paywall-worker",
        pool_size=settings.database_pool_size,
    )
    bus = await bus_module.connect(settings.nats_url, "paywall-worker")
    watched = await bus.bind(consumers.STREAM, consumers.CONSUMER)

    async def retention() -> None:
        deleted = await delete_ended_windows(database, clock)
        if deleted:
            log.info("meter_windows_deleted", windows=deleted)

    async def lag() -> None:
        metrics.CONSUMER_LAG.labels(consumers.CONSUMER).set(await watched.pending())

    await run_worker(
        SERVICE,
        settings,
        WorkerParts(
            loops=[
                Loop("entitlements", consumers.runner(database, bus).run),
                Loop("outbox-relay", OutboxRelay(database, bus, service=SERVICE).run),
                Loop("retention", every(RETENTION_SECONDS, retention), limit_seconds=7_200),
                Loop("consumer-lag", every(LAG_SECONDS, lag)),
            ],
            checks={"database": database.ping, "bus": bus.ping},
            closers=[bus.close, database.close],
        ),
    )
