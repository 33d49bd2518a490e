"""Policies and the audit trail of those who changed them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    Uuid,
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


class AuditRow(Base, table=True):
    """Who changed what, when, from what to what. The database refuses to change or delete a row."""

    __tablename__ = "audit_trail"
    __table_args__ = (Index("ix_audit_trail_agency_at", "agency", "at"),)

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    agency: str = Field(sa_column=Column(Text, ForeignKey("agency.id"), nullable=False))
    account_id: UUID | None = Field(default=None, sa_column=Column(Uuid))
    actor: str = Field(sa_column=Column(Text, nullable=False))
    action: str = Field(sa_column=Column(Text, nullable=False))
    subject: str = Field(sa_column=Column(Text, nullable=False))
    before: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    after: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
