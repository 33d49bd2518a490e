"""What the growth API answers."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.metrics.growth.rules import decimal_ratio
from shared.metrics.growth.service import Figures, Report

_EXAMPLE: dict[str, Any] = {
    "agency": "bao-hung-yen",
    "name": "Báo và Phát thanh, Truyền hình Hưng Yên",
    "as_of": "2026-06-30",
    "currency": "VND",
    "target": "0.2000",
    "deadline": "2030-12-31",
    "baseline": {
        "version": 1,
        "year": 2024,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "approver": "ke-toan-truong@example.vn",
        "frozen_at": "2026-01-05T02:00:00Z",
    },
    "definitions": [],
    "deferred": 1200000,
    "mrr": 990000,
    "mrr_movements": {"new": 99000},
}


class BaselineOut(BaseModel):
    """The frozen version the figures are measured against."""

    version: int
    year: int
    sha256: str
    approver: str
    frozen_at: datetime


class ProjectionOut(BaseModel):
    """The year's end at the present pace, between the slowest and the fastest pace seen."""

    expected: int
    low: int
    high: int


class FiguresOut(BaseModel):
    """Growth by one definition of revenue. Amounts are whole đồng; ratios are decimal text; null: no baseline."""

    definition: str = Field(description="`all`: everything; `own`: without what the state pays for")
    revenue_ytd: int
    baseline_ytd: int | None
    baseline_year: int | None
    growth: Decimal | None
    revenue_trailing_28d: int
    baseline_trailing_28d: int | None
    growth_trailing_28d: Decimal | None
    projection: ProjectionOut | None
    projected_growth: Decimal | None
    goal: int | None
    missing: int | None
    days_left: int | None
    needed_per_day: int | None
    verdict: str


class GrowthOut(BaseModel):
    """Growth of one agency, with everything it carries on."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    agency: str
    name: str
    as_of: date
    currency: str = "VND"
    target: Decimal
    deadline: date | None
    baseline: BaselineOut | None
    definitions: list[FiguresOut]
    deferred: int
    mrr: int
    mrr_movements: dict[str, int]


def growth_out(report: Report) -> GrowthOut:
    """The report as the API says it."""
    version = report.baseline
    return GrowthOut(
        agency=report.agency.id,
        name=report.agency.name,
        as_of=report.as_of,
        target=report.target,
        deadline=report.deadline,
        baseline=BaselineOut(
            version=version.version,
            year=version.baseline_year,
            sha256=version.sha256 or "",
            approver=version.approver or "",
            frozen_at=version.frozen_at,
        )
        if version and version.frozen_at
        else None,
        definitions=[_figures(item) for item in report.figures.values()],
        deferred=report.deferred,
        mrr=report.mrr,
        mrr_movements=report.mrr_movements,
    )


def _ratio(value: Fraction | None) -> Decimal | None:
    return None if value is None else decimal_ratio(value)


def _figures(item: Figures) -> FiguresOut:
    projection = item.projection
    return FiguresOut(
        definition=item.definition,
        revenue_ytd=item.revenue_ytd,
        baseline_ytd=item.baseline_ytd,
        baseline_year=item.baseline_year,
        growth=_ratio(item.growth),
        revenue_trailing_28d=item.revenue_trailing,
        baseline_trailing_28d=item.baseline_trailing,
        growth_trailing_28d=_ratio(item.trailing_growth),
        projection=ProjectionOut(
            expected=projection.expected, low=projection.low, high=projection.high
        )
        if projection
        else None,
        projected_growth=_ratio(item.projected_growth),
        goal=item.goal,
        missing=item.need.missing if item.need else None,
        days_left=item.need.days_left if item.need else None,
        needed_per_day=item.need.per_day if item.need else None,
        verdict=item.verdict,
    )
