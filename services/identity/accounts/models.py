"""Tables of accounts. Constraints and triggers are in the migrations."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Text, Uuid
from sqlmodel import Field

from services.identity.tables import Base
from shared.database import UTCDateTime


class DisabledReason(StrEnum):
    ADMINISTRATOR = "administrator"
    DORMANT = "dormant"


class Account(Base, table=True):
    """A member of staff.

    ``one_time_until``: the password was set by somebody else and must be changed. ``home_agency``: whose
    administrators look after the account. ``handed_by``: the agency whose administrator handed out a one-time
    password after the person last proved the address by mail; until that happens again, only this agency's roles work.
    """

    __tablename__ = "account"

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    email: str = Field(sa_column=Column(Text, nullable=False, unique=True))
    name: str = Field(sa_column=Column(Text, nullable=False))
    password_hash: str | None = Field(default=None, sa_column=Column(Text))
    one_time_until: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
    password_changed_at: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
    home_agency: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("agency.id")))
    handed_by: str | None = Field(default=None, sa_column=Column(Text, ForeignKey("agency.id")))
    created_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    last_active_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    disabled_at: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
    disabled_reason: str | None = Field(default=None, sa_column=Column(Text))


class AccountRole(Base, table=True):
    """One role of one account at one agency."""

    __tablename__ = "account_role"

    account_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("account.id"), primary_key=True))
    agency: str = Field(
        sa_column=Column(Text, ForeignKey("agency.id"), primary_key=True, index=True)
    )
    role: str = Field(sa_column=Column(Text, primary_key=True))


class PasswordHistory(Base, table=True):
    """Hashes of former passwords, so that none of the last ten is used again."""

    __tablename__ = "password_history"

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    account_id: UUID = Field(
        sa_column=Column(Uuid, ForeignKey("account.id"), nullable=False, index=True)
    )
    password_hash: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
