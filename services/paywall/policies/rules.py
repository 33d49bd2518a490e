"""What a policy says: pure values and the window arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo


class Then(StrEnum):
    """What a matching rule asks for."""

    FREE = "free"
    METERED = "metered"
    SUBSCRIBERS = "subscribers"


class FailureMode(StrEnum):
    """What is answered when the database is away or too slow."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches articles of one ``access``, or every article when that is None."""

    id: str
    access: str | None
    then: Then


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of one agency's policy, ready for deciding."""

    agency: str
    version: int
    anonymous_allowance: int
    registered_allowance: int
    rules: tuple[Rule, ...]
    failure_mode: FailureMode
    timeout_seconds: float

    def allowance(self, *, signed_in: bool) -> int:
        return self.registered_allowance if signed_in else self.anonymous_allowance


@dataclass(frozen=True, slots=True)
class Lowered:
    """Free articles that one kind of readers gets fewer of. ``stopped``: of them, who has read more by now than is left."""

    signed_in: bool
    was: int
    now: int
    stopped: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """A meter's window, from ``start`` (inclusive) until ``end`` (exclusive), both in UTC."""

    start: datetime
    end: datetime

    def holds(self, at: datetime) -> bool:
        return self.start <= at < self.end


def first_match(rules: tuple[Rule, ...], access: str) -> Rule:
    """The first rule that matches decides. The last rule of a valid policy matches everything."""
    for rule in rules:
        if rule.access is None or rule.access == access:
            return rule
    raise ValueError("a policy's last rule must match every article")


def month_window(at: datetime, zone: ZoneInfo) -> Window:
    """The calendar month that holds ``at`` in the publisher's zone, whatever zone the reader is in.

    The bounds are the first instants of two local days, so that a month with a change of the clocks is an
    hour longer or shorter and nobody's allowance resets twice.
    """
    local = at.astimezone(zone)
    first = date(local.year, local.month, 1)
    following = date(local.year + local.month // 12, local.month % 12 + 1, 1)
    return Window(_first_instant(first, zone), _first_instant(following, zone))


def _first_instant(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
