"""A subscription that a provider collects by itself, as the port tells of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.billing.payments.method import Method


class RunState(StrEnum):
    """``OWING``: the provider collects what was refused, or has given that up. ``BEGUN``: its first payment has not come."""

    ACTIVE = "active"
    TRIALING = "trialing"
    OWING = "owing"
    BEGUN = "begun"
    PAUSED = "paused"
    ENDED = "ended"


class Hindrance(StrEnum):
    """What only a person can take over: what it sells is not one price once, a change is planned, it is not collected for the time
    being, its price is not what is paid (a discount, a tax of the provider's, a credit), the reader pays by themselves, the card's
    holder has not agreed to be charged while away, it ends on another day than its period's last."""

    MANY_ITEMS = "many_items"
    SCHEDULED = "scheduled"
    NOT_COLLECTED = "not_collected"
    OTHER_SUM = "other_sum"
    BY_INVOICE = "by_invoice"
    NEEDS_HOLDER = "needs_holder"
    OTHER_END = "other_end"


@dataclass(frozen=True, slots=True)
class Running:
    """A subscription of the provider's, as it stands now.

    ``price``, ``amount`` (in the currency's smallest unit) and ``period`` (one of ``plans.rules.PERIODS_A_YEAR``; empty where we have
    no such period) are of its one item, as are the ends of the current period. ``ends``: it was told not to renew. ``paid``: what
    was asked for the current period is paid; ``asked``: the sum of that. ``ended_at``: since when it is over. ``method``: what the
    provider charges, None where it has nothing that can be charged again.
    """

    id: str
    customer: str
    email: str
    name: str
    language: str
    state: RunState
    hindrances: tuple[Hindrance, ...]
    price: str
    amount: int
    currency: str
    period: str
    starts_at: datetime
    ends_at: datetime
    anchor_at: datetime
    began_at: datetime
    ends: bool
    ended_at: datetime | None
    paid: bool
    asked: int
    method: Method | None
