"""The table of invitations."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from services.identity.tables import Base
from shared.database import UTCDateTime


class Purpose(StrEnum):
    """``JOIN`` gives roles at an agency; ``RESET`` lets a member choose a new password."""

    JOIN = "join"
    RESET = "reset"


class Invitation(Base, table=True):
    """A mailed link: who follows it has proved the address. Of its token only the SHA-256 is here."""

    __tablename__ = "invitation"
    __table_args__ = (
        Index(
            "uq_invitation_open",
            "agency",
            "email",
            "purpose",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND withdrawn_at IS NULL"),
        ),
    )

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    purpose: str = Field(sa_column=Column(Text, nullable=False))
    agency: str = Field(sa_column=Column(Text, ForeignKey("agency.id"), nullable=False))
    email: str = Field(sa_column=Column(Text, nullable=False))
    name: str = Field(sa_column=Column(Text, nullable=False))
    roles: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    token_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    invited_by: UUID | None = Field(default=None, sa_column=Column(Uuid, ForeignKey("account.id")))
    created_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    expires_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    accepted_at: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
    withdrawn_at: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
