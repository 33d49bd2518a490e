"""Tables of lineage and targets."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy import Column, Numeric
from sqlmodel import Field

from shared.metrics.models import Row, agency_column, date_column, text_column


class Lineage(Row, table=True):
    """A segment of a predecessor is carried on by a successor from a date."""

    __tablename__ = "lineage"
    predecessor: str = Field(sa_column=agency_column(primary_key=True))
    segment: str = Field(sa_column=text_column(primary_key=True))
    successor: str = Field(sa_column=agency_column())
    effective_on: date = Field(sa_column=date_column())
    note: str = Field(sa_column=text_column())


class GrowthTarget(Row, table=True):
    """The growth an agency has to reach by a date, as a ratio (0.2 = 20 %)."""

    __tablename__ = "growth_target"
    agency: str = Field(sa_column=agency_column(primary_key=True))
    deadline: date = Field(sa_column=date_column(primary_key=True))
    ratio: Decimal = Field(sa_column=Column(Numeric(6, 4), nullable=False))
