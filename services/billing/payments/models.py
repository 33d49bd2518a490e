"""Tables of payments. Amounts in whole đồng; every reference carries the agency."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class Payment(Row, table=True):
    """Money that was captured for an order: what it bought and what was given back of it.

    ``reference`` is the provider's. The period is None while a gift is not redeemed. Money that no order takes, which a person gives
    back, has ``surplus_of`` instead of ``order_id``: the order that it was asked for.
    """

    __table_args__: Any = (
        ForeignKeyConstraint(
            ["subscription_id", "agency"], ["subscription.id", "subscription.agency"]
        ),
        ForeignKeyConstraint(["order_id", "agency"], ["sales_order.id", "sales_order.agency"]),
        ForeignKeyConstraint(["surplus_of", "agency"], ["sales_order.id", "sales_order.agency"]),
        ForeignKeyConstraint(["replaced_by", "agency"], ["payment.id", "payment.agency"]),
        ForeignKeyConstraint(["restored_from", "agency"], ["payment.id", "payment.agency"]),
        UniqueConstraint("provider", "reference", name="uq_payment_reference"),
        UniqueConstraint("id", "agency", name="uq_payment_id_agency"),
        Index("ix_payment_subscription_id", "subscription_id"),
        Index("ix_payment_reader_id", "reader_id", "paid_at"),
        Index(
            "ix_payment_replaced_by",
            "replaced_by",
            postgresql_where=text("replaced_by IS NOT NULL"),
        ),
        Index(
            "ix_payment_restored_from",
            "restored_from",
            postgresql_where=text("restored_from IS NOT NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    subscription_id: UUID | None = None
    reader_id: UUID = Field(foreign_key="reader.id")
    order_id: UUID | None = Field(default=None, unique=True)
    surplus_of: UUID | None = None
    provider: str = Field(sa_type=Text)
    reference: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    refunded_vnd: int = Field(sa_type=BigInteger, default=0)
    seats: int = 1
    period_start: datetime | None = Field(sa_type=UTCDateTime, default=None)
    period_end: datetime | None = Field(sa_type=UTCDateTime, default=None)
    cut_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    paid_at: datetime = Field(sa_type=UTCDateTime)
    replaced_by: UUID | None = None
    restored_from: UUID | None = None


class Refund(Row, table=True):
    """Money given back, and how it split between what was not yet earned and what was.

    ``kind`` is ``refund`` or ``dispute`` (one that was lost). ``failed_at``: it came back to us after all.
    """

    __table_args__: Any = (
        ForeignKeyConstraint(["payment_id", "agency"], ["payment.id", "payment.agency"]),
        UniqueConstraint("agency", "provider", "provider_refund", name="uq_refund_provider_refund"),
        Index("ix_refund_payment_id", "payment_id"),
        Index("ix_refund_failed_at", "failed_at", postgresql_where=text("failed_at IS NOT NULL")),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    payment_id: UUID
    provider: str = Field(sa_type=Text)
    provider_refund: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    deferred_vnd: int = Field(sa_type=BigInteger)
    refunded_at: datetime = Field(sa_type=UTCDateTime)
    kind: str = Field(sa_type=Text, default="refund")
    failed_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
