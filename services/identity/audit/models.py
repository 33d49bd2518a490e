"""The audit trail's table."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.identity.tables import Base
from shared.database import UTCDateTime


class Kind(StrEnum):
    """What happened. Names never change once written."""

    SIGNED_IN = "signed-in"
    SIGN_IN_FAILED = "sign-in-failed"
    LOCKED_OUT = "locked-out"
    NETWORK_LIMITED = "network-limited"
    LOCK_CLEARED = "lock-cleared"
    SIGNED_OUT = "signed-out"
    SESSION_ENDED = "session-ended"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 (a name)
    PASSWORD_RESET = "password-reset"  # noqa: S105 (a name)
    ACCOUNT_CREATED = "account-created"
    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_ENABLED = "account-enabled"
    ROLES_CHANGED = "roles-changed"
    KEY_CREATED = "key-created"
    KEY_ROTATED = "key-rotated"
    KEY_REVOKED = "key-revoked"


class AuditEntry(Base, table=True):
    """One thing that happened. The database refuses changes and deletions."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_agency_at", "agency", "at"),)

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    kind: str = Field(sa_column=Column(Text, nullable=False))
    actor_id: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("account.id")))
    account_id: UUID | None = Field(
        default=None, sa_column=Column(Uuid, ForeignKey("account.id"), index=True)
    )
    agency: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("agency.id")))
    network: str = Field(sa_column=Column(Text, nullable=False))
    detail: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
