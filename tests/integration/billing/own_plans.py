"""Plans, their periods and their tax, as an account of our own has them.

Nothing in here reads the product's code or database: periods, days and tax are computed anew, simply and slowly.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
DAY = timedelta(days=1)
MONTHS = {"month": 1, "year": 12}
TAX_PERCENT = 8

ALONE, FAMILY, SCHOOL = "doc-bao", "gia-dinh", "to-chuc"
#: By plan, what each period costs; of a school's each seat.
PRICES = {
    ALONE: {"week": 19_000, "month": 59_000, "year": 590_000},
    FAMILY: {"month": 119_000, "year": 1_190_000},
    SCHOOL: {"month": 45_000, "year": 450_000},
}
#: For how many readers a plan is; a school's for so many at least.
SEATS = {ALONE: 1, FAMILY: 4, SCHOOL: 5}


class Chosen(NamedTuple):
    """What a reader pays for: a plan's period, for so many readers."""

    period: str
    plan: str = ALONE
    seats: int = 1

    @property
    def price(self) -> int:
        price = PRICES[self.plan][self.period]
        return price * self.seats if self.plan == SCHOOL else price

    @property
    def name(self) -> str:
        return f"{self.plan}/{self.period}"

    @property
    def shared(self) -> bool:
        return self.plan != ALONE


#: What who never had a subscription pays for a week, and how often.
INTRO_PERIOD, INTRO, INTRO_TIMES = Chosen("week"), 9_000, 3
#: A bundle: its scope is nothing to read, its articles are; how many it opens.
BUNDLE, USES = "bundle", 10


def day_of(at: datetime) -> date:
    return at.astimezone(HANOI).date()


def tax_in(gross: int) -> int:
    """8 % inside a price, to the nearest đồng, half up."""
    exact, rest = divmod(gross * TAX_PERCENT, 100 + TAX_PERCENT)
    return exact + (2 * rest >= 100 + TAX_PERCENT)


def monthly(value: int, period: str) -> int:
    net = value - tax_in(value)
    return net * {"week": 52, "month": 12, "year": 1}[period] // 12


def next_end(start: datetime, period: str, anchor: int) -> datetime:
    local = start.astimezone(HANOI)
    if period == "week":
        return start + 7 * DAY
    months = local.month - 1 + MONTHS[period]
    year, month = local.year + months // 12, months % 12 + 1
    day = min(anchor, monthrange(year, month)[1])
    return local.replace(year=year, month=month, day=day).astimezone(start.tzinfo)


def next_anchor(anchor: int, start: datetime) -> int:
    """31 January, 28 February, 31 March; but a week or a trial moves it."""
    local = start.astimezone(HANOI)
    month_end = (local + DAY).day == 1
    return anchor if local.day == anchor or (month_end and local.day < anchor) else local.day


def spread(total: int, days: list[date]) -> dict[date, int]:
    """Whole đồng by day: the running sum is the exact share, rounded down. Nothing is earned on no day."""
    count = len(days) if total else 0
    days = days[:count]
    return {one: total * (n + 1) // count - total * n // count for n, one in enumerate(days)}


def days_between(first: date, end: date) -> list[date]:
    return [first + n * DAY for n in range(max((end - first).days, 1))]
