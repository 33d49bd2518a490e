"""Whether a letter that was written some time ago may still be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.billing.letters.rules import ENDED_WITHIN, Draft, Kind

#: Letters of what has happened: they are true whenever they are sent.
HAPPENED = frozenset(
    {
        Kind.WELCOME,
        Kind.RECEIPT,
        Kind.REFUNDED,
        Kind.REFUND_FAILED,
        Kind.NEW_CARD,
        Kind.TRIAL_STARTED,
        Kind.MOVED,
        Kind.SEAT_ENDED,
        Kind.NETWORK,
        Kind.ADDRESS_CHANGED,
        Kind.ADDRESS_UNDONE,
        Kind.PASSWORD,
        Kind.ERASED,
        Kind.NUMBER_ADDED,
        Kind.NUMBER_REMOVED,
    }
)
#: What is true while the subscription is in one of these states.
TRUE_IN = {
    Kind.PAYMENT_FAILED: ("past_due", "grace", "paused"),
    Kind.GROUP_ENDED: ("canceled", "expired"),
}


@dataclass(frozen=True, slots=True)
class SubscriptionNow:
    """A subscription at the moment of sending. ``due_at``: when the next period begins, after a pause; ``paid``: its last period is paid for and was not given back;
    ``others_until``: until when its reader may read without it."""

    state: str
    cancels: bool
    period_end: datetime
    due_at: datetime
    paid: bool
    others_until: datetime | None


@dataclass(frozen=True, slots=True)
class OrderNow:
    """An order at the moment of sending."""

    state: str
    expires_at: datetime
    missing_vnd: int


def still_true(
    kind: Kind,
    facts: Mapping[str, Any],
    now: datetime,
    *,
    subscription: SubscriptionNow | None = None,
    order: OrderNow | None = None,
    bundle_left: int = 0,
    invited: bool = False,
    rise: Draft | None = None,
    wins_back: bool = False,
    gift_stands: bool = False,
) -> bool:
    """Whether a letter that was written some time ago may still be sent. ``bundle_left``: articles that its bundle still opens;
    ``invited``: the invitation is still to be accepted; ``rise``: what would be written of the subscription's price now;
    ``wins_back``: whether the offer is for its reader, who wants to hear of it; ``gift_stands``: its code may still be redeemed."""
    if kind in HAPPENED:
        return True
    if kind in (Kind.INVITED, Kind.WIN_BACK, Kind.GIFT):
        return invited or wins_back or gift_stands
    if kind in (Kind.TRANSFER_SHORT, Kind.PRICE_RISES):
        short = order is not None and _still_short(facts, now, order)
        return short or _still_rises(facts, rise)
    if subscription is None:
        return kind is Kind.BUNDLE_ENDING and bundle_left > 0
    return _of_subscription(kind, facts, now, subscription)


def _of_subscription(
    kind: Kind, facts: Mapping[str, Any], now: datetime, subscription: SubscriptionNow
) -> bool:
    if kind in TRUE_IN:
        return subscription.state in TRUE_IN[kind]
    if kind is Kind.CANCELED:
        return subscription.cancels
    if kind is Kind.RESUMED:
        return not subscription.cancels and subscription.state not in ("canceled", "expired")
    return _still_ends(kind, datetime.fromisoformat(facts["ends_at"]), now, subscription)


def _still_rises(facts: Mapping[str, Any], rise: Draft | None) -> bool:
    told = ("ends_at", "now_vnd", "amount_vnd")
    return rise is not None and all(rise.facts[name] == facts[name] for name in told)


def _still_short(facts: Mapping[str, Any], now: datetime, order: OrderNow) -> bool:
    waits = order.state == "open" and now < order.expires_at
    return waits and order.missing_vnd == facts["missing_vnd"]


def _still_ends(kind: Kind, ends_at: datetime, now: datetime, row: SubscriptionNow) -> bool:
    """Whether the end that is told of is still the end: not renewed meanwhile, not given back, nothing else to read by."""
    if kind is Kind.RENEWAL_REMINDER:
        runs = row.state in ("active", "paused") and not row.cancels
        return runs and row.paid and now < ends_at == row.due_at
    if row.period_end != ends_at or not row.paid:
        return False
    if kind is Kind.TRIAL_ENDING:
        return row.state == "trialing" and now < ends_at
    told = ends_at if kind is Kind.TERM_ENDING else now
    if row.others_until is not None and row.others_until > told:
        return False
    return now < ends_at if kind is Kind.TERM_ENDING else ends_at <= now < ends_at + ENDED_WITHIN
