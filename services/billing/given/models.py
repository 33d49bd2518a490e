"""Tables of days that were given."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class GivenDays(Row, table=True):
    """A right to read everything that staff gave, for a reason; append-only."""

    __tablename__ = "given_days"
    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        UniqueConstraint("id", "agency", name="uq_given_days_id_agency"),
        Index("ix_given_days_reader_id", "reader_id", "given_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    days: int
    starts_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)
    reason: str = Field(sa_type=Text)
    given_by: str = Field(sa_type=Text)
    given_name: str = Field(sa_type=Text)
    given_at: datetime = Field(sa_type=UTCDateTime)


class GivenDaysEnded(Row, table=True):
    """Given days that were taken back before they were over; append-only."""

    __tablename__ = "given_days_ended"
    __table_args__: Any = (
        ForeignKeyConstraint(["given_id", "agency"], ["given_days.id", "given_days.agency"]),
    )
    given_id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    ended_by: str = Field(sa_type=Text)
    ended_name: str = Field(sa_type=Text)
    ended_at: datetime = Field(sa_type=UTCDateTime)
