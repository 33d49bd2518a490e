"""Tables of bundles; what holds them together stands in ``migrations/versions/0001_bundles.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class Bundle(Row, table=True):
    """``uses`` articles that an order paid for, to be chosen until before ``valid_until``; append-only."""

    __table_args__: Any = (
        ForeignKeyConstraint(["order_id", "agency"], ["sales_order.id", "sales_order.agency"]),
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        UniqueConstraint("id", "agency", "reader_id", "uses", name="uq_bundle_whole"),
        Index("ix_bundle_reader_id", "reader_id", "valid_until"),
        Index("ix_bundle_valid_until", "valid_until"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    order_id: UUID = Field(unique=True)
    uses: int
    valid_from: datetime = Field(sa_type=UTCDateTime)
    valid_until: datetime = Field(sa_type=UTCDateTime)


class BundleUse(Row, table=True):
    """One article that a bundle opened: the ``number``-th of its ``uses``, readable until before ``readable_until``; append-only."""

    __tablename__ = "bundle_use"
    __table_args__: Any = (
        ForeignKeyConstraint(
            ["bundle_id", "agency", "reader_id", "uses"],
            ["bundle.id", "bundle.agency", "bundle.reader_id", "bundle.uses"],
        ),
        UniqueConstraint("bundle_id", "number", name="uq_bundle_use_number"),
        UniqueConstraint("bundle_id", "article", name="uq_bundle_use_article"),
        UniqueConstraint("id", "agency", name="uq_bundle_use_id_agency"),
    )
    id: UUID = Field(primary_key=True)
    bundle_id: UUID
    agency: str = Field(sa_type=Text)
    reader_id: UUID
    uses: int
    number: int
    article: str = Field(sa_type=Text)
    used_at: datetime = Field(sa_type=UTCDateTime)
    readable_until: datetime = Field(sa_type=UTCDateTime)
