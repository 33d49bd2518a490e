"""Billing's events. The same job as a route: hand them to the use case."""

from __future__ import annotations

from services.paywall.entitlements.service import apply_events
from shared.contracts.billing import EntitlementChanged, EntitlementGranted, EntitlementRevoked
from shared.inbox import Consumer

ENTITLEMENTS = Consumer(
    service="paywall",
    stream="BILLING",
    name="paywall-entitlements",
    handlers={
        EntitlementGranted: apply_events,
        EntitlementChanged: apply_events,
        EntitlementRevoked: apply_events,
    },
)
