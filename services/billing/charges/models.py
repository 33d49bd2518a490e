"""Tables of collecting, and of what providers say of money that goes back; their guards stand in
``migrations/versions/0001_payments.sql`` and ``0001_returns.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class ProviderCustomer(Row, table=True):
    """A reader as a provider knows them."""

    __tablename__ = "provider_customer"
    provider: str = Field(sa_type=Text, primary_key=True)
    reader_id: UUID = Field(primary_key=True, foreign_key="reader.id")
    external_id: str = Field(sa_type=Text)


class Charge(Row, table=True):
    """One attempt to collect an order, or to be given a card; its id is what the provider's objects carry."""

    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        ForeignKeyConstraint(["order_id", "agency"], ["sales_order.id", "sales_order.agency"]),
        ForeignKeyConstraint(
            ["subscription_id", "agency"], ["subscription.id", "subscription.agency"]
        ),
        ForeignKeyConstraint(["mandate_id", "agency"], ["mandate.id", "mandate.agency"]),
        UniqueConstraint("provider", "page_id", name="uq_charge_page_id"),
        UniqueConstraint("provider", "reference", name="uq_charge_reference"),
        UniqueConstraint("id", "agency", name="uq_charge_id_agency"),
        Index("ix_charge_reader_id", "reader_id"),
        Index("ix_charge_order_id", "order_id"),
        Index(
            "ix_charge_subscription_id",
            "subscription_id",
            postgresql_where=text("subscription_id IS NOT NULL"),
        ),
        Index("ix_charge_ask_at", "ask_at", postgresql_where=text("ask_at IS NOT NULL")),
        Index(
            "uq_charge_page",
            "order_id",
            unique=True,
            postgresql_where=text("kind = 'page' AND state IN ('created', 'open', 'processing')"),
        ),
        Index(
            "uq_charge_mandate",
            "order_id",
            unique=True,
            postgresql_where=text("kind = 'mandate' AND state IN ('created', 'processing')"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    order_id: UUID | None = None
    subscription_id: UUID | None = None
    provider: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    mandate_id: UUID | None = None
    amount_vnd: int = Field(sa_type=BigInteger)
    state: str = Field(sa_type=Text, default="created")
    page_id: str | None = Field(sa_type=Text, default=None)
    url: str = Field(sa_type=Text, default="")
    reference: str | None = Field(sa_type=Text, default=None)
    failure: str = Field(sa_type=Text, default="")
    needs_holder: bool = False
    by_reader: bool = False
    key_number: int = 0
    language: str = Field(sa_type=Text, default="vi")
    ask_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    asks: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)


class ProviderRefund(Row, table=True):
    """What a provider says of a refund, whoever asked for it. Neither moment: on its way; both: it went through and came back."""

    __tablename__ = "provider_refund"
    __table_args__: Any = (
        ForeignKeyConstraint(["payment_id", "agency"], ["payment.id", "payment.agency"]),
        UniqueConstraint("provider", "provider_refund", name="uq_provider_refund_provider_refund"),
        Index("ix_provider_refund_payment_id", "payment_id"),
        Index(
            "ix_provider_refund_failed",
            "agency",
            "failed_at",
            postgresql_where=text("failed_at IS NOT NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    payment_id: UUID
    provider: str = Field(sa_type=Text)
    provider_refund: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    told_at: datetime = Field(sa_type=UTCDateTime)
    succeeded_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    failed_at: datetime | None = Field(sa_type=UTCDateTime, default=None)


class Dispute(Row, table=True):
    """A card holder's bank takes a payment back, until it has decided: ``state`` is open, lost or won.

    What the books have: ``fee_vnd``, the money that was taken (``withdrawn_at``), its return, and the refund of a lost one.
    """

    __table_args__: Any = (
        ForeignKeyConstraint(["payment_id", "agency"], ["payment.id", "payment.agency"]),
        UniqueConstraint("provider", "provider_dispute", name="uq_dispute_provider_dispute"),
        Index("ix_dispute_payment_id", "payment_id"),
        Index("ix_dispute_agency", "agency", "opened_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    payment_id: UUID
    provider: str = Field(sa_type=Text)
    provider_dispute: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    state: str = Field(sa_type=Text, default="open")
    was_lost: bool = False
    opened_at: datetime = Field(sa_type=UTCDateTime)
    decided_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    fee_vnd: int = Field(sa_type=BigInteger, default=0)
    withdrawn_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    reinstated_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    refund_id: UUID | None = Field(default=None, foreign_key="refund.id")


class ForeignMoney(Row, table=True):
    """What a provider took in another currency than the agency's, in that currency's smallest unit; ``returned``: what went back."""

    __tablename__ = "foreign_money"
    __table_args__: Any = (
        ForeignKeyConstraint(["charge_id", "agency"], ["charge.id", "charge.agency"]),
        UniqueConstraint("provider", "reference", name="uq_foreign_money_reference"),
        Index("ix_foreign_money_charge_id", "charge_id"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    charge_id: UUID
    provider: str = Field(sa_type=Text)
    reference: str = Field(sa_type=Text)
    amount: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    captured_at: datetime = Field(sa_type=UTCDateTime)
    returned: int = Field(sa_type=BigInteger, default=0)
    refunds: list[str] = Field(sa_type=ARRAY(Text), default_factory=list)
