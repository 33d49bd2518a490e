"""The table of whom gifts go to."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class GiftRecipient(Row, table=True):
    """Whom the gift of an order goes to, as its giver wishes now. ``times``: letters that were written so far; the last one is the one
    that counts. Without a row, or an ``email``, the giver passes the code on."""

    __tablename__ = "gift_recipient"
    __table_args__: Any = (
        ForeignKeyConstraint(["order_id", "agency"], ["sales_order.id", "sales_order.agency"]),
    )
    order_id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    email: str | None = Field(sa_type=Text, default=None)
    message: str = Field(sa_type=Text, default="")
    send_on: date
    named_at: datetime = Field(sa_type=UTCDateTime)
    times: int = 0
