"""The table of subscriptions that are taken over from a provider."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class MovedSubscription(Row, table=True):
    """A provider's subscription on its way to us. ``begun``: the provider may have been told that it ends; ``moved``: ours collects
    the next period; ``over``: the provider's has ended as it was told; ``left``: a person decides, as ``reason`` says.

    ``ends``: it was not to renew before we asked. ``charged_at``: when the provider was seen to have renewed it after all.
    """

    __tablename__ = "moved_subscription"
    __table_args__: Any = (
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        ForeignKeyConstraint(["price_id", "agency"], ["plan_price.id", "plan_price.agency"]),
        ForeignKeyConstraint(
            ["subscription_id", "agency"], ["subscription.id", "subscription.agency"]
        ),
        UniqueConstraint("provider", "external_id", name="uq_moved_subscription_external_id"),
        Index("ix_moved_subscription_reader_id", "reader_id"),
        Index(
            "uq_moved_subscription_begun",
            "reader_id",
            unique=True,
            postgresql_where=text("state = 'begun'"),
        ),
        Index(
            "ix_moved_subscription_look_at",
            "look_at",
            postgresql_where=text("look_at IS NOT NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    provider: str = Field(sa_type=Text)
    external_id: str = Field(sa_type=Text)
    external_price: str = Field(sa_type=Text)
    reader_id: UUID
    price_id: UUID
    ends: bool
    state: str = Field(sa_type=Text, default="begun")
    reason: str = Field(sa_type=Text, default="")
    tells: bool = False
    subscription_id: UUID | None = Field(default=None, unique=True)
    period_end: datetime | None = Field(sa_type=UTCDateTime, default=None)
    charged_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    look_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    begun_at: datetime = Field(sa_type=UTCDateTime)
    moved_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
