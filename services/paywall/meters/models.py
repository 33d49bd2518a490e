"""The meter's tables. Pseudonymous, and deleted a week after their window has ended."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlmodel import Field

from services.paywall.tables import Base
from shared.database import UTCDateTime


class MeterWindowRow(Base, table=True):
    """One reader in one window. Whoever counts holds this row's lock; ``used`` is the number of views."""

    __tablename__ = "meter_window"
    __table_args__ = (
        PrimaryKeyConstraint("agency", "meter_key", "window_start"),
        Index("ix_meter_window_window_end", "window_end"),
    )

    agency: str = Field(sa_column=Column(Text, nullable=False))
    meter_key: str = Field(sa_column=Column(Text, nullable=False))
    window_start: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    window_end: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    used: int = Field(sa_column=Column(Integer, nullable=False, server_default=text("0")))


class MeterViewRow(Base, table=True):
    """One distinct article a reader has opened in a window: what it unlocks is that article only."""

    __tablename__ = "meter_view"
    __table_args__ = (
        PrimaryKeyConstraint("agency", "meter_key", "window_start", "article_id"),
        ForeignKeyConstraint(
            ["agency", "meter_key", "window_start"],
            ["meter_window.agency", "meter_window.meter_key", "meter_window.window_start"],
            name="fk_meter_view_agency_meter_window",
            ondelete="CASCADE",
        ),
    )

    agency: str = Field(sa_column=Column(Text, nullable=False))
    meter_key: str = Field(sa_column=Column(Text, nullable=False))
    window_start: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    article_id: str = Field(sa_column=Column(Text, nullable=False))
    viewed_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
