"""Tables of collecting; their guards stand in ``migrations/versions/0001_payments.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
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
    key_number: int = 0
    language: str = Field(sa_type=Text, default="vi")
    ask_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    asks: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)
