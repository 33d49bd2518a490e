"""The table of service keys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, LargeBinary, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from services.identity.tables import Base
from shared.database import UTCDateTime


class ServiceKey(Base, table=True):
    """A key of a website or system. The key itself is shown once; here is its SHA-256."""

    __tablename__ = "service_key"

    id: str = Field(sa_column=Column(Text, primary_key=True))
    request_id: UUID = Field(sa_column=Column(Uuid, nullable=False, unique=True))
    agency: str = Field(sa_column=Column(Text, ForeignKey("agency.id"), nullable=False, index=True))
    name: str = Field(sa_column=Column(Text, nullable=False))
    key_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    prefix: str = Field(sa_column=Column(Text, nullable=False))
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    created_by: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("account.id")))
    replaces: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("service_key.id")))
    last_used_at: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
    expires_at: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
    revoked_at: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
