"""The table of limits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class RateBucket(Row, table=True):
    """How far a limit is used up: until ``due_at`` (the theoretical arrival time of the cell rate algorithm)."""

    __tablename__ = "rate_bucket"
    __table_args__: Any = (Index("ix_rate_bucket_due_at", "due_at"),)
    bucket: str = Field(sa_type=Text, primary_key=True)
    due_at: datetime = Field(sa_type=UTCDateTime)
