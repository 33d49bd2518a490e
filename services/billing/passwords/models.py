"""Tables of readers' passwords; their guards stand in ``migrations/versions/0001_passwords.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, Text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime

_OF_READER = (["reader_id", "agency"], ["reader.id", "reader.agency"])


class ReaderPassword(Row, table=True):
    """The one password of a reader, as an argon2id hash. ``id`` is another one with each choice, and the same after a rehash."""

    __tablename__ = "reader_password"
    __table_args__: Any = (ForeignKeyConstraint(*_OF_READER, ondelete="CASCADE"),)
    reader_id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    id: UUID = Field(unique=True)
    password_hash: str = Field(sa_type=Text)
    set_at: datetime = Field(sa_type=UTCDateTime)
    changed_at: datetime = Field(sa_type=UTCDateTime)

    def __repr__(self) -> str:
        return f"ReaderPassword(reader_id={self.reader_id})"


class PasswordCode(Row, table=True):
    """A code that was sent to a reader's mailbox, for setting or removing a password; only its hash is here."""

    __tablename__ = "password_code"
    __table_args__: Any = (
        ForeignKeyConstraint(*_OF_READER, ondelete="CASCADE"),
        Index("ix_password_code_reader_id", "reader_id", "created_at"),
        Index("ix_password_code_expires_at", "expires_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    address: str = Field(sa_type=Text)
    code_hash: bytes = Field(sa_type=LargeBinary)
    tries: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
