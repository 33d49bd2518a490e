"""Reader-revenue metrics of a month: values in, values out.

Everything is dated by its own day in the agency's zone and stands on rows that stay as they are, so that a month that is over
changes by late facts only (money that the bank tells of later, a refund that failed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.billing.subscriptions.rules import PAYING
from shared.clock import start_of_day

MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")
#: Why recurring revenue of a subscription ended: canceled, its money given back; a renewal that nobody paid; a term that is over; a pause.
CANCELED, RETURNED, UNPAID, LAPSED, PAUSED = "canceled", "returned", "unpaid", "lapsed", "paused"
REASONS = (CANCELED, RETURNED, UNPAID, LAPSED, PAUSED)
VOLUNTARY = (CANCELED, RETURNED)
#: How a period was sold: it renews by itself, or ends by itself.
WAYS = ("renewal", "term")
#: So long after a period (or a trial) ended the next payment still follows it.
FOLLOWS_WITHIN = timedelta(days=7)
#: Months after the first payment that a cohort is followed for.
COHORT_MONTHS = 12
#: States in which a subscription brings recurring revenue in.
PAYING_STATES = tuple(sorted(PAYING))
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Month:
    """A month of an agency's calendar. ``until``: the instant before which everything counts, the present one in a month that runs;
    ``over``: it has ended; ``settled``: so have the days in which a payment still follows."""

    first: date
    last: date
    starts_at: datetime
    until: datetime
    over: bool
    settled: bool

    @property
    def name(self) -> str:
        return f"{self.first:%Y-%m}"


def following(first: date, months: int = 1) -> date:
    """The first day of the month so many months later (or earlier)."""
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def month_of(first: date, zone: ZoneInfo, now: datetime) -> Month:
    """The month that begins on ``first``. Raises ``ValueError`` for one that has not begun."""
    starts_at, ends_at = start_of_day(first, zone), start_of_day(following(first), zone)
    if now < starts_at:
        raise ValueError(f"{first:%Y-%m} has not begun")
    return Month(
        first,
        following(first) - timedelta(days=1),
        starts_at,
        min(ends_at, now + INSTANT),
        now >= ends_at,
        now >= ends_at + FOLLOWS_WITHIN,
    )


def share(part: int, whole: int) -> float | None:
    """A share of 1; None where there is nothing to have a share of."""
    return round(part / whole, 4) if whole else None


class DoesNotAddUpError(ArithmeticError):
    """Opening and movements do not make the closing."""


@dataclass(frozen=True, slots=True)
class Recurring:
    """Monthly recurring revenue, net of VAT. ``closing_vnd`` is what subscriptions stand at; of it ``ending_vnd`` will not renew,
    ``prepaid_vnd`` is of terms, which end by themselves, and the rest is committed: it renews.

    Raises :class:`DoesNotAddUpError` where opening and movements do not make the closing.
    """

    opening_vnd: int
    moved_vnd: Mapping[str, int]
    closing_vnd: int
    ending_vnd: int
    prepaid_vnd: int

    def __post_init__(self) -> None:
        if self.opening_vnd + sum(self.moved_vnd.values()) != self.closing_vnd:
            raise DoesNotAddUpError(f"{self}")

    @property
    def committed_vnd(self) -> int:
        return self.closing_vnd - self.ending_vnd - self.prepaid_vnd

    @property
    def yearly_vnd(self) -> int:
        return 12 * self.closing_vnd


@dataclass(frozen=True, slots=True)
class Paid:
    """Active paid readers: ``committed`` have a plan that renews, ``ending`` one that will not, ``prepaid`` a term and neither,
    ``passes`` only a pass."""

    committed: int
    ending: int
    prepaid: int
    passes: int

    @property
    def active(self) -> int:
        return self.committed + self.ending + self.prepaid + self.passes


@dataclass(frozen=True, slots=True)
class Followed:
    """Of so many that ended, how many were followed by a payment in time."""

    ended: int = 0
    followed: int = 0

    @property
    def rate(self) -> float | None:
        return share(self.followed, self.ended)


@dataclass(frozen=True, slots=True)
class Churn:
    """Who left: of the ``opening`` readers with recurring revenue the ``lost`` have none at the end, by the reason of their last
    loss; ``lost_vnd`` is the recurring revenue that ended, of ``opening_vnd``, by reason."""

    opening: int
    opening_vnd: int
    lost: Mapping[str, int] = field(default_factory=dict)
    lost_vnd: Mapping[str, int] = field(default_factory=dict)

    @property
    def logo_rate(self) -> float | None:
        return share(sum(self.lost.values()), self.opening)

    @property
    def revenue_rate(self) -> float | None:
        return share(sum(self.lost_vnd.values()), self.opening_vnd)

    def rates_of(self, *reasons: str) -> tuple[float | None, float | None]:
        """The parts of both rates that these reasons make."""
        lost, lost_vnd = (
            sum(of.get(one, 0) for one in reasons) for of in (self.lost, self.lost_vnd)
        )
        return share(lost, self.opening), share(lost_vnd, self.opening_vnd)


@dataclass(frozen=True, slots=True)
class Dunning:
    """Renewals that a card refused: ``recovered`` were paid in the end, ``lost`` were closed."""

    recovered: int
    recovered_vnd: int
    lost: int
    lost_vnd: int

    @property
    def rate(self) -> float | None:
        return share(self.recovered, self.recovered + self.lost)


@dataclass(frozen=True, slots=True)
class Cohort:
    """Readers whose first payment was in the month ``first``: how many still pay after 1, 2, … months, as far as those have come."""

    first: date
    readers: int
    paying: Sequence[int]

    @property
    def shares(self) -> list[float | None]:
        return [share(one, self.readers) for one in self.paying]


@dataclass(frozen=True, slots=True)
class ReaderRevenue:
    """The metrics of one agency and month."""

    month: Month
    recurring: Recurring
    paid: Paid
    renewals: Mapping[str, Followed]
    churn: Churn
    trials: Followed
    dunning: Dunning
    cohorts: Sequence[Cohort]

    @property
    def arpu_vnd(self) -> int | None:
        """Recurring revenue of one active paid reader, rounded down; None where nobody pays."""
        return self.recurring.closing_vnd // self.paid.active if self.paid.active else None


def cohort_ends(month: Month, zone: ZoneInfo) -> list[tuple[date, datetime]]:
    """(first day, end) of the months in which cohorts of the last twelve are looked at, the earliest first; ``month`` is the last."""
    firsts = [following(month.first, -back) for back in range(COHORT_MONTHS, 0, -1)]
    return [
        *((first, start_of_day(following(first), zone)) for first in firsts),
        (month.first, month.until),
    ]


def cohorts(
    months: Sequence[date], sizes: Mapping[date, int], paying: Mapping[tuple[date, date], int]
) -> list[Cohort]:
    """``sizes`` by the month of the first payment, ``paying`` by that and the month at whose end they were looked at. ``months``: in
    their order. Cohorts of nobody are left out."""
    return [
        Cohort(
            first,
            sizes[first],
            tuple(paying.get((first, at), 0) for at in months[number + 1 :][:COHORT_MONTHS]),
        )
        for number, first in enumerate(months)
        if sizes.get(first)
    ]
