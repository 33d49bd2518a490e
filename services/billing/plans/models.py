"""Tables of what may be bought. A price is never edited, only superseded: the database sees to it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Date,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class Plan(Row, table=True):
    """What a reader gets: a scope of reading. ``scope`` ``site`` opens everything of the agency.

    ``uses`` are the articles of a bundle; the limits and suggestions are of a contribution.
    """

    __table_args__: Any = (
        UniqueConstraint("agency", "code", name="uq_plan_agency_code"),
        UniqueConstraint("id", "agency", name="uq_plan_id_agency"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text, foreign_key="agency.id")
    code: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text, default="period")
    days: int | None = None
    scope: str = Field(sa_type=Text, default="site")
    uses: int | None = None
    least_vnd: int | None = Field(sa_type=BigInteger, default=None)
    most_vnd: int | None = Field(sa_type=BigInteger, default=None)
    suggested_vnd: list[int] | None = Field(sa_type=ARRAY(BigInteger), default=None)
    name_vi: str = Field(sa_type=Text)
    name_en: str = Field(sa_type=Text)
    description_vi: str = Field(sa_type=Text, default="")
    description_en: str = Field(sa_type=Text, default="")
    active: bool = True
    seats: int = 1
    per_seat: bool = False


class PlanPrice(Row, table=True):
    """A price of a plan for one period, in whole đồng."""

    __tablename__ = "plan_price"
    __table_args__: Any = (
        ForeignKeyConstraint(["plan_id", "agency"], ["plan.id", "plan.agency"]),
        UniqueConstraint("id", "agency", name="uq_plan_price_id_agency"),
        Index(
            "uq_plan_price_current",
            "plan_id",
            "period",
            unique=True,
            postgresql_where=text("superseded_at IS NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    plan_id: UUID
    period: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text, default="VND")
    trial_days: int | None = None
    created_at: datetime = Field(sa_type=UTCDateTime)
    superseded_at: datetime | None = Field(sa_type=UTCDateTime, default=None)


class VatRate(Row, table=True):
    """How something is taxed from a day on. Exempt is not 0 %: it has no rate at all."""

    __tablename__ = "vat_rate"
    kind: str = Field(sa_type=Text, primary_key=True)
    valid_from: date = Field(sa_type=Date, primary_key=True)
    valid_until: date | None = Field(sa_type=Date, default=None)
    treatment: str = Field(sa_type=Text)
    rate_basis_points: int | None = None
    source: str = Field(sa_type=Text)
