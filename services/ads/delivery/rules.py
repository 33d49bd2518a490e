"""Decisions of delivery: pace, leases, revenue by day, declared bots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from shared.money import accrued

#: Below this many a day, pacing within the day means nothing; above it an hour's worth may run ahead.
UNPACED_UNITS = 100
AHEAD_PARTS = 24


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What a grant depends on, read in one statement so that a unit is never in two of the figures."""

    quantity: int
    pacing: str
    delivered: int  # counted, all days
    delivered_today: int
    outstanding: int  # in leases that have not expired, not counted yet
    days_left: int  # including today
    day_fraction: float  # of today that has passed, in the agency's zone


def todays_goal(facts: LineFacts) -> int:
    """What is left at the start of today, spread over the days that are left (rounded up)."""
    left = max(0, facts.quantity - (facts.delivered - facts.delivered_today))
    return -(-left // max(1, facts.days_left))


def allowed_now(facts: LineFacts) -> int:
    """Units that may be handed out at this moment: within the quantity, and within today's pace when even."""
    left = max(0, facts.quantity - facts.delivered - facts.outstanding)
    if facts.days_left < 1:
        return 0
    if facts.pacing == "asap":
        return left
    goal = todays_goal(facts)
    by_now = int(goal * facts.day_fraction)
    ahead = max(UNPACED_UNITS, goal // AHEAD_PARTS)
    pace = min(goal, by_now + ahead) - facts.delivered_today - facts.outstanding
    return max(0, min(left, pace))


def chunk(facts: LineFacts, largest: int) -> int:
    """One lease: a quarter of what is allowed now, so that chunks shrink near the end and others get theirs."""
    return min(largest, -(-allowed_now(facts) // 4))


def day_fraction(local: datetime) -> float:
    """How much of the day has passed."""
    return (local.hour * 3600 + local.minute * 60 + local.second) / 86_400


@dataclass(frozen=True, slots=True)
class DayCount:
    """A day of a line: counted, and recognised so far."""

    day: date
    impressions: int
    recognised: int


@dataclass(frozen=True, slots=True)
class Earned:
    """Revenue of newly delivered units of one day. ``up_to`` is the line's cumulative figure, unique a line."""

    day: date
    units: int
    amount_vnd: int
    up_to: int


def newly_earned(amount_vnd: int, quantity: int, days: Sequence[DayCount]) -> list[Earned]:
    """What is to be recognised now. Units past the quantity earn nothing but are marked as seen.

    Shares are differences of cumulative floors: once all units are delivered they sum to ``amount_vnd`` exactly.
    """
    seen = sum(day.recognised for day in days)
    earned = []
    for day in sorted(days, key=lambda d: d.day):
        units = day.impressions - day.recognised
        if units <= 0:
            continue
        before, after = min(seen, quantity), min(seen + units, quantity)
        amount = accrued(amount_vnd, after, quantity) - accrued(amount_vnd, before, quantity)
        seen += units
        earned.append(Earned(day.day, units, amount, seen))
    return earned


_BOT = re.compile(
    r"bot\b|crawl|spider|slurp|facebookexternalhit|preview|headlesschrome|phantomjs|lighthouse|"
    r"curl/|wget|python|go-http|java/|libwww|httpclient|okhttp|scrapy|pingdom|uptime|monitor",
    re.IGNORECASE,
)


def is_declared_bot(user_agent: str) -> bool:
    """Whether the client says it is a machine (after the IAB/ABC list's generic patterns), or says nothing."""
    return not user_agent or _BOT.search(user_agent) is not None
