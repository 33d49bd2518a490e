"""Tables of mobile numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, Text, UniqueConstraint
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime

_OF_READER = (["reader_id", "agency"], ["reader.id", "reader.agency"])


class ReaderPhone(Row, table=True):
    """A reader's number (E.164): one a reader, and one reader's of an agency."""

    __tablename__ = "reader_phone"
    __table_args__: Any = (
        ForeignKeyConstraint(*_OF_READER, ondelete="CASCADE"),
        UniqueConstraint("agency", "number", name="uq_reader_phone_agency_number"),
    )
    reader_id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    number: str = Field(sa_type=Text)
    added_at: datetime = Field(sa_type=UTCDateTime)


class ProofCode(Row, table=True):
    """A code that a signed-in reader has sent to a number that is to be theirs, or to their own mailbox; only its hash is here. Where
    another reader has the number there is a row as well, and its code was sent to nobody."""

    __tablename__ = "proof_code"
    __table_args__: Any = (
        ForeignKeyConstraint(*_OF_READER, ondelete="CASCADE"),
        Index("ix_proof_code_reader_id", "reader_id", "created_at"),
        Index("ix_proof_code_expires_at", "expires_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    sent_to: str = Field(sa_type=Text)
    code_hash: bytes = Field(sa_type=LargeBinary)
    tries: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)


class NumberProof(Row, table=True):
    """A browser has proved a number that no account has. ``email``: the address that it gave for it; empty until it did."""

    __tablename__ = "number_proof"
    __table_args__: Any = (Index("ix_number_proof_expires_at", "expires_at"),)
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    browser_hash: bytes = Field(sa_type=LargeBinary, primary_key=True)
    number: str = Field(sa_type=Text)
    email: str = Field(sa_type=Text, default="")
    expires_at: datetime = Field(sa_type=UTCDateTime)
