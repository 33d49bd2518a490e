"""Composition root of the metrics layer's worker: the recorder, and the watch over what must never be."""

from __future__ import annotations

import asyncio

import structlog

from shared import bus as bus_module
from shared.database import Database
from shared.loops import Heartbeat, Loop, every
from shared.metrics.baseline import service as baseline
from shared.metrics.entries import service as entries
from shared.metrics.entries.consumers import recorder
from shared.metrics.settings import MetricsSettings
from shared.startup import Duty, load_settings
from shared.telemetry.metrics import INVARIANT_VIOLATIONS
from shared.worker import WorkerParts, run_worker

log = structlog.get_logger(__name__)
SERVICE = "metrics"


async def check_invariants(database: Database) -> dict[str, int]:
    """Sums equal their entries; frozen baselines are what was signed. Sets the gauges; returns the violations."""
    found = {
        f"sums_{name}": count for name, count in (await entries.sums_that_differ(database)).items()
    }
    altered = await baseline.altered(database)
    found["frozen_baseline"] = len(altered)
    for invariant, count in found.items():
        INVARIANT_VIOLATIONS.labels(SERVICE, invariant).set(count)
    if any(found.values()):
        log.error("invariant_violated", violations=found, baselines=altered)
    return found


async def main() -> None:
    """Run until told to stop."""
    settings = load_settings(MetricsSettings, Duty.WORKER, "metrics")
    database = Database(
        settings.database_url,
        application_name="metrics-worker",
        pool_size=settings.database_pool_size,
    )
    bus = await bus_module.connect(settings.nats_url, "metrics-worker")
    runner = recorder(database, bus, batch=settings.recorder_batch)

    async def invariants() -> None:
        await check_invariants(database)

    async def record(stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        await runner.run(stop, heartbeat)

    await run_worker(
        SERVICE,
        settings,
        WorkerParts(
            loops=(
                Loop("recorder", record),
                Loop(
                    "invariants",
                    every(settings.invariant_check_seconds, invariants),
                    limit_seconds=settings.invariant_check_seconds + 120,
                ),
            ),
            checks={"database": database.ping, "nats": bus.ping},
            closers=(bus.close, database.close),
        ),
    )
