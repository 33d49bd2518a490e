"""What every service publishes through the metrics layer's recorder (``shared.metrics.record``).

All amounts are signed whole đồng, net of VAT; each event has a ``source_reference`` that is unique for the
fact, so that a fact recorded twice is one entry. It begins with the name of the service that published it
(``billing:…``), and its stream is one of that service's in ``STREAMS``: what else comes over the bus is forged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import ClassVar, Literal

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

#: Who records over the bus, and the streams each may record. Imports are the layer's own and never come over the bus.
STREAMS: Mapping[str, frozenset[Stream]] = {
    "billing": frozenset({"subscription", "contribution"}),
    "ads": frozenset({"advertising"}),
}


class _Recorded(Payload, frozen=True, kw_only=True):
    """What all three have, and who may say it."""

    PUBLISHERS: ClassVar[tuple[str, ...]] = tuple(STREAMS)

    source_reference: str
    segment: Segment
    stream: Stream

    def foreign_to(self, publisher: str) -> str:
        if self.stream not in STREAMS[publisher]:
            return f"the stream {self.stream!r} is not one of its own"
        if not self.source_reference.startswith(f"{publisher}:"):
            return (
                f"the reference {self.source_reference[:60]!r} does not begin with '{publisher}:'"
            )
        return ""


@event_type("metrics.revenue.recorded.v1")
class RevenueRecorded(_Recorded, frozen=True, kw_only=True):
    """Revenue that was earned (recognised) on a date in the agency's zone."""

    payer: Payer
    law_source: str  # one of the eight kinds of Press Law 126/2025; see shared.metrics.rules
    account: str
    currency: str
    amount: int
    recognised_on: date
    document: str = ""  # link or id of the invoice, payment or order line behind it


@event_type("metrics.deferred.recorded.v1")
class DeferredRecorded(_Recorded, frozen=True, kw_only=True):
    """A change of deferred revenue: + when billed ahead, − when recognised, refunded or reversed."""

    currency: str
    amount: int
    occurred_on: date


@event_type("metrics.mrr.moved.v1")
class MrrMoved(_Recorded, frozen=True, kw_only=True):
    """A movement of monthly recurring revenue; MRR is the sum of all movements, by construction."""

    currency: str
    movement: Movement
    amount: int
    occurred_on: date
