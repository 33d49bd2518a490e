"""Tables of orders; their guards stand in ``migrations/versions/0001_orders.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class SalesOrder(Row, table=True):
    """What is to be paid: chosen by the reader (a ``sale`` of a period, a pass, an article), the next period of a subscription
    (``renewal``), another plan in the middle of one (``change``). ``state`` is open, paid or closed."""

    __tablename__ = "sales_order"
    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        ForeignKeyConstraint(["price_id", "agency"], ["plan_price.id", "plan_price.agency"]),
        ForeignKeyConstraint(["coupon_id", "agency"], ["coupon.id", "coupon.agency"]),
        ForeignKeyConstraint(
            ["offer_id", "price_id", "agency"],
            ["price_offer.id", "price_offer.price_id", "price_offer.agency"],
        ),
        ForeignKeyConstraint(
            ["subscription_id", "agency"], ["subscription.id", "subscription.agency"]
        ),
        UniqueConstraint("id", "agency", name="uq_sales_order_id_agency"),
        UniqueConstraint("code", name="uq_sales_order_code"),
        Index(
            "uq_sales_order_open",
            "reader_id",
            unique=True,
            postgresql_where=text("state = 'open' AND purpose = 'sale'"),
        ),
        Index(
            "uq_sales_order_owed",
            "subscription_id",
            unique=True,
            postgresql_where=text("state = 'open' AND purpose = 'renewal'"),
        ),
        Index(
            "uq_sales_order_change",
            "subscription_id",
            unique=True,
            postgresql_where=text("state = 'open' AND purpose = 'change'"),
        ),
        Index("ix_sales_order_reader_id", "reader_id", "created_at"),
        Index(
            "ix_sales_order_coupon_id",
            "coupon_id",
            postgresql_where=text("coupon_id IS NOT NULL"),
        ),
        Index("ix_sales_order_offer_id", "offer_id", postgresql_where=text("offer_id IS NOT NULL")),
        Index("ix_sales_order_expires_at", "expires_at", postgresql_where=text("state = 'open'")),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    code: str = Field(sa_type=Text)
    reader_id: UUID
    price_id: UUID
    article: str | None = Field(sa_type=Text, default=None)
    gift: bool = False
    seats: int = 1
    list_vnd: int = Field(sa_type=BigInteger)
    amount_vnd: int = Field(sa_type=BigInteger)
    coupon_id: UUID | None = None
    offer_id: UUID | None = None
    offer_turn: int = 1
    credit_vnd: int = Field(sa_type=BigInteger, default=0)
    trial_days: int | None = None
    purpose: str = Field(sa_type=Text, default="sale")
    renews: bool = False
    subscription_id: UUID | None = None
    starts_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    tries: int = 0
    state: str = Field(sa_type=Text, default="open")
    language: str = Field(sa_type=Text)
    return_to: str = Field(sa_type=Text, default="")
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
    paid_at: datetime | None = Field(sa_type=UTCDateTime, default=None)

    @property
    def in_parts(self) -> bool:
        """Whether it is paid once, by transfer or on a card's page: of which a part was transferred the rest is too."""
        return self.purpose == "change" or (self.purpose == "sale" and not self.renews)


class Gift(Row, table=True):
    """A period that was paid for somebody else, until they redeem it."""

    __tablename__ = "gift"
    __table_args__: Any = (
        ForeignKeyConstraint(["order_id", "agency"], ["sales_order.id", "sales_order.agency"]),
        ForeignKeyConstraint(["redeemed_by", "agency"], ["reader.id", "reader.agency"]),
        Index("ix_gift_redeemed_by", "redeemed_by"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    order_id: UUID = Field(unique=True)
    code: str = Field(sa_type=Text, unique=True)
    created_at: datetime = Field(sa_type=UTCDateTime)
    redeemed_by: UUID | None = None
    redeemed_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
