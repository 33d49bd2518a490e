"""Billing's events. The same job as a route: hand them to the use case."""

from __future__ import annotations

from services.paywall.entitlements.service import apply_events
from shared.bus import Bus
from shared.contracts.billing import EntitlementChanged, EntitlementGranted, EntitlementRevoked
from shared.database import Database
from shared.inbox import ConsumerRunner

STREAM = "BILLING"
CONSUMER = "paywall-entitlements"


def runner(database: Database, bus: Bus) -> ConsumerRunner:
    """The durable consumer of entitlement events."""
    return ConsumerRunner(
        database,
        bus,
        service="paywall",
        stream=STREAM,
        consumer=CONSUMER,
        handlers={
            EntitlementGranted: apply_events,
            EntitlementChanged: apply_events,
            EntitlementRevoked: apply_events,
        },
    )
