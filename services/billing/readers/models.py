"""Tables of readers. A reader belongs to one agency; every reference carries the agency, so none crosses."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Computed,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class Reader(Row, table=True):
    """Somebody who reads one agency's site under an e-mail address that was proved."""

    __table_args__: Any = (
        UniqueConstraint("agency", "email", name="uq_reader_agency_email"),
        UniqueConstraint("id", "agency", name="uq_reader_id_agency"),
        Index("ix_reader_agency_created_at", "agency", text("created_at DESC"), text("id DESC")),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text, foreign_key="agency.id")
    email: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text, default="")
    language: str = Field(sa_type=Text, default="vi")
    created_at: datetime = Field(sa_type=UTCDateTime)
    #: The mailbox was a reader's before, who had a subscription and was erased.
    returned: bool = False
    #: When their data was deleted: what is left of them is this row, which the books refer to.
    erased_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    #: Name and address without marks and case; the database writes it.
    search: str | None = Field(
        default=None,
        sa_column=Column(Text, Computed("folded(((name || ' '::text) || email))", persisted=True)),
    )


class FormerReader(Row, table=True):
    """A mailbox whose reader had a subscription and was erased, as a keyed hash; see ``rules.former_hash``."""

    __tablename__ = "former_reader"
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    mailbox_hash: bytes = Field(sa_type=LargeBinary, primary_key=True)


class ReaderSession(Row, table=True):
    """A signed-in browser. Its two tokens, the session's and the browser's own, are only in cookies."""

    __tablename__ = "reader_session"
    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        Index("ix_reader_session_reader_id", "reader_id"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    token_hash: bytes = Field(sa_type=LargeBinary, unique=True)
    user_agent: str = Field(sa_type=Text, default="")
    network: str = Field(sa_type=Text, default="")
    browser_hash: bytes = Field(sa_type=LargeBinary)
    #: Opened by a code to the mobile number, and not confirmed by the mailbox since.
    by_number: bool = False
    created_at: datetime = Field(sa_type=UTCDateTime)
    last_seen_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
    ended_at: datetime | None = Field(sa_type=UTCDateTime, default=None)


class Consent(Row, table=True):
    """What a reader said about one purpose, with the proof. Append-only: the newest row counts."""

    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        Index("ix_consent_reader_id_purpose", "reader_id", "purpose"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    purpose: str = Field(sa_type=Text)
    version: int
    granted: bool
    language: str = Field(sa_type=Text)
    wording: str = Field(sa_type=Text)
    network: str = Field(sa_type=Text)
    user_agent: str = Field(sa_type=Text)
    given_at: datetime = Field(sa_type=UTCDateTime)
