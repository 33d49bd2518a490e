"""Time that tests can move.

Nothing in the project calls ``datetime.now`` on its own: rules take ``now`` as a value, use cases take it
from a :class:`Clock`. All instants are aware and in UTC; a *date* always belongs to an agency's time zone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


class Clock(Protocol):
    """Tells the time, as an aware UTC instant."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock, shifted by ``offset_seconds`` (demonstrations and tests; 0 in production)."""

    def __init__(self, offset_seconds: int = 0) -> None:
        self._offset = timedelta(seconds=offset_seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


class MovableClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        self.set(at)

    def now(self) -> datetime:
        return self._at

    def set(self, at: datetime) -> None:
        """Stand at ``at``. Raises ``ValueError`` when it has no time zone."""
        if at.tzinfo is None:
            raise ValueError("a clock needs an aware datetime")
        self._at = at.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        self._at += by


def local_date(at: datetime, zone: ZoneInfo) -> date:
    """The calendar date of an instant in an agency's zone."""
    return at.astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a calendar day in a zone, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
