"""The table of letters."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class Letter(Row, table=True):
    """One letter to one reader. ``facts``: what it tells, without any secret; amounts in đồng, moments in ISO 8601.

    ``state`` is waiting, sent, given_up (nobody could deliver it) or dropped (it would no longer be true).
    """

    __table_args__: Any = (
        ForeignKeyConstraint(
            ["reader_id", "agency"], ["reader.id", "reader.agency"], ondelete="CASCADE"
        ),
        UniqueConstraint("agency", "business_key", name="uq_letter_agency_business_key"),
        Index("ix_letter_reader_id", "reader_id", "created_at"),
        Index("ix_letter_waiting", "next_attempt_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_letter_given_up", "created_at", postgresql_where=text("state = 'given_up'")),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    kind: str = Field(sa_type=Text)
    recipient: str | None = Field(sa_type=Text, default=None)
    business_key: str = Field(sa_type=Text)
    language: str = Field(sa_type=Text)
    facts: dict[str, Any] = Field(sa_type=JSONB)
    created_at: datetime = Field(sa_type=UTCDateTime)
    due_at: datetime = Field(sa_type=UTCDateTime)
    state: str = Field(sa_type=Text, default="waiting")
    attempts: int = 0
    next_attempt_at: datetime = Field(sa_type=UTCDateTime)
    sent_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    error: str = Field(sa_type=Text, default="")
