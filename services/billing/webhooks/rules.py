"""Decisions about notifications: values in, values out."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

CEILING_SECONDS = 300.0

#: What is listened to; everything else is acknowledged and let go.
ALLOWED_TYPES = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
        "payment_intent.succeeded",
        "payment_intent.processing",
        "payment_intent.payment_failed",
        "refund.created",
        "refund.updated",
        "refund.failed",
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
        "payout.paid",
        "payout.failed",
        "payout.reconciliation_completed",
        "payment_method.detached",
        "customer.deleted",
    }
)


def delay_seconds(attempts: int) -> float:
    """Seconds until the next try, after ``attempts`` of them: 0.5, 1, 2, … up to five minutes."""
    return float(min(0.5 * 2 ** min(max(attempts - 1, 0), 20), CEILING_SECONDS))


def sweep_from(seen_until: datetime | None, now: datetime) -> datetime:
    """Where a sweep begins: a little before what was seen, as events appear late; at most 29 days back
    (the provider keeps 30)."""
    oldest = now - timedelta(days=29)
    if seen_until is None:
        return oldest
    return max(oldest, seen_until - timedelta(minutes=10))


def signature_holds(
    raw: bytes, header: str, secrets: Sequence[str], *, now: float, tolerance: float
) -> bool:
    """A ``Stripe-Signature`` (https://docs.stripe.com/webhooks#verify-manually) by any of the secrets in force.

    Not the SDK's ``WebhookSignature``: it wants text, one secret, and the machine's clock. A test holds the two together.
    """
    stamp, given = "", []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            stamp = value
        elif name == "v1":
            given.append(value)
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15 and given):
        return False
    if abs(now - int(stamp)) > tolerance:
        return False
    signed = stamp.encode() + b"." + raw
    holds = False
    for secret in secrets:
        expected = hmac.digest(secret.encode(), signed, "sha256").hex().encode()
        for one in given[:10]:
            holds |= hmac.compare_digest(expected, one.encode("utf-8", "replace"))
    return holds
