"""The table of sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from services.identity.tables import Base
from shared.database import UTCDateTime


class StaffSession(Base, table=True):
    """A session. The token itself is only in the browser's cookie; here is its SHA-256.

    ``factors``: how the person has proved who they are. ``authenticated_at``: when they last did.
    ``enrolling``: the sealed secret of an authenticator app that this session is being shown.
    """

    __tablename__ = "staff_session"
    __table_args__ = (
        Index(
            "ix_staff_session_account_id",
            "account_id",
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    token_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    account_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("account.id"), nullable=False))
    created_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    last_seen_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    expires_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False, index=True))
    ended_at: datetime | None = Field(default=None, sa_column=Column(UTCDateTime))
    network: str = Field(sa_column=Column(Text, nullable=False))
    user_agent: str = Field(sa_column=Column(Text, nullable=False))
    factors: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    authenticated_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    enrolling: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
