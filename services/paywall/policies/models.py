"""Policies: one row a version."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.paywall.tables import Base
from shared.database import UTCDateTime


class PolicyVersionRow(Base, table=True):
    """One version of an agency's policy. Versions are only ever added: the newest one is in force."""

    __tablename__ = "policy_version"

    agency: str = Field(sa_column=Column(Text, ForeignKey("agency.id"), primary_key=True))
    version: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    document: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = Field(
        sa_column=Column(UTCDateTime, nullable=False, server_default=text("now()"))
    )
    created_by: str = Field(sa_column=Column(Text, nullable=False))
