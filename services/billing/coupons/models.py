"""The table of coupons; its guard stands in ``migrations/versions/0001_coupons.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Text, UniqueConstraint
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class Coupon(Row, table=True):
    """A part of the price (``percent``) or an amount (``off_vnd``) that need not be paid; never edited, only ended."""

    __table_args__: Any = (
        ForeignKeyConstraint(["plan_id", "agency"], ["plan.id", "plan.agency"]),
        UniqueConstraint("agency", "code", name="uq_coupon_agency_code"),
        UniqueConstraint("id", "agency", name="uq_coupon_id_agency"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text, foreign_key="agency.id")
    code: str = Field(sa_type=Text)
    percent: int | None = None
    off_vnd: int | None = Field(sa_type=BigInteger, default=None)
    plan_id: UUID | None = None
    valid_from: datetime = Field(sa_type=UTCDateTime)
    valid_until: datetime | None = Field(sa_type=UTCDateTime, default=None)
    most_uses: int | None = None
    once_a_reader: bool = True
    created_at: datetime = Field(sa_type=UTCDateTime)
    ended_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
