"""Tables of deferred revenue; their guards stand in ``migrations/versions/0001_recognition.sql``."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Date,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from services.billing.tables import Row


class RecognitionSchedule(Row, table=True):
    """Net revenue of one payment over the days ``starts_on <= day < ends_on``."""

    __tablename__ = "recognition_schedule"
    __table_args__: Any = (
        ForeignKeyConstraint(["payment_id", "agency"], ["payment.id", "payment.agency"]),
        Index("ix_recognition_schedule_payment_id", "payment_id"),
        ForeignKeyConstraint(["carried_to", "agency"], ["payment.id", "payment.agency"]),
        Index("ix_recognition_schedule_agency_ends_on", "agency", "ends_on"),
        Index(
            "ix_recognition_schedule_carried_to",
            "carried_to",
            postgresql_where=text("carried_to IS NOT NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text, foreign_key="books.agency")
    payment_id: UUID
    stream: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    starts_on: date = Field(sa_type=Date)
    ends_on: date = Field(sa_type=Date)
    total_vnd: int = Field(sa_type=BigInteger)
    counted_from: date = Field(sa_type=Date)
    closed_on: date | None = Field(sa_type=Date, default=None)
    reversed_vnd: int = Field(sa_type=BigInteger, default=0)
    carried_vnd: int = Field(sa_type=BigInteger, default=0)
    carried_to: UUID | None = None


class RecognitionDue(Row, table=True):
    """Earned and not yet in the journal."""

    __tablename__ = "recognition_due"
    __table_args__: Any = (Index("ix_recognition_due_agency_day", "agency", "day"),)
    id: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_args=(Identity(always=True),), primary_key=True
    )
    agency: str = Field(sa_type=Text, foreign_key="books.agency")
    stream: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    day: date = Field(sa_type=Date)
    amount_vnd: int = Field(sa_type=BigInteger)


class RecognitionDay(Row, table=True):
    """What the journal has of a day of a stream."""

    __tablename__ = "recognition_day"
    __table_args__: Any = (
        UniqueConstraint("agency", "stream", "currency", "day", name="uq_recognition_day_agency"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text, foreign_key="books.agency")
    stream: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    day: date = Field(sa_type=Date)
    amount_vnd: int = Field(sa_type=BigInteger)
    entries: int
