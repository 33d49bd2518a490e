"""Tables of refunds that are asked for; their guards stand in ``migrations/versions/0001_refunds.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Text, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class BankPayout(Row, table=True):
    """The bank's reference of a transfer out of an agency's accounts: each is used once."""

    __tablename__ = "bank_payout"
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    reference: str = Field(sa_type=Text, primary_key=True)


class RefundRequest(Row, table=True):
    """Money that is to go back of a payment; ``state`` is asked, approved, paid or refused; what a provider collected goes back
    through it (``by_card``), and is ``sent`` before it is paid, or failed.

    ``second_person``: whoever asked may not approve it. The database decides both when the row is made.
    """

    __tablename__ = "refund_request"
    __table_args__: Any = (
        ForeignKeyConstraint(["payment_id", "agency"], ["payment.id", "payment.agency"]),
        Index("ix_refund_request_payment_id", "payment_id"),
        Index(
            "ix_refund_request_agency_state",
            "agency",
            "state",
            text("asked_at DESC"),
            text("id DESC"),
        ),
        Index("ix_refund_request_ask_at", "ask_at", postgresql_where=text("ask_at IS NOT NULL")),
        Index(
            "ix_refund_request_provider_refund",
            "provider_refund",
            postgresql_where=text("provider_refund IS NOT NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    payment_id: UUID
    amount_vnd: int = Field(sa_type=BigInteger)
    reason: str = Field(sa_type=Text)
    approval_from_vnd: int = Field(sa_type=BigInteger)
    second_person: bool = True
    by_card: bool = False
    state: str = Field(sa_type=Text, default="asked")
    asked_by: str = Field(sa_type=Text)
    asked_name: str = Field(sa_type=Text)
    asked_at: datetime = Field(sa_type=UTCDateTime)
    approved_by: str | None = Field(sa_type=Text, default=None)
    approved_name: str | None = Field(sa_type=Text, default=None)
    approved_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    refused_by: str | None = Field(sa_type=Text, default=None)
    refused_name: str | None = Field(sa_type=Text, default=None)
    refused_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    refused_why: str | None = Field(sa_type=Text, default=None)
    paid_by: str | None = Field(sa_type=Text, default=None)
    paid_name: str | None = Field(sa_type=Text, default=None)
    paid_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    bank_reference: str | None = Field(sa_type=Text, default=None)
    sent_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    provider_refund: str | None = Field(sa_type=Text, default=None)
    failed_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    failure: str = Field(sa_type=Text, default="")
    ask_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    asks: int = 0
    key_number: int = 0
