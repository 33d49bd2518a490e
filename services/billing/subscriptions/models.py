"""Tables of subscriptions and the rights that follow from them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Date,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class DunningPolicy(Row, table=True):
    """How an agency collects what renews by itself. Days and hours; see ``rules.Dunning``."""

    __tablename__ = "dunning"
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    ahead_hours: int
    retry_days: list[int] = Field(sa_type=ARRAY(Integer))
    grace_days: int


class Mandate(Row, table=True):
    """A means of payment that a reader let us charge again."""

    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        UniqueConstraint("id", "agency", name="uq_mandate_id_agency"),
        UniqueConstraint("provider", "method", name="uq_mandate_method"),
        Index("ix_mandate_reader_id", "reader_id"),
        Index("ix_mandate_customer", "provider", "customer"),
        Index("ix_mandate_let_go_at", "let_go_at", postgresql_where=text("let_go_at IS NOT NULL")),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    provider: str = Field(sa_type=Text)
    customer: str = Field(sa_type=Text)
    method: str = Field(sa_type=Text)
    label: str = Field(sa_type=Text, default="")
    expires_on: date | None = Field(sa_type=Date, default=None)
    created_at: datetime = Field(sa_type=UTCDateTime)
    revoked_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    let_go_at: datetime | None = Field(sa_type=UTCDateTime, default=None)


class Subscription(Row, table=True):
    """A reader's agreement to pay for a plan. ``version`` grows with every change."""

    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        ForeignKeyConstraint(["price_id", "agency"], ["plan_price.id", "plan_price.agency"]),
        ForeignKeyConstraint(["next_price_id", "agency"], ["plan_price.id", "plan_price.agency"]),
        ForeignKeyConstraint(["mandate_id", "agency"], ["mandate.id", "mandate.agency"]),
        ForeignKeyConstraint(
            ["offer_id", "price_id", "agency"],
            ["price_offer.id", "price_offer.price_id", "price_offer.agency"],
        ),
        UniqueConstraint("id", "agency", name="uq_subscription_id_agency"),
        Index("ix_subscription_reader_id", "reader_id"),
        Index(
            "uq_subscription_term",
            "reader_id",
            unique=True,
            postgresql_where=text("collection = 'term'"),
        ),
        Index(
            "ix_subscription_mandate_id",
            "mandate_id",
            postgresql_where=text("mandate_id IS NOT NULL"),
        ),
        Index("ix_subscription_agency_created_at", "agency", "created_at"),
        Index("ix_subscription_period_end", "period_end"),
        Index(
            "ix_subscription_paused_until",
            "paused_until",
            postgresql_where=text("paused_until IS NOT NULL"),
        ),
        Index(
            "ix_subscription_offer_id", "offer_id", postgresql_where=text("offer_id IS NOT NULL")
        ),
        Index(
            "ix_subscription_review_at",
            "review_at",
            postgresql_where=text("review_at IS NOT NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    price_id: UUID
    next_price_id: UUID | None = None
    seats: int = 1
    next_seats: int | None = None
    collection: str = Field(sa_type=Text)
    mandate_id: UUID | None = None
    anchor_day: int
    state: str = Field(sa_type=Text)
    cancel_at_period_end: bool = False
    canceled_by_refund: bool = False
    grace_spent: bool = False
    paused_until: datetime | None = Field(sa_type=UTCDateTime, default=None)
    offer_id: UUID | None = None
    offer_left: int | None = None
    value_vnd: int = Field(sa_type=BigInteger, default=0)
    period_start: datetime = Field(sa_type=UTCDateTime)
    period_end: datetime = Field(sa_type=UTCDateTime)
    mrr_vnd: int = Field(sa_type=BigInteger, default=0)
    review_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    version: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)


class SubscriptionTransition(Row, table=True):
    """Every change of state, append-only."""

    __tablename__ = "subscription_transition"
    __table_args__: Any = (
        Index("ix_subscription_transition_subscription_id", "subscription_id"),
        Index("ix_subscription_transition_made_at", "made_at", postgresql_using="brin"),
    )
    id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_args=[Identity(always=True)])
    subscription_id: UUID = Field(foreign_key="subscription.id")
    from_state: str | None = Field(sa_type=Text, default=None)
    to_state: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UTCDateTime)
    made_at: datetime = Field(
        sa_type=UTCDateTime, sa_column_kwargs={"server_default": text("clock_timestamp()")}
    )


class MrrMovement(Row, table=True):
    """A movement of monthly recurring revenue; a subscription's MRR is the sum of its movements."""

    __tablename__ = "mrr_movement"
    __table_args__: Any = (
        UniqueConstraint("subscription_id", "version", name="uq_mrr_movement_subscription_version"),
        Index("ix_mrr_movement_made_at", "made_at", postgresql_using="brin"),
    )
    id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_args=[Identity(always=True)])
    subscription_id: UUID = Field(foreign_key="subscription.id")
    version: int
    movement: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    occurred_on: date = Field(sa_type=Date)
    made_at: datetime = Field(
        sa_type=UTCDateTime, sa_column_kwargs={"server_default": text("clock_timestamp()")}
    )


class EntitlementRow(Row, table=True):
    """One reader's right to read, as last announced. ``version`` grows with every announcement."""

    __tablename__ = "entitlement"
    __table_args__: Any = (
        ForeignKeyConstraint(
            ["subscription_id", "agency"], ["subscription.id", "subscription.agency"]
        ),
        ForeignKeyConstraint(["order_id", "agency"], ["sales_order.id", "sales_order.agency"]),
        ForeignKeyConstraint(["given_id", "agency"], ["given_days.id", "given_days.agency"]),
        ForeignKeyConstraint(["use_id", "agency"], ["bundle_use.id", "bundle_use.agency"]),
        ForeignKeyConstraint(
            ["seat_id", "agency", "reader_id"], ["seat.id", "seat.agency", "seat.reader_id"]
        ),
        UniqueConstraint("seat_id", "stretch", name="uq_entitlement_seat_id_stretch"),
        UniqueConstraint(
            "subscription_id", "stretch", name="uq_entitlement_subscription_id_stretch"
        ),
        Index("ix_entitlement_reader_id", "reader_id"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID = Field(foreign_key="reader.id")
    subscription_id: UUID | None = None
    stretch: int = 0
    order_id: UUID | None = Field(default=None, unique=True)
    given_id: UUID | None = Field(default=None, unique=True)
    use_id: UUID | None = Field(default=None, unique=True)
    seat_id: UUID | None = None
    plan_code: str = Field(sa_type=Text)
    scope: str = Field(sa_type=Text)
    valid_from: datetime = Field(sa_type=UTCDateTime)
    valid_until: datetime = Field(sa_type=UTCDateTime)
    revoked: bool = False
    version: int = 1
    updated_at: datetime = Field(sa_type=UTCDateTime)
