"""Tables of entries and of their sums. Append-only triggers and CHECKs are in the migrations."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, UniqueConstraint, Uuid
from sqlmodel import Field

from shared.metrics.models import (
    Row,
    agency_column,
    count_column,
    date_column,
    identity_column,
    integer_column,
    moment_column,
    text_column,
    vnd_column,
)


class RevenueEntry(Row, table=True):
    """What was earned, once."""

    __tablename__ = "revenue_entry"
    __table_args__ = (
        UniqueConstraint("agency", "source_reference", name="uq_revenue_entry_agency"),
        Index("ix_revenue_entry_agency_recognised_on", "agency", "recognised_on"),
    )
    id: int = Field(sa_column=identity_column())
    agency: str = Field(sa_column=agency_column())
    segment: str = Field(sa_column=text_column())
    stream: str = Field(sa_column=text_column())
    currency: str = Field(sa_column=text_column())
    source_reference: str = Field(sa_column=text_column())
    payer: str = Field(sa_column=text_column())
    law_source: str = Field(sa_column=text_column())
    account: str = Field(sa_column=text_column())
    amount: int = Field(sa_column=vnd_column())
    recognised_on: date = Field(sa_column=date_column())
    document: str = Field(sa_column=text_column())
    import_id: UUID | None = Field(sa_column=Column(Uuid, ForeignKey("import_file.id")))
    recorded_at: datetime = Field(sa_column=moment_column())


class DeferredEntry(Row, table=True):
    """A change of what was billed ahead."""

    __tablename__ = "deferred_entry"
    __table_args__ = (
        UniqueConstraint("agency", "source_reference", name="uq_deferred_entry_agency"),
    )
    id: int = Field(sa_column=identity_column())
    agency: str = Field(sa_column=agency_column())
    segment: str = Field(sa_column=text_column())
    stream: str = Field(sa_column=text_column())
    currency: str = Field(sa_column=text_column())
    source_reference: str = Field(sa_column=text_column())
    amount: int = Field(sa_column=vnd_column())
    occurred_on: date = Field(sa_column=date_column())
    recorded_at: datetime = Field(sa_column=moment_column())


class MrrMovement(Row, table=True):
    """A movement of monthly recurring revenue; MRR is the sum of all of them."""

    __tablename__ = "mrr_movement"
    __table_args__ = (
        UniqueConstraint("agency", "source_reference", name="uq_mrr_movement_agency"),
        Index("ix_mrr_movement_agency_occurred_on", "agency", "occurred_on"),
    )
    id: int = Field(sa_column=identity_column())
    agency: str = Field(sa_column=agency_column())
    segment: str = Field(sa_column=text_column())
    stream: str = Field(sa_column=text_column())
    currency: str = Field(sa_column=text_column())
    source_reference: str = Field(sa_column=text_column())
    movement: str = Field(sa_column=text_column())
    amount: int = Field(sa_column=vnd_column())
    occurred_on: date = Field(sa_column=date_column())
    recorded_at: datetime = Field(sa_column=moment_column())


class RevenueDaily(Row, table=True):
    """Revenue of a day: kept by a trigger in the transaction of the entry."""

    __tablename__ = "revenue_daily"
    __table_args__ = (Index("ix_revenue_daily_day", "day"),)
    agency: str = Field(sa_column=agency_column(primary_key=True))
    segment: str = Field(sa_column=text_column(primary_key=True))
    stream: str = Field(sa_column=text_column(primary_key=True))
    currency: str = Field(sa_column=text_column(primary_key=True))
    day: date = Field(sa_column=date_column(primary_key=True))
    amount: int = Field(sa_column=vnd_column())
    entries: int = Field(sa_column=count_column())


class RevenueYearly(Row, table=True):
    """Revenue of a calendar year, kept in the same way."""

    __tablename__ = "revenue_yearly"
    agency: str = Field(sa_column=agency_column(primary_key=True))
    segment: str = Field(sa_column=text_column(primary_key=True))
    stream: str = Field(sa_column=text_column(primary_key=True))
    currency: str = Field(sa_column=text_column(primary_key=True))
    year: int = Field(sa_column=integer_column(primary_key=True))
    amount: int = Field(sa_column=vnd_column())
    entries: int = Field(sa_column=count_column())


class RevenueHeard(Row, table=True):
    """When a series last heard of revenue by an event (not by an import), kept in the same way."""

    __tablename__ = "revenue_heard"
    agency: str = Field(sa_column=agency_column(primary_key=True))
    segment: str = Field(sa_column=text_column(primary_key=True))
    stream: str = Field(sa_column=text_column(primary_key=True))
    currency: str = Field(sa_column=text_column(primary_key=True))
    recorded_at: datetime = Field(sa_column=moment_column())


class DeferredTotal(Row, table=True):
    """Deferred revenue as it stands."""

    __tablename__ = "deferred_total"
    agency: str = Field(sa_column=agency_column(primary_key=True))
    segment: str = Field(sa_column=text_column(primary_key=True))
    stream: str = Field(sa_column=text_column(primary_key=True))
    currency: str = Field(sa_column=text_column(primary_key=True))
    amount: int = Field(sa_column=vnd_column())
    entries: int = Field(sa_column=count_column())


class MrrDaily(Row, table=True):
    """Movements of a day, by kind."""

    __tablename__ = "mrr_daily"
    agency: str = Field(sa_column=agency_column(primary_key=True))
    segment: str = Field(sa_column=text_column(primary_key=True))
    stream: str = Field(sa_column=text_column(primary_key=True))
    currency: str = Field(sa_column=text_column(primary_key=True))
    movement: str = Field(sa_column=text_column(primary_key=True))
    day: date = Field(sa_column=date_column(primary_key=True))
    amount: int = Field(sa_column=vnd_column())
    entries: int = Field(sa_column=count_column())


class AgencyRevision(Row, table=True):
    """Grows with every change of an agency's figures."""

    __tablename__ = "agency_revision"
    agency: str = Field(sa_column=agency_column(primary_key=True))
    revision: int = Field(sa_column=count_column())
