"""Tables behind the limits on sign-in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Integer, LargeBinary, Text
from sqlmodel import Field

from services.identity.tables import Base
from shared.database import UTCDateTime


class SignInLock(Base, table=True):
    """Failures by e-mail address, known to us or not: an attacker learns nothing from it."""

    __tablename__ = "sign_in_lock"

    email_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    failures: int = Field(sa_column=Column(Integer, nullable=False))
    last_failed_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False, index=True))
    locked_until: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))


class SignInNetwork(Base, table=True):
    """Failures by network in the present window."""

    __tablename__ = "sign_in_network"

    network: str = Field(sa_column=Column(Text, primary_key=True))
    window_started_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False, index=True))
    failures: int = Field(sa_column=Column(Integer, nullable=False))
