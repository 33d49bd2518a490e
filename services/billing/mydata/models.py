"""The table of codes that confirm a deletion; its guards stand in ``migrations/versions/0001_erasure.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, Text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class ErasureCode(Row, table=True):
    """A code that was sent to the mailbox of who wants their data deleted; only its hash is here."""

    __tablename__ = "erasure_code"
    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        Index("ix_erasure_code_reader_id", "reader_id", "created_at"),
        Index("ix_erasure_code_expires_at", "expires_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    code_hash: bytes = Field(sa_type=LargeBinary)
    tries: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
