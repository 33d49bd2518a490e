"""Growth against the baseline: pure, whole đồng, ratios as fractions.

Definitions (also in the README):

* The fiscal year is the calendar year in the agency's zone; a day that has begun counts, in revenue and in the baseline.
* The baseline of a part of a month is pro rata by day: the first ``k`` of the *current* year's ``n`` days of that month stand
  for ``floor(amount * k / n)``. A month that is over always stands for the whole baseline month, so 28 February of an
  ordinary year closes a February that had 29 days in the baseline year, and 29 February adds nothing beyond it.
* "Trailing 28 days" are today and the 27 days before; their baseline is made of the same days in the same way (across New
  Year it takes December's and January's months of the one baseline year).
* Without a baseline, or with one that is zero so far, there is no growth figure: ``None``, never infinity.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Literal

from shared.money import accrued

TRAILING_DAYS = 28
WHOLE_MONTHS_IN_INTERVAL = 3

#: "Revenue" is never picked silently: ``all`` is everything, ``own`` leaves out what the state pays for.
Definition = Literal["all", "own"]
DEFINITIONS: tuple[Definition, ...] = ("all", "own")

Verdict = Literal["no_baseline", "reached", "on_course", "behind"]


def days_in_month(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def fiscal_year(day: date) -> tuple[date, date]:
    """The first and the last day of the fiscal year a day is in."""
    return date(day.year, 1, 1), date(day.year, 12, 31)


def trailing_window(day: date) -> tuple[date, date]:
    return day - timedelta(days=TRAILING_DAYS - 1), day


def baseline_between(months: Mapping[int, int], first: date, last: date) -> int:
    """What the baseline (month → amount) earned on the same fiscal days as ``first`` to ``last``, both included."""
    total = 0
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        length = days_in_month(year, month)
        begin = first.day - 1 if (year, month) == (first.year, first.month) else 0
        end = last.day if (year, month) == (last.year, last.month) else length
        amount = months.get(month, 0)
        total += accrued(amount, end, length) - accrued(amount, begin, length)
        year, month = year + month // 12, month % 12 + 1
    return total


def growth(revenue: int, baseline: int | None) -> Fraction | None:
    """How much more than the baseline, as a ratio (0.2 = 20 % more); None where there is nothing to compare with."""
    if baseline is None or baseline <= 0:
        return None
    return Fraction(revenue - baseline, baseline)


@dataclass(frozen=True, slots=True)
class Projection:
    """Revenue at the year's end if the rest of the year keeps the pace; ``low`` and ``high`` bound it."""

    expected: int
    low: int
    high: int


def project(
    revenue_ytd: int, baseline_ytd: int, baseline_year: int, other_paces: Iterable[Fraction] = ()
) -> Projection | None:
    """What is left of the baseline's shape, times the pace so far, on top of what was earned.

    The interval repeats that with the slowest and the fastest pace seen: the year to date, the trailing 28 days and
    the last three whole months (``other_paces``).
    """
    if baseline_ytd <= 0:
        return None
    pace = Fraction(revenue_ytd, baseline_ytd)
    paces = [pace, *other_paces]
    left = max(0, baseline_year - baseline_ytd)
    return Projection(
        revenue_ytd + int(left * pace),
        revenue_ytd + int(left * min(paces)),
        revenue_ytd + int(left * max(paces)),
    )


def recent_paces(
    revenue_by_month: Mapping[int, int],
    baseline_by_month: Mapping[int, int],
    today: date,
    trailing: tuple[int, int],
) -> list[Fraction]:
    """The paces that bound a projection: trailing 28 days (revenue, baseline), and the last whole months."""
    pairs = [trailing]
    whole = today.month - (0 if today.day == days_in_month(today.year, today.month) else 1)
    for month in range(whole, max(0, whole - WHOLE_MONTHS_IN_INTERVAL), -1):
        pairs.append((revenue_by_month.get(month, 0), baseline_by_month.get(month, 0)))
    return [Fraction(earned, base) for earned, base in pairs if base > 0]


def target_amount(baseline_year: int, target: Decimal) -> int:
    """The revenue of the year that meets the target, rounded up to the đồng."""
    return _ceil(baseline_year * (1 + Fraction(target)))


@dataclass(frozen=True, slots=True)
class Need:
    """What is still missing from the target, and how much a day that is. ``per_day`` is None when no day is left."""

    missing: int
    days_left: int
    per_day: int | None


def need(revenue_ytd: int, goal: int, today: date) -> Need:
    """Days after today are left: today's revenue is in the year to date already."""
    missing = max(0, goal - revenue_ytd)
    days_left = (fiscal_year(today)[1] - today).days
    if missing == 0:
        return Need(0, days_left, 0)
    return Need(missing, days_left, _ceil(Fraction(missing, days_left)) if days_left else None)


def choose_target(
    targets: Sequence[tuple[date, Decimal]], today: date, default: Decimal
) -> tuple[Decimal, date | None]:
    """The target in force: the next deadline's, else the last one's, else the default (without a deadline)."""
    for deadline, ratio in sorted(targets):
        if deadline >= today:
            return ratio, deadline
    if targets:
        deadline, ratio = max(targets)
        return ratio, deadline
    return default, None


def verdict(ratio: Fraction | None, projected: Fraction | None, target: Decimal) -> Verdict:
    """``reached``: ahead of the target to date. ``on_course``: the projection meets it. Else ``behind``."""
    if ratio is None:
        return "no_baseline"
    if ratio >= Fraction(target):
        return "reached"
    if projected is not None and projected >= Fraction(target):
        return "on_course"
    return "behind"


def meets_target(revenue_ytd: int, baseline_ytd: int | None, target: Decimal) -> bool:
    """Whether an agency counts among those on target; one without a baseline cannot be shown to be."""
    ratio = growth(revenue_ytd, baseline_ytd)
    return ratio is not None and ratio >= Fraction(target)


def percent(ratio: Fraction, digits: int = 1) -> Decimal:
    """A ratio as a percentage, rounded half to even, for showing."""
    exact = Decimal(ratio.numerator * 100) / Decimal(ratio.denominator)
    return exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)


def decimal_ratio(ratio: Fraction, digits: int = 6) -> Decimal:
    """A ratio as a decimal number, rounded half to even, for machines."""
    return (Decimal(ratio.numerator) / Decimal(ratio.denominator)).quantize(
        Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN
    )


def _ceil(value: Fraction) -> int:
    return -((-value.numerator) // value.denominator)
