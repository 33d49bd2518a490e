"""Tables of baseline versions. What is frozen is guarded by triggers in the migrations."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    SmallInteger,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from shared.metrics.models import (
    Row,
    agency_column,
    integer_column,
    moment_column,
    text_column,
    vnd_column,
)


class BaselineVersion(Row, table=True):
    """One version of an agency's baseline: a draft until it is frozen."""

    __tablename__ = "baseline_version"
    agency: str = Field(sa_column=agency_column(primary_key=True))
    version: int = Field(sa_column=integer_column(primary_key=True))
    baseline_year: int = Field(sa_column=integer_column())
    origin: str = Field(sa_column=text_column())
    import_id: UUID | None = Field(sa_column=Column(Uuid, ForeignKey("import_file.id")))
    composed_of: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    created_by: str = Field(sa_column=text_column())
    created_at: datetime = Field(sa_column=moment_column())
    approver: str | None = Field(sa_column=text_column(nullable=True))
    frozen_at: datetime | None = Field(sa_column=moment_column(nullable=True))
    sha256: str | None = Field(sa_column=text_column(nullable=True))


class BaselineRow(Row, table=True):
    """The baseline of one segment, stream and month."""

    __tablename__ = "baseline_row"
    __table_args__ = (
        ForeignKeyConstraint(
            ["agency", "version"],
            ["baseline_version.agency", "baseline_version.version"],
            name="fk_baseline_row_agency_baseline_version",
        ),
    )
    agency: str = Field(sa_column=agency_column(primary_key=True))
    version: int = Field(sa_column=integer_column(primary_key=True))
    segment: str = Field(sa_column=text_column(primary_key=True))
    stream: str = Field(sa_column=text_column(primary_key=True))
    currency: str = Field(sa_column=text_column(primary_key=True))
    month: int = Field(sa_column=Column(SmallInteger, primary_key=True, nullable=False))
    amount: int = Field(sa_column=vnd_column())
