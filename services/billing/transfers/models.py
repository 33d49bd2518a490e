"""Tables of bank transfers; their guards stand in ``migrations/versions/0001_transfers.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime

MAX_NUMBER, MAX_HOLDER = 19, 100  # characters


class BankAccount(Row, table=True):
    """An account that an agency's readers transfer to."""

    __tablename__ = "bank_account"
    __table_args__: Any = (UniqueConstraint("agency", "position", name="uq_bank_account_position"),)
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    number: str = Field(sa_type=Text, primary_key=True)
    bank_bin: str = Field(sa_type=Text)
    holder: str = Field(sa_type=Text)
    position: int


class BankCredit(Row, table=True):
    """Money that came into an account. ``left_vnd`` is neither an order's nor returned; ``reason`` says why."""

    __tablename__ = "bank_credit"
    __table_args__: Any = (
        ForeignKeyConstraint(["agency", "account"], ["bank_account.agency", "bank_account.number"]),
        ForeignKeyConstraint(["order_id", "agency"], ["sales_order.id", "sales_order.agency"]),
        UniqueConstraint("id", "agency", name="uq_bank_credit_id_agency"),
        Index(
            "ix_bank_credit_agency_occurred_at", "agency", text("occurred_at DESC"), text("id DESC")
        ),
        Index(
            "ix_bank_credit_waiting", "agency", "occurred_at", postgresql_where=text("left_vnd > 0")
        ),
        Index("ix_bank_credit_reference", "agency", "account", "reference", "amount_vnd"),
        Index("ix_bank_credit_order_id", "order_id"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    account: str = Field(sa_type=Text)
    reference: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    note: str = Field(sa_type=Text)
    payer: str = Field(sa_type=Text)
    occurred_at: datetime = Field(sa_type=UTCDateTime)
    received_at: datetime = Field(sa_type=UTCDateTime)
    order_id: UUID | None = None
    left_vnd: int = Field(sa_type=BigInteger)
    reason: str = Field(sa_type=Text, default="")


class BankNotice(Row, table=True):
    """One source's report of a credit."""

    __tablename__ = "bank_notice"
    __table_args__: Any = (
        ForeignKeyConstraint(["credit_id", "agency"], ["bank_credit.id", "bank_credit.agency"]),
        Index("ix_bank_notice_credit_id", "credit_id"),
    )
    agency: str = Field(sa_type=Text, primary_key=True)
    source: str = Field(sa_type=Text, primary_key=True)
    external_id: str = Field(sa_type=Text, primary_key=True)
    credit_id: UUID


class CreditUse(Row, table=True):
    """A part of a credit that paid an order, or went back to the payer."""

    __tablename__ = "credit_use"
    __table_args__: Any = (
        ForeignKeyConstraint(["credit_id", "agency"], ["bank_credit.id", "bank_credit.agency"]),
        ForeignKeyConstraint(["order_id", "agency"], ["sales_order.id", "sales_order.agency"]),
        UniqueConstraint("agency", "returned_as", name="uq_credit_use_returned_as"),
        Index("ix_credit_use_credit_id", "credit_id"),
        Index("ix_credit_use_order_id", "order_id"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    credit_id: UUID
    order_id: UUID | None = None
    amount_vnd: int = Field(sa_type=BigInteger)
    returned_as: str | None = Field(sa_type=Text, default=None)
    why: str = Field(sa_type=Text, default="")
    used_at: datetime = Field(sa_type=UTCDateTime)
