"""Tables of second factors."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, Uuid
from sqlmodel import Field

from services.identity.tables import Base
from shared.database import UTCDateTime


class TotpFactor(Base, table=True):
    """An account's authenticator app. ``secret`` is sealed; ``last_step``: the newest period whose code was used."""

    __tablename__ = "totp_factor"

    account_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("account.id"), primary_key=True))
    secret: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    last_step: int = Field(sa_column=Column(BigInteger, nullable=False))
    created_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))


class RecoveryCode(Base, table=True):
    """A code for whoever has lost the app: good once, kept as its SHA-256."""

    __tablename__ = "recovery_code"

    account_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("account.id"), primary_key=True))
    code_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    used_at: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
