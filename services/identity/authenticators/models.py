"""Tables behind the limits on sign-in."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from services.identity.tables import Base
from shared.database import UTCDateTime


class SignInLock(Base, table=True):
    """Failures by e-mail address, known to us or not, and where they came from: a network or a known device."""

    __tablename__ = "sign_in_lock"

    email_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    origin: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    failures: int = Field(sa_column=Column(Integer, nullable=False))
    last_failed_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False, index=True))
    locked_until: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))


class SignInPace(Base, table=True):
    """The latest failures of a whole network, or of one address from everywhere: a sliding window."""

    __tablename__ = "sign_in_pace"

    subject: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    failed_at: list[datetime] = Field(sa_column=Column(ARRAY(UTCDateTime), nullable=False))
    last_failed_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False, index=True))


class KnownDevice(Base, table=True):
    """A browser that this account was signed in from. Its token is in a cookie; here is its SHA-256."""

    __tablename__ = "known_device"

    token_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    account_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("account.id"), primary_key=True, index=True)
    )
    created_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    last_used_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
