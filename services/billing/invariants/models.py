"""What was found, and when it was looked for (``migrations/versions/0001_invariants.sql``)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class InvariantReading(Row, table=True):
    """How far an invariant was read."""

    __tablename__ = "invariant_reading"
    name: str = Field(sa_type=Text, primary_key=True)
    read_from: datetime | None = Field(sa_type=UTCDateTime, default=None)
    checked_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    took_ms: int = 0
    error: str = Field(sa_type=Text, default="")
    whole_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    whole_tried_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    whole_took_ms: int = 0
    whole_error: str = Field(sa_type=Text, default="")


class InvariantFinding(Row, table=True):
    """What contradicts an invariant; ``subject`` '' is an agency as a whole, ``agency`` '' is none."""

    __tablename__ = "invariant_finding"
    name: str = Field(sa_type=Text, primary_key=True)
    agency: str = Field(sa_type=Text, primary_key=True)
    subject: str = Field(sa_type=Text, primary_key=True)
    violations: int = Field(sa_type=BigInteger)
    found_at: datetime = Field(sa_type=UTCDateTime)


class InvariantWish(Row, table=True):
    """Staff of an agency ask for everything to be read."""

    __tablename__ = "invariant_wish"
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    asked_at: datetime = Field(sa_type=UTCDateTime)
