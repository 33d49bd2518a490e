"""The event table, the counters folded from it, and the leases of server processes."""

from __future__ import annotations

from datetime import date, datetime
from enum import IntEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKeyConstraint,
    Identity,
    Index,
    SmallInteger,
    Uuid,
)
from sqlmodel import Field

from services.ads.metadata import AdsTable, moment_field, text_field
from shared.database import vnd_column


class Kind(IntEnum):
    """What was counted."""

    IMPRESSION = 1
    VIEWABLE = 2
    CLICK = 3


class DeliveryEvent(AdsTable, table=True):
    """One counted fact. The key (nonce, kind) is what makes it count at most once."""

    __tablename__ = "delivery_event"
    __table_args__ = (Index("ix_delivery_event_line_id", "line_id"),)
    nonce: UUID = Field(sa_column=Column("nonce", Uuid, primary_key=True))
    kind: int = Field(sa_column=Column("kind", SmallInteger, primary_key=True))
    agency_id: str = text_field("agency_id")
    line_id: UUID
    creative_id: UUID
    placement_id: UUID
    lease_id: int = Field(sa_column=Column("lease_id", BigInteger, nullable=False))
    counted_on: date
    counted_at: datetime = moment_field("counted_at")


class LineDay(AdsTable, table=True):
    """Counters of a line on a day of its agency: a fold of the event table, and what has been recognised of it."""

    __tablename__ = "line_day"
    __table_args__ = (
        ForeignKeyConstraint(["line_id"], ["line.id"]),
        Index("ix_line_day_counted_on", "counted_on"),
    )
    line_id: UUID = Field(sa_column=Column("line_id", Uuid, primary_key=True))
    counted_on: date = Field(sa_column=Column("counted_on", Date, primary_key=True))
    impressions: int = Field(sa_column=Column("impressions", BigInteger, nullable=False))
    viewables: int = Field(sa_column=Column("viewables", BigInteger, nullable=False))
    clicks: int = Field(sa_column=Column("clicks", BigInteger, nullable=False))
    recognised: int = Field(sa_column=Column("recognised", BigInteger, nullable=False))
    recognised_vnd: int = Field(sa_column=vnd_column(name="recognised_vnd"))


class Lease(AdsTable, table=True):
    """Units of a line one server process may hand out; what is not counted when it expires is free again."""

    __tablename__ = "lease"
    __table_args__ = (
        ForeignKeyConstraint(["line_id"], ["line.id"]),
        Index("ix_lease_line_id_expires_at", "line_id", "expires_at"),
    )
    id: int | None = Field(
        default=None, sa_column=Column("id", BigInteger, Identity(always=True), primary_key=True)
    )
    line_id: UUID
    units: int
    counted: int
    granted_at: datetime = moment_field("granted_at")
    expires_at: datetime = moment_field("expires_at")
