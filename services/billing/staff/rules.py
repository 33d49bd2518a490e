"""Periods of the books as finance names them: values in, values out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_QUARTER = re.compile(r"(\d{4})-Q([1-4])")
_YEAR = re.compile(r"(\d{4})")
MONTHS_OFFERED, QUARTERS_OFFERED, YEARS_OFFERED = 13, 5, 3


@dataclass(frozen=True, slots=True)
class Period:
    """A month ``2026-11``, a quarter ``2026-Q4`` or a year ``2026``: its days, both included."""

    name: str
    first: date
    last: date


def _months(name: str, year: int, month: int, count: int) -> Period:
    after = year * 12 + month - 1 + count
    return Period(
        name,
        date(year, month, 1),
        date(after // 12, after % 12 + 1, 1) - timedelta(days=1),
    )


def parse_period(name: str) -> Period:
    """Raises ``ValueError`` for anything that is no month, quarter or year from 2000 to 9000."""
    if found := _MONTH.fullmatch(name):
        year, month, count = int(found[1]), int(found[2]), 1
    elif found := _QUARTER.fullmatch(name):
        year, month, count = int(found[1]), int(found[2]) * 3 - 2, 3
    elif found := _YEAR.fullmatch(name):
        year, month, count = int(found[1]), 1, 12
    else:
        raise ValueError(f"{name!r} is no period")
    if not (2000 <= year <= 9000 and 1 <= month <= 12):
        raise ValueError(f"{name!r} is no period")
    return _months(name, year, month, count)


def month_of(day: date) -> Period:
    return parse_period(f"{day:%Y-%m}")


def offered(today: date) -> tuple[list[Period], list[Period], list[Period]]:
    """The months, quarters and years that a page offers, the present one first."""
    months, quarters = [], []
    at = today.year * 12 + today.month - 1
    for back in range(MONTHS_OFFERED):
        year, month = divmod(at - back, 12)
        months.append(parse_period(f"{year}-{month + 1:02}"))
    quarter = today.year * 4 + (today.month - 1) // 3
    for back in range(QUARTERS_OFFERED):
        year, number = divmod(quarter - back, 4)
        quarters.append(parse_period(f"{year}-Q{number + 1}"))
    years = [parse_period(str(today.year - back)) for back in range(YEARS_OFFERED)]
    return months, quarters, years


_AMOUNT = re.compile(r"(\d{1,15}|\d{1,3}(?:([., ])\d{3})(?:\2\d{3}){0,4})\s*(?:₫|đ|vnd|vnđ)?", re.I)


def parse_vnd(typed: str) -> int | None:
    """Đồng as people type them (59000, 59.000, 59,000 ₫); None for anything else."""
    found = _AMOUNT.fullmatch(typed.replace("\u00a0", " ").strip())
    return int(re.sub(r"[., ]", "", found[1])) if found and found[1].isascii() else None
