"""Composition root of the worker: appliers, relay, sweep, timers."""

from __future__ import annotations

import structlog

from services.billing.composition import build
from services.billing.settings import BillingSettings
from shared import bus as bus_module
from shared.loops import Loop, every
from shared.outbox import OutboxRelay
from shared.startup import Duty, load_settings
from shared.worker import WorkerParts, run_worker

log = structlog.get_logger(__name__)

FORGET_SECONDS = 3_600.0
MEASURE_SECONDS = 5.0


async def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = load_settings(BillingSettings, Duty.WORKER, "billing")
    billing = build(settings, role="worker")
    bus = await bus_module.connect(settings.nats_url, "billing-worker")
    relay = OutboxRelay(billing.database, bus, service="billing")

    async def sweep() -> None:
        missed = await billing.webhooks.sweep()
        if missed:
            log.warning("sweep_found_missed_events", events=missed)

    async def recognise() -> None:
        entries = await billing.ledger.recognise_due()
        if entries:
            log.info("revenue_recognised", entries=entries)

    async def review() -> None:
        await billing.subscriptions.review_due()

    slots = [
        Loop(f"applier-{number}", billing.applier.run_slot, 120.0)
        for number in range(1, settings.appliers + 1)
    ]
    parts = WorkerParts(
        loops=[
            *slots,
            Loop("applier-wake", billing.applier.listen),
            Loop("relay", relay.run),
            *(
                [Loop("sweep", every(settings.sweep_seconds, sweep), settings.sweep_seconds + 120)]
                if settings.stripe_secret_key
                else []
            ),
            Loop(
                "recognition",
                every(settings.recognition_seconds, recognise),
                settings.recognition_seconds + 300,
            ),
            Loop("review", every(settings.review_seconds, review), settings.review_seconds + 60),
            Loop(
                "invariants",
                every(settings.invariants_seconds, billing.invariants.export),
                settings.invariants_seconds + 120,
            ),
            Loop("measure", every(MEASURE_SECONDS, billing.webhooks.measure)),
            Loop("forget", every(FORGET_SECONDS, billing.readers.forget_old), FORGET_SECONDS + 60),
        ],
        checks={"database": billing.database.ping, "bus": bus.ping},
        closers=[bus.close, billing.close],
    )
    await run_worker("billing", settings, parts)
