"""Tables of the books. Debits are positive, credits negative; an entry's lines sum to zero."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Date,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class LedgerAccount(Row, table=True):
    """An account of one agency's chart, and its number in the agency's own chart."""

    __tablename__ = "ledger_account"
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    code: str = Field(sa_type=Text, primary_key=True)
    kind: str = Field(sa_type=Text)
    local_code: str = Field(sa_type=Text)
    name_vi: str = Field(sa_type=Text)
    name_en: str = Field(sa_type=Text)
    position: int


class JournalEntry(Row, table=True):
    """One fact in the books. Never changed, never deleted; its business key is there once."""

    __tablename__ = "journal_entry"
    __table_args__: Any = (
        UniqueConstraint("agency", "business_key", name="uq_journal_entry_agency_business_key"),
        Index("ix_journal_entry_agency_posted_at", "agency", "posted_at"),
        Index("ix_journal_entry_source", "source_id"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text, foreign_key="agency.id")
    currency: str = Field(sa_type=Text)
    business_key: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    source_id: UUID
    occurred_on: date = Field(sa_type=Date)
    occurred_at: datetime = Field(sa_type=UTCDateTime)
    posted_at: datetime = Field(sa_type=UTCDateTime)
    reverses: UUID | None = Field(default=None, foreign_key="journal_entry.id")
    created_xid: int = Field(sa_type=BigInteger)


class JournalLine(Row, table=True):
    """One side of an entry."""

    __tablename__ = "journal_line"
    __table_args__: Any = (
        ForeignKeyConstraint(
            ["agency", "account"], ["ledger_account.agency", "ledger_account.code"]
        ),
        Index(
            "ix_journal_line_agency_account", "agency", "account", postgresql_include=["amount_vnd"]
        ),
    )
    entry_id: UUID = Field(primary_key=True, foreign_key="journal_entry.id")
    line_no: int = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    account: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)


class RecognitionSchedule(Row, table=True):
    """Revenue of one payment over the days it bought: ``ends_on`` and ``next_on`` are exclusive ends."""

    __tablename__ = "recognition_schedule"
    __table_args__: Any = (
        ForeignKeyConstraint(["payment_id", "agency"], ["payment.id", "payment.agency"]),
        Index("ix_recognition_schedule_payment_id", "payment_id"),
        Index(
            "ix_recognition_schedule_due",
            "next_on",
            postgresql_where=text("closed_on IS NULL AND next_on < ends_on"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    payment_id: UUID
    currency: str = Field(sa_type=Text)
    starts_on: date = Field(sa_type=Date)
    ends_on: date = Field(sa_type=Date)
    total_vnd: int = Field(sa_type=BigInteger)
    next_on: date = Field(sa_type=Date)
    recognised_vnd: int = Field(sa_type=BigInteger, default=0)
    reversed_vnd: int = Field(sa_type=BigInteger, default=0)
    carried_vnd: int = Field(sa_type=BigInteger, default=0)
    closed_on: date | None = Field(sa_type=Date, default=None)
