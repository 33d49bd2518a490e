"""What paywall publishes."""

from __future__ import annotations

from shared.contracts.envelope import Instant, Payload, event_type


@event_type("paywall.decision.counted.v1")
class DecisionsCounted(Payload, frozen=True, kw_only=True):
    """How many decisions of one kind one process made in a short interval (not one event per page view)."""

    reason: str
    rule_id: str
    policy_version: int
    variant: str
    granted: bool
    count: int
    from_at: Instant
    until_at: Instant
