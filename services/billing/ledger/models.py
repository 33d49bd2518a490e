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

from services.billing.ledger.rules import PROVIDER_KINDS
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


class Books(Row, table=True):
    """How far an agency's books have come; who posts holds the row until COMMIT."""

    __tablename__ = "books"
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    opened_through: date = Field(sa_type=Date)
    counted_through: date = Field(sa_type=Date)
    closed_through: date | None = Field(sa_type=Date, default=None)


class AccountDay(Row, table=True):
    """What an account moved by on a day; kept by the database as lines are posted."""

    __tablename__ = "account_day"
    agency: str = Field(sa_type=Text, primary_key=True)
    account: str = Field(sa_type=Text, primary_key=True)
    currency: str = Field(sa_type=Text, primary_key=True)
    booked_on: date = Field(sa_type=Date, primary_key=True)
    debit_vnd: int = Field(sa_type=BigInteger)
    credit_vnd: int = Field(sa_type=BigInteger)


class JournalEntry(Row, table=True):
    """One fact in the books. Never changed, never deleted; its business key is there once."""

    __tablename__ = "journal_entry"
    __table_args__: Any = (
        UniqueConstraint("agency", "business_key", name="uq_journal_entry_agency_business_key"),
        UniqueConstraint("reverses", name="uq_journal_entry_reverses"),
        Index("ix_journal_entry_agency_booked_on", "agency", "booked_on", "id"),
        Index("ix_journal_entry_source", "source_id"),
        Index(
            "ix_journal_entry_provider",
            *("agency", "id"),
            postgresql_where=text(f"kind IN {PROVIDER_KINDS!r}"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text, foreign_key="books.agency")
    currency: str = Field(sa_type=Text)
    business_key: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    source_id: UUID
    occurred_on: date = Field(sa_type=Date)
    booked_on: date = Field(sa_type=Date)
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
            "ix_journal_line_agency_account",
            *("agency", "account", "booked_on", "entry_id"),
            postgresql_include=["amount_vnd"],
        ),
    )
    entry_id: UUID = Field(primary_key=True)
    line_no: int = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    account: str = Field(sa_type=Text)
    booked_on: date = Field(sa_type=Date)
    amount_vnd: int = Field(sa_type=BigInteger)
