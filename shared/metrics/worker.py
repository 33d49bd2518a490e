"""Composition root of the metrics layer's worker: the recorder, confirmed imports, and the watch over
what must never be."""

from __future__ import annotations

import structlog

from shared.audit.loop import audit_loop
from shared.database import Database
from shared.inbox import ConsumerRunner
from shared.loops import Loop, every
from shared.metrics.baseline import service as baseline
from shared.metrics.entries import service as entries
from shared.metrics.entries.consumers import RECORDER
from shared.metrics.imports.loop import import_loop
from shared.metrics.settings import MetricsSettings
from shared.process import Process, WorkerParts
from shared.telemetry.metrics import INVARIANT_VIOLATIONS

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


async def worker(process: Process[MetricsSettings]) -> WorkerParts:
    """The parts of the worker."""
    settings, database = process.settings, process.database
    runner = ConsumerRunner(database, await process.bus(), RECORDER, batch=settings.recorder_batch)

    async def invariants() -> None:
        await check_invariants(database)

    return WorkerParts(
        loops=(
            *runner.loops,
            audit_loop(database, process.clock, SERVICE),
            import_loop(database, process.clock),
            Loop(
                "invariants",
                every(settings.invariant_check_seconds, invariants),
                limit_seconds=settings.invariant_check_seconds + 120,
                gauges=(INVARIANT_VIOLATIONS,),
            ),
        ),
        checks={"consumer": runner.check},
    )
