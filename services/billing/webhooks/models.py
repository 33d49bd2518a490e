"""The inbox of providers' notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, Text, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class WebhookEvent(Row, table=True):
    """One notification, exactly as it came. Kept before it is acknowledged, applied afterwards, once."""

    __tablename__ = "webhook_event"
    __table_args__: Any = (
        Index(
            "ix_webhook_event_waiting",
            "next_attempt_at",
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "ix_webhook_event_told",
            "next_attempt_at",
            postgresql_where=text("state = 'waiting' AND via <> 'statement'"),
        ),
        Index("ix_webhook_event_received", "received_at", postgresql_using="brin"),
        Index("ix_webhook_event_parked", "received_at", postgresql_where=text("state = 'parked'")),
    )
    source: str = Field(sa_type=Text, primary_key=True)
    event_id: str = Field(sa_type=Text, primary_key=True)
    type: str = Field(sa_type=Text)
    payload: bytes = Field(sa_type=LargeBinary)
    #: The one that the notification names. Not a reference: a provider may name whom we do not know.
    agency: str | None = Field(sa_type=Text, default=None)
    via: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UTCDateTime)
    received_at: datetime = Field(sa_type=UTCDateTime)
    state: str = Field(sa_type=Text, default="waiting")
    attempts: int = 0
    next_attempt_at: datetime = Field(sa_type=UTCDateTime)
    handled_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    error: str = Field(sa_type=Text, default="")


class SweepCursor(Row, table=True):
    """How far a provider's own list of events has been read."""

    __tablename__ = "sweep_cursor"
    source: str = Field(sa_type=Text, primary_key=True)
    seen_until: datetime = Field(sa_type=UTCDateTime)
