"""Billing periods: pure arithmetic in UTC, anchored so that 31 → 28 → 31 comes back."""

import calendar
from datetime import UTC, datetime, timedelta

INTERVALS = ("day", "week", "month", "year")
# Stripe refuses periods past three years.
LONGEST = {"day": 1095, "week": 156, "month": 36, "year": 3}


def boundary(anchor: int, interval: str, count: int, periods: int) -> int:
    """The moment ``periods`` periods after the anchor.

    Counted from the anchor and never from the last boundary: a short month then shortens one
    period and not all that follow.
    """
    start = datetime.fromtimestamp(anchor, UTC)
    if interval in {"day", "week"}:
        days = count * periods * (7 if interval == "week" else 1)
        return int((start + timedelta(days=days)).timestamp())
    months = count * periods * (12 if interval == "year" else 1)
    year, month0 = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month0 + 1)[1])
    return int(start.replace(year=year, month=month0 + 1, day=day).timestamp())


def next_boundary(anchor: int, interval: str, count: int, after: int) -> int:
    """The first boundary later than ``after``."""
    shortest = {"day": 86_400, "week": 604_800, "month": 28 * 86_400, "year": 365 * 86_400}
    longest = {"day": 86_400, "week": 604_800, "month": 31 * 86_400, "year": 366 * 86_400}
    low = max(0, (after - anchor) // (longest[interval] * count) - 1)
    high = max(0, (after - anchor) // (shortest[interval] * count)) + 2
    for periods in range(low, high + 1):
        moment = boundary(anchor, interval, count, periods)
        if moment > after:
            return moment
    raise AssertionError("a boundary always lies within the bounds")
