"""What the days of a paid period earn: values in, values out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from shared.money import accrued


class Term(NamedTuple):
    """The net amount of a paid period and its calendar days: from ``starts_on`` up to, without, ``ends_on``."""

    starts_on: date
    ends_on: date
    total_vnd: int

    def earned_before(self, day: date) -> int:
        """What all days before ``day`` earn together, in whole đồng; the days of a term sum exactly to its total."""
        done = min(max((day - self.starts_on).days, 0), (self.ends_on - self.starts_on).days)
        return accrued(self.total_vnd, done, (self.ends_on - self.starts_on).days)

    def left_from(self, day: date) -> int:
        """What ``day`` and the days after it would earn."""
        return self.total_vnd - self.earned_before(day)

    def within(self, day: date) -> date:
        """``day``, or the nearer end of the term."""
        return min(max(day, self.starts_on), self.ends_on)


def days_bought(first: date, end: date) -> tuple[date, date]:
    """Calendar days a period stands for: the day it starts on up to, without, the day it ends on; at least one."""
    return (first, end) if end > first else (first, first + timedelta(days=1))
