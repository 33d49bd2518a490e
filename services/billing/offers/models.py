"""Tables of offers; their guards stand in ``migrations/versions/0001_offers.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
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


class PriceOffer(Row, table=True):
    """An amount in the place of a price's own, in whole đồng a period. ``kind``: intro, winback or student."""

    __tablename__ = "price_offer"
    __table_args__: Any = (
        ForeignKeyConstraint(["price_id", "agency"], ["plan_price.id", "plan_price.agency"]),
        UniqueConstraint("id", "price_id", "agency", name="uq_price_offer_id_price_id"),
        Index(
            "uq_price_offer_current",
            "price_id",
            "kind",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    price_id: UUID
    kind: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    periods: int | None = None
    valid_from: datetime = Field(sa_type=UTCDateTime)
    valid_until: datetime | None = Field(sa_type=UTCDateTime, default=None)
    lapsed_days: int | None = None
    again_days: int | None = None
    domains: list[str] = Field(sa_type=ARRAY(Text), default_factory=list)
    created_at: datetime = Field(sa_type=UTCDateTime)
    ended_at: datetime | None = Field(sa_type=UTCDateTime, default=None)


class StudentAddress(Row, table=True):
    """The address by which a reader proved to be a student, until ``valid_until``."""

    __tablename__ = "student_address"
    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        UniqueConstraint("agency", "mailbox", name="uq_student_address_mailbox"),
    )
    reader_id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    address: str = Field(sa_type=Text)
    mailbox: str = Field(sa_type=Text)
    verified_at: datetime = Field(sa_type=UTCDateTime)
    valid_until: datetime = Field(sa_type=UTCDateTime)


class StudentCode(Row, table=True):
    """A code that was sent to a student's address; only its hash is here."""

    __tablename__ = "student_code"
    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        Index("ix_student_code_reader_id", "reader_id", "created_at"),
        Index("ix_student_code_expires_at", "expires_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    address: str = Field(sa_type=Text)
    code_hash: bytes = Field(sa_type=LargeBinary)
    tries: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
