"""Composition root of the paywall's worker: entitlement events, outbox relay, retention."""

from __future__ import annotations

import structlog

from services.paywall.entitlements.consumers import ENTITLEMENTS
from services.paywall.meters.service import delete_ended_windows
from services.paywall.settings import PaywallSettings
from shared.audit.loop import audit_loop
from shared.inbox import ConsumerRunner
from shared.loops import Loop, every
from shared.outbox import Publisher
from shared.process import Process, WorkerParts

log = structlog.get_logger(__name__)

RETENTION_SECONDS = 3_600.0


async def worker(process: Process[PaywallSettings]) -> WorkerParts:
    """The parts of the worker."""
    database, bus = process.database, await process.bus()
    entitlements = ConsumerRunner(database, bus, ENTITLEMENTS)
    publisher = Publisher(database, bus, service="paywall", streams=("PAYWALL",))

    async def retention() -> None:
        deleted = await delete_ended_windows(database, process.clock)
        if deleted:
            log.info("meter_windows_deleted", windows=deleted)

    return WorkerParts(
        loops=[
            *entitlements.loops,
            *publisher.loops,
            Loop("retention", every(RETENTION_SECONDS, retention), limit_seconds=7_200),
            audit_loop(database, process.clock, "paywall"),
        ],
        checks={"streams": publisher.check, "consumer": entitlements.check},
    )
