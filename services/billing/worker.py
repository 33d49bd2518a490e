"""Composition root of the worker: appliers, relay, sweep, timers."""

from __future__ import annotations

import asyncio

import structlog

from services.billing import metrics
from services.billing.composition import Billing, build
from services.billing.settings import BillingSettings
from shared.audit.loop import audit_loop
from shared.loops import Heartbeat, Loop, every
from shared.outbox import Publisher
from shared.process import Process, WorkerParts
from shared.telemetry.metrics import INVARIANT_VIOLATIONS

log = structlog.get_logger(__name__)

FORGET_SECONDS = 3_600.0
MEASURE_SECONDS = 5.0
REMIND_SECONDS = 60.0
NAME_SECONDS = 10.0
PAYOUTS_SECONDS = 3_600.0
#: What reading one invariant may take, everything of it: its statements' timeouts (invariants/repository.py) and a little.
INVARIANT_SECONDS = 1_300.0
#: Charges whose provider is asked at the same time.
CHARGES_AT_ONCE = 4


async def worker(process: Process[BillingSettings]) -> WorkerParts:
    """The parts of the worker."""
    settings, billing = process.settings, build(process)
    publisher = Publisher(
        process.database, await process.bus(), service="billing", streams=("BILLING", "METRICS")
    )

    async def recognise() -> None:
        entries = await billing.recognition.run_due()
        if entries:
            log.info("revenue_recognised", entries=entries)

    async def close_orders() -> None:
        await billing.orders.close_expired()

    async def forget() -> None:
        await billing.sign_in.forget_old()
        await billing.students.forget_old()
        await billing.addresses.forget_old()
        await billing.phones.forget_old()
        await billing.erasing.forget_old()
        await billing.passwords.forget_old()
        await billing.statements.forget_old()
        gone = await billing.webhooks.forget_old(settings.webhook_days)
        if gone:
            log.info("webhooks_forgotten", events=gone)

    async def review() -> None:
        await billing.renewals.run_due()

    async def end_unseen() -> None:
        await billing.networks.run_due()

    slots = [
        Loop(f"applier-{number}", billing.applier.run_slot, 120.0)
        for number in range(1, settings.appliers + 1)
    ]
    return WorkerParts(
        loops=[
            *slots,
            Loop("applier-wake", billing.applier.listen),
            *publisher.loops,
            *(provider_loops(billing) if settings.stripe_secret_key else []),
            Loop(
                "recognition",
                every(settings.recognition_seconds, recognise),
                settings.recognition_seconds + 300,
            ),
            Loop("review", every(settings.review_seconds, review), settings.review_seconds + 60),
            *gauge_loops(billing),
            Loop(
                "orders",
                every(settings.review_seconds, close_orders),
                settings.review_seconds + 60,
            ),
            Loop("network-seats", every(REMIND_SECONDS, end_unseen), REMIND_SECONDS + 300),
            *letter_loops(billing),
            audit_loop(process.database, process.clock, "billing"),
            Loop("forget", every(FORGET_SECONDS, forget), FORGET_SECONDS + 60),
        ],
        checks={"streams": publisher.check},
        closers=[billing.close],
    )


def provider_loops(billing: Billing) -> list[Loop]:
    """What is asked of the card provider: charges, refunds, cards, payouts, and notifications that never came."""
    every_seconds = billing.settings.sweep_seconds

    async def sweep() -> None:
        missed = await billing.webhooks.sweep()
        if missed:
            log.warning("sweep_found_missed_events", events=missed)

    async def settle() -> None:
        await billing.settlements.read()

    async def name_cards() -> None:
        await billing.charges.name_cards()
        await billing.charges.let_go()

    async def finish_moves() -> None:
        await billing.moving.run_due()

    return [
        *(
            Loop(f"charges-{number}", billing.charges.run, 180.0)
            for number in range(1, CHARGES_AT_ONCE + 1)
        ),
        Loop("refunds", billing.sent_refunds.run, 180.0),
        Loop("moves", every(REMIND_SECONDS, finish_moves), REMIND_SECONDS + 300),
        Loop("cards", every(NAME_SECONDS, name_cards), NAME_SECONDS + 300),
        Loop(
            "endpoints",
            every(FORGET_SECONDS, billing.webhooks.check_endpoints),
            FORGET_SECONDS + 120,
            gauges=(metrics.FOREIGN_ENDPOINTS,),
        ),
        Loop("payouts", every(PAYOUTS_SECONDS, settle), PAYOUTS_SECONDS + 600),
        Loop("sweep", every(every_seconds, sweep), every_seconds + 120),
    ]


def gauge_loops(billing: Billing) -> list[Loop]:
    """What is measured all the time."""
    settings = billing.settings

    async def check(stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        await billing.invariants.run(stop, heartbeat, settings.invariants_seconds)

    return [
        Loop(
            "invariants",
            check,
            settings.invariants_seconds + INVARIANT_SECONDS,
            gauges=(
                INVARIANT_VIOLATIONS,
                metrics.LEDGER_IMBALANCE,
                metrics.INVARIANT_AGE,
                metrics.INVARIANT_FAILED,
            ),
        ),
        Loop(
            "webhook-gauges",
            every(MEASURE_SECONDS, billing.webhooks.measure),
            gauges=(metrics.INBOX_WAITING, metrics.INBOX_AGE, metrics.INBOX_PARKED),
        ),
        Loop(
            "credit-gauges",
            every(MEASURE_SECONDS, billing.transfers.measure),
            gauges=(metrics.CREDITS_WAITING, metrics.CREDITS_AGE),
        ),
        Loop(
            "exception-gauges",
            every(REMIND_SECONDS, billing.exceptions.measure),
            REMIND_SECONDS + 300,
            gauges=(metrics.EXCEPTIONS,),
        ),
        Loop(
            "network-gauges",
            every(REMIND_SECONDS, billing.networks.measure),
            REMIND_SECONDS + 300,
            gauges=(metrics.NETWORKS_WAITING,),
        ),
        Loop(
            "insight-gauges",
            every(REMIND_SECONDS, billing.insight.measure),
            REMIND_SECONDS + 300,
            gauges=(metrics.MRR, metrics.MRR_ENDING, metrics.ACTIVE_PAID_READERS),
        ),
    ]


def letter_loops(billing: Billing) -> list[Loop]:
    """Letters: sent as they fall due, reminders written, both measured."""
    letters = billing.letters

    async def remind() -> None:
        await letters.sweep()

    async def send(stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        await letters.run(stop, heartbeat, lambda: billing.applier.is_behind)

    return [
        Loop("letters", send, 120.0),
        Loop("reminders", every(REMIND_SECONDS, remind), REMIND_SECONDS + 300),
        Loop(
            "letter-gauges",
            every(MEASURE_SECONDS, letters.measure),
            gauges=(metrics.LETTERS_WAITING, metrics.LETTERS_AGE, metrics.LETTERS_GIVEN_UP),
        ),
    ]
