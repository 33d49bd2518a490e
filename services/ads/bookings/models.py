"""Orders, lines, what happened to them, and answers kept for repeated requests."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
)
from sqlmodel import Field

from services.ads.metadata import AdsTable, id_field, moment_field, text_field
from shared.database import vnd_column


class Order(AdsTable, table=True):
    """An insertion order of one advertiser; its lines are what is booked. Its number counts the agency's own orders."""

    __tablename__ = "ad_order"
    __table_args__ = (
        UniqueConstraint("agency_id", "id"),
        UniqueConstraint("agency_id", "number"),
        ForeignKeyConstraint(
            ["agency_id", "advertiser_id"], ["advertiser.agency_id", "advertiser.id"]
        ),
    )
    id: UUID = id_field()
    agency_id: str = text_field("agency_id")
    number: int = Field(sa_column=Column("number", BigInteger, nullable=False))
    advertiser_id: UUID
    name: str = text_field("name")
    created_by: str = text_field("created_by")
    created_at: datetime = moment_field("created_at")


class OrderCounter(AdsTable, table=True):
    """The number of an agency's newest order. One sequence for all would tell each how much the others sell."""

    __tablename__ = "order_counter"
    agency_id: str = Field(
        sa_column=Column("agency_id", Text, ForeignKey("agency.id"), primary_key=True)
    )
    last_number: int = Field(sa_column=Column("last_number", BigInteger, nullable=False))


class Line(AdsTable, table=True):
    """A product, a flight and a quantity at a price. House lines have no goal, no price and no hold."""

    __tablename__ = "line"
    __table_args__ = (
        UniqueConstraint("agency_id", "id"),
        ForeignKeyConstraint(["agency_id", "order_id"], ["ad_order.agency_id", "ad_order.id"]),
        ForeignKeyConstraint(["agency_id", "product_id"], ["product.agency_id", "product.id"]),
        Index("ix_line_agency_id_status", "agency_id", "status"),
    )
    id: UUID = id_field()
    agency_id: str = text_field("agency_id")
    order_id: UUID
    product_id: UUID
    name: str = text_field("name")
    search_name: str = text_field("search_name")
    priority: str = text_field("priority", "guaranteed")
    pacing: str = text_field("pacing", "even")
    status: str = text_field("status", "Draft")
    starts_on: date
    ends_on: date
    quantity: int
    cpm_vnd: int = Field(sa_column=vnd_column(name="cpm_vnd"))
    amount_vnd: int = Field(sa_column=vnd_column(name="amount_vnd"))
    vat_vnd: int = Field(sa_column=vnd_column(name="vat_vnd"))
    hold_expires_at: datetime | None = moment_field("hold_expires_at", nullable=True)
    version: int = 1
    created_at: datetime = moment_field("created_at")


class LineChange(AdsTable, table=True):
    """The history of a line: append-only, one row a version, also what time did (who asked for it: the audit trail)."""

    __tablename__ = "line_change"
    __table_args__ = (
        ForeignKeyConstraint(["agency_id", "line_id"], ["line.agency_id", "line.id"]),
    )
    line_id: UUID = Field(primary_key=True)
    version: int = Field(sa_column=Column("version", Integer, primary_key=True))
    agency_id: str = text_field("agency_id")
    action: str = text_field("action")
    from_status: str = text_field("from_status")
    to_status: str = text_field("to_status")
    actor: str = text_field("actor")
    note: str = text_field("note", "")
    at: datetime = moment_field("at")


class IdempotencyKey(AdsTable, table=True):
    """The answer given to a request, kept with its effect so that a repeat gets the same answer."""

    __tablename__ = "idempotency_key"
    __table_args__ = (ForeignKeyConstraint(["agency_id"], ["agency.id"]),)
    agency_id: str = Field(sa_column=Column("agency_id", Text, primary_key=True))
    key: str = Field(sa_column=Column("key", Text, primary_key=True))
    fingerprint: bytes = Field(sa_column=Column("fingerprint", LargeBinary, nullable=False))
    status_code: int | None = None
    body: bytes | None = Field(default=None, sa_column=Column("body", LargeBinary))
    headers: str = text_field("headers", "{}")
    created_at: datetime = moment_field("created_at")
