"""What every service publishes through the metrics layer's recorder (``shared.metrics.record``).

All amounts are signed whole đồng, net of VAT; each event has a ``source_reference`` that is unique for the
fact, so that a fact recorded twice is one entry.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from shared.contracts.envelope import Payload, event_type

Segment = Literal["print", "online", "radio", "tv"]
Stream = Literal[
    "subscription",
    "single_article",
    "contribution",
    "advertising",
    "state_commission",
    "syndication",
    "events",
    "circulation",
    "other",
]
Payer = Literal["reader", "business", "state"]
Movement = Literal["new", "expansion", "contraction", "churn", "reactivation"]


@event_type("metrics.revenue.recorded.v1")
class RevenueRecorded(Payload, frozen=True, kw_only=True):
    """Revenue that was earned (recognised) on a date in the agency's zone."""

    source_reference: str
    segment: Segment
    stream: Stream
    payer: Payer
    law_source: str  # one of the eight kinds of Press Law 126/2025; see shared.metrics.rules
    account: str
    currency: str
    amount: int
    recognised_on: date
    document: str = ""  # link or id of the invoice, payment or order line behind it


@event_type("metrics.deferred.recorded.v1")
class DeferredRecorded(Payload, frozen=True, kw_only=True):
    """A change of deferred revenue: + when billed ahead, − when recognised, refunded or reversed."""

    source_reference: str
    segment: Segment
    stream: Stream
    currency: str
    amount: int
    occurred_on: date


@event_type("metrics.mrr.moved.v1")
class MrrMoved(Payload, frozen=True, kw_only=True):
    """A movement of monthly recurring revenue; MRR is the sum of all movements, by construction."""

    source_reference: str
    segment: Segment
    stream: Stream
    currency: str
    movement: Movement
    amount: int
    occurred_on: date
