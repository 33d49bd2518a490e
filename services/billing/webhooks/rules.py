"""Decisions about notifications: values in, values out."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

CEILING_SECONDS = 300.0
_AGENCY = re.compile(r"[a-z0-9-]{1,40}")

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


class _Object(msgspec.Struct):
    metadata: dict[str, msgspec.Raw] | None = None


class _Data(msgspec.Struct):
    object: _Object


class _Notification(msgspec.Struct):
    data: _Data


_NOTIFICATION = msgspec.json.Decoder(_Notification)


def agency_named(payload: bytes) -> str | None:
    """The agency a notification names, or None when it names none that there could be: then it is everybody's care."""
    try:
        named = (_NOTIFICATION.decode(payload).data.object.metadata or {}).get("agency", b"null")
        agency = msgspec.json.decode(named, type=str)
    except (ValueError, RecursionError):
        return None
    return agency if _AGENCY.fullmatch(agency) else None
