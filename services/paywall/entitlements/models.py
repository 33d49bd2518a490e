"""The paywall's copy of entitlements."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Index, Text, Uuid, text
from sqlmodel import Field

from services.paywall.tables import Base
from shared.database import UTCDateTime


class EntitlementRow(Base, table=True):
    """The newest known state of one entitlement. A revoked one stays, so that an old event cannot revive it."""

    __tablename__ = "entitlement"
    __table_args__ = (Index("ix_entitlement_agency_reader_id", "agency", "reader_id"),)

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    agency: str = Field(sa_column=Column(Text, nullable=False))
    reader_id: UUID = Field(sa_column=Column(Uuid, nullable=False))
    plan_code: str = Field(sa_column=Column(Text, nullable=False))
    scope: str = Field(sa_column=Column(Text, nullable=False))
    valid_from: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    valid_until: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    revoked: bool = Field(sa_column=Column(Boolean, nullable=False))
    version: int = Field(sa_column=Column(BigInteger, nullable=False))
    event_id: UUID = Field(sa_column=Column(Uuid, nullable=False))
    event_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    updated_at: datetime = Field(
        sa_column=Column(UTCDateTime, nullable=False, server_default=text("now()"))
    )
