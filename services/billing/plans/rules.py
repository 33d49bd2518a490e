"""Decisions about prices and tax: values in, values out."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

#: How many of a period make a year, as a ratio: months are what MRR is normalised to.
PERIODS_A_YEAR = {"once": 0, "week": 52, "month": 12, "quarter": 4, "half_year": 2, "year": 1}
PERIOD_ORDER = tuple(PERIODS_A_YEAR)
MONTHS = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}
#: The most readers that a plan is sold for.
MOST_SEATS = 1000
#: A period as a document names it, in Vietnamese and English.
PERIOD_WORDS = {
    "once": ("1 lần", "once"),
    "week": ("1 tuần", "1 week"),
    "month": ("1 tháng", "1 month"),
    "quarter": ("3 tháng", "3 months"),
    "half_year": ("6 tháng", "6 months"),
    "year": ("1 năm", "1 year"),
}


#: Kinds of plans (``plan.kind``).
PERIOD, PASS, ARTICLE, BUNDLE, CONTRIBUTION = "period", "pass", "article", "bundle", "contribution"
#: What is paid once by any way, the card's page too.
ONCE_BY_CARD = (BUNDLE, CONTRIBUTION)
#: Rows of the dated table of VAT (``vat_rate.kind``).
PRESS_SUBSCRIPTION, VAT_OF_CONTRIBUTIONS = "press_subscription", "contribution"


def vat_kind(kind: str) -> str:
    """Under which rows of the dated table a kind of plan is taxed."""
    return VAT_OF_CONTRIBUTIONS if kind == CONTRIBUTION else PRESS_SUBSCRIPTION


def monthly(amount_vnd: int, period: str) -> int:
    """A price normalised to a month, rounded down to the đồng; what is paid once is none. Raises ``KeyError`` for an unknown period."""
    return amount_vnd * PERIODS_A_YEAR[period] // 12


def saving_percent(amount_vnd: int, period: str, month_vnd: int) -> int:
    """How much less a long period costs than its months one by one, in whole per cent, rounded down; 0 where it saves nothing."""
    single = month_vnd * MONTHS.get(period, 0)
    return max(0, (single - amount_vnd) * 100 // single) if single else 0


def end_of_period(start: datetime, period: str, zone: ZoneInfo, anchor_day: int) -> datetime:
    """When a period that begins at ``start`` ends, at the same time of day in ``zone``.

    ``anchor_day`` is the day of the month on which the first period began: 31 January → 28 February → 31 March.
    Raises ``KeyError`` for an unknown period.
    """
    local = start.astimezone(zone)
    if period == "week":
        end = local.replace(tzinfo=None) + timedelta(weeks=1)
    else:
        months = local.year * 12 + local.month - 1 + MONTHS[period]
        year, month = divmod(months, 12)
        last = monthrange(year, month + 1)[1]
        end = local.replace(tzinfo=None, year=year, month=month + 1, day=min(anchor_day, last))
    return end.replace(tzinfo=zone).astimezone(start.tzinfo)


def anchor_of(anchor_day: int, start: datetime, zone: ZoneInfo) -> int:
    """The ``anchor_day`` of periods that go on at ``start``: still the one they had where its month is too short for that one; the
    day of ``start`` where something else than months came between (a week, a trial)."""
    local = start.astimezone(zone)
    last = monthrange(local.year, local.month)[1]
    return anchor_day if local.day == min(anchor_day, last) else local.day


@dataclass(frozen=True, slots=True)
class VatRow:
    """One row of the dated table. ``valid_until`` is exclusive; exempt rows have no rate."""

    valid_from: date
    valid_until: date | None
    treatment: Literal["exempt", "rate"]
    rate_basis_points: int | None


class NoVatRateError(LookupError):
    """No row says how this is taxed on this day: an error, never a guess."""


def vat_row(rows: Sequence[VatRow], day: date) -> VatRow:
    """The row in force on ``day``. Raises :class:`NoVatRateError`."""
    for row in rows:
        if row.valid_from <= day and (row.valid_until is None or day < row.valid_until):
            return row
    raise NoVatRateError(f"the table of VAT rates has no row for {day}")


def vat_included(gross_vnd: int, row: VatRow) -> int:
    """The tax inside a price that includes it, rounded half up to the đồng; exempt has none."""
    if row.rate_basis_points is None:
        return 0
    whole = 10_000 + row.rate_basis_points
    return (2 * gross_vnd * row.rate_basis_points + whole) // (2 * whole)
