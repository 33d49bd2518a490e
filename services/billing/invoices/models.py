"""Tables of invoices. Rows are added and read only; the database numbers them and checks their sums."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class InvoiceSeries(Row, table=True):
    """How many invoices a series of an agency has; moved by the database as one is issued."""

    __tablename__ = "invoice_series"
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    series: str = Field(sa_type=Text, primary_key=True)
    last_number: int


class Invoice(Row, table=True):
    """What a reader was billed for one payment, with seller and buyer as they were then.

    ``document`` is the number as it is shown (``26-000123``). Amounts in the currency's smallest unit, for đồng đồng.
    """

    __table_args__: Any = (
        ForeignKeyConstraint(["payment_id", "agency"], ["payment.id", "payment.agency"]),
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        UniqueConstraint("agency", "series", "number", name="uq_invoice_agency_number"),
        UniqueConstraint("payment_id", name="uq_invoice_payment_id"),
        Index("ix_invoice_agency_issued_on", "agency", "issued_on", "number"),
        Index("ix_invoice_reader_id", "reader_id"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    series: str = Field(sa_type=Text)
    number: int
    document: str = Field(sa_type=Text)
    payment_id: UUID
    reader_id: UUID
    issued_at: datetime = Field(sa_type=UTCDateTime)
    issued_on: date = Field(sa_type=Date)
    paid_on: date = Field(sa_type=Date)
    seller_name: str = Field(sa_type=Text)
    buyer_name: str = Field(sa_type=Text)
    buyer_email: str = Field(sa_type=Text)
    language: str = Field(sa_type=Text)
    currency: str = Field(sa_type=Text)
    net_vnd: int = Field(sa_type=BigInteger)
    vat_vnd: int = Field(sa_type=BigInteger)
    gross_vnd: int = Field(sa_type=BigInteger)


class InvoiceLine(Row, table=True):
    """One thing that was sold. ``period_until`` is the first day after those that were bought."""

    __tablename__ = "invoice_line"
    invoice_id: UUID = Field(primary_key=True, foreign_key="invoice.id")
    line_no: int = Field(primary_key=True)
    description_vi: str = Field(sa_type=Text)
    description_en: str = Field(sa_type=Text)
    quantity: int
    unit_gross_vnd: int = Field(sa_type=BigInteger)
    net_vnd: int = Field(sa_type=BigInteger)
    vat_vnd: int = Field(sa_type=BigInteger)
    gross_vnd: int = Field(sa_type=BigInteger)
    vat_treatment: str = Field(sa_type=Text)
    vat_basis_points: int | None = None
    period_from: date | None = Field(sa_type=Date, default=None)
    period_until: date | None = Field(sa_type=Date, default=None)

    def description(self, language: str) -> str:
        return self.description_vi if language == "vi" else self.description_en
