"""Tables of changes of address; their guard stands in ``migrations/versions/0001_addresses.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, Text, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime

_OF_READER = (["reader_id", "agency"], ["reader.id", "reader.agency"])


class AddressCode(Row, table=True):
    """A code for the mailbox that a reader wants to sign in with from now on; only its hash is here. Where another reader has the
    address there is a row as well, and its code was sent to nobody."""

    __tablename__ = "address_code"
    __table_args__: Any = (
        ForeignKeyConstraint(*_OF_READER, ondelete="CASCADE"),
        Index("ix_address_code_reader_id", "reader_id", "created_at"),
        Index("ix_address_code_expires_at", "expires_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    address: str = Field(sa_type=Text)
    code_hash: bytes = Field(sa_type=LargeBinary)
    tries: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)


class AddressChange(Row, table=True):
    """A change that was made, with the browser that made it. ``undone_at``: it was taken back, by the mailbox of the old address."""

    __tablename__ = "address_change"
    __table_args__: Any = (
        ForeignKeyConstraint(*_OF_READER, ondelete="CASCADE"),
        Index("ix_address_change_reader_id", "reader_id", "changed_at"),
        Index(
            "ix_address_change_old_email",
            "agency",
            "old_email",
            postgresql_where=text("undone_at IS NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    old_email: str = Field(sa_type=Text)
    new_email: str = Field(sa_type=Text)
    changed_at: datetime = Field(sa_type=UTCDateTime)
    undo_until: datetime = Field(sa_type=UTCDateTime)
    network: str = Field(sa_type=Text)
    user_agent: str = Field(sa_type=Text)
    undone_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
