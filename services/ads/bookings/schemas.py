"""Bodies of the booking API."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.ads.bookings.models import Order
from services.ads.bookings.repository import LineView
from services.ads.bookings.rules import MAX_QUANTITY
from services.ads.bookings.service import LineSpec
from services.ads.catalogue.schemas import Code, PlainText
from shared.web.params import CalendarDay, Whole

_LINE: JsonDict = {
    "product": "run-of-site",
    "starts_on": "2026-12-01",
    "ends_on": "2026-12-14",
    "quantity": 1000,
    "pacing": "even",
}


class LineIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [_LINE]})
    product: Code
    starts_on: CalendarDay
    ends_on: CalendarDay
    quantity: Whole = Field(ge=1, le=MAX_QUANTITY, description="Impressions")
    name: PlainText = ""
    pacing: Literal["even", "asap"] = "even"

    def spec(self) -> LineSpec:
        return LineSpec(
            self.product, self.starts_on, self.ends_on, self.quantity, self.name, self.pacing
        )


class OrderIn(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "advertiser_id": "0190f3c0-0000-7000-8000-000000000001",
                    "name": "Tết 2027",
                    "lines": [_LINE],
                }
            ]
        }
    )
    advertiser_id: UUID
    name: PlainText = ""
    lines: list[LineIn] = Field(min_length=1, max_length=50)


class ActionIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "Khách đã xác nhận"}]})
    note: PlainText = ""


class LineOut(BaseModel):
    """A line; its version is the ETag."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    order_id: UUID
    order_number: int
    advertiser: str
    name: str
    product_code: str
    priority: str
    pacing: str
    status: str
    starts_on: date
    ends_on: date
    quantity: int
    cpm_vnd: int
    amount_vnd: int
    vat_vnd: int
    hold_expires_at: datetime | None
    delivered: int
    viewables: int
    clicks: int
    recognised_vnd: int
    version: int

    @classmethod
    def of(cls, view: LineView) -> LineOut:
        return cls.model_validate(view)


class OrderOut(BaseModel):
    id: UUID
    number: int
    name: str
    advertiser_id: UUID
    created_at: datetime
    lines: list[LineOut]

    @classmethod
    def of(cls, order: Order, lines: list[LineView]) -> OrderOut:
        return cls(
            id=order.id,
            number=order.number,
            name=order.name,
            advertiser_id=order.advertiser_id,
            created_at=order.created_at,
            lines=[LineOut.of(line) for line in lines],
        )


class DayOut(BaseModel):
    day: date
    capacity: int
    available: int


class ContendingOut(BaseModel):
    line_id: UUID
    name: str
    advertiser: str
    line_status: str
    quantity: int


class AvailsOut(BaseModel):
    fits: bool
    requested: int
    available: int
    amount_vnd: int
    vat_vnd: int
    cpm_vnd: int
    short_days: list[date]
    contending: list[ContendingOut]
    days: list[DayOut]
