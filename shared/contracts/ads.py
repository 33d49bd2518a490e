"""What ads publishes."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from shared.contracts.envelope import Payload, event_type


class LineState(Payload, frozen=True, kw_only=True):
    """The state of an order line; the event's version grows with every change."""

    line_id: UUID
    order_id: UUID
    product_code: str
    status: str
    quantity: int
    amount_vnd: int
    starts_on: date
    ends_on: date


@event_type("ads.line.reserved.v1")
class LineReserved(LineState, frozen=True, kw_only=True):
    """Capacity is held until the hold expires."""


@event_type("ads.line.booked.v1")
class LineBooked(LineState, frozen=True, kw_only=True):
    """The customer has bought; the capacity is theirs."""


@event_type("ads.line.expired.v1")
class LineExpired(LineState, frozen=True, kw_only=True):
    """The hold ran out; its capacity is free again."""


@event_type("ads.line.canceled.v1")
class LineCanceled(LineState, frozen=True, kw_only=True):
    """Given back before delivery."""
