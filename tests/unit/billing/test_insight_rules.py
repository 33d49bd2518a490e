"""Reader-revenue metrics: months, shares and sums."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.billing.insight import figures, rules
from services.billing.insight.pages import percent

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
NOVEMBER = date(2026, 11, 1)
BEGINS, ENDS = datetime(2026, 10, 31, 17, tzinfo=UTC), datetime(2026, 11, 30, 17, tzinfo=UTC)
WEEK, INSTANT = timedelta(days=7), timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("now", "until", "over", "settled"),
    [
        (BEGINS, BEGINS + INSTANT, False, False),
        (ENDS - INSTANT, ENDS, False, False),
        (ENDS, ENDS, True, False),
        (ENDS + WEEK - INSTANT, ENDS, True, False),
        (ENDS + WEEK, ENDS, True, True),
    ],
)
def test_a_month_counts_until_now_or_to_its_end(
    now: datetime, until: datetime, over: bool, settled: bool
):
    month = rules.month_of(NOVEMBER, HANOI, now)
    assert (month.starts_at, month.last, month.name) == (BEGINS, date(2026, 11, 30), "2026-11")
    assert (month.until, month.over, month.settled) == (until, over, settled)


def test_a_month_that_has_not_begun_is_refused():
    with pytest.raises(ValueError, match="2026-11"):
        rules.month_of(NOVEMBER, HANOI, BEGINS - INSTANT)


@pytest.mark.parametrize(
    ("months", "first"),
    [(1, date(2026, 12, 1)), (2, date(2027, 1, 1)), (-11, date(2025, 12, 1)), (0, NOVEMBER)],
)
def test_months_follow_over_the_year(months: int, first: date):
    assert rules.following(NOVEMBER, months) == first


@pytest.mark.parametrize(
    ("part", "whole", "share"), [(1, 3, 0.3333), (0, 5, 0.0), (5, 5, 1.0), (0, 0, None)]
)
def test_a_share_of_nothing_is_none(part: int, whole: int, share: float | None):
    assert rules.share(part, whole) == share


def recurring(**changes: Any) -> rules.Recurring:
    moved = {"new": 50, "expansion": 20, "contraction": -5, "churn": -30, "reactivation": 15}
    values: dict[str, Any] = {"opening_vnd": 100, "moved_vnd": moved, "closing_vnd": 150}
    return rules.Recurring(**values | {"ending_vnd": 30, "prepaid_vnd": 40} | changes)


def test_what_stands_is_committed_ending_or_prepaid():
    assert (recurring().committed_vnd, recurring().yearly_vnd) == (80, 1_800)


@pytest.mark.parametrize("change", [{"closing_vnd": 151}, {"opening_vnd": 99}])
def test_an_opening_that_does_not_make_the_closing_is_refused(change: dict[str, int]):
    with pytest.raises(rules.DoesNotAddUpError):
        recurring(**change)


def revenue(**changes: Any) -> rules.ReaderRevenue:
    values: dict[str, Any] = {
        "month": rules.month_of(NOVEMBER, HANOI, ENDS),
        "recurring": recurring(),
        "paid": rules.Paid(3, 2, 1, 1),
        "renewals": {"renewal": rules.Followed(4, 3), "term": rules.Followed()},
        "churn": rules.Churn(
            10, 100, {"canceled": 1, "returned": 1, "unpaid": 2}, {"canceled": 10, "unpaid": 20}
        ),
        "trials": rules.Followed(2, 1),
        "dunning": rules.Dunning(3, 177, 1, 59),
        "cohorts": (),
    }
    return rules.ReaderRevenue(**values | changes)


def test_rates_and_the_part_of_each_reader():
    found = revenue()
    assert (found.paid.active, found.arpu_vnd) == (7, 21)
    assert revenue(paid=rules.Paid(0, 0, 0, 0)).arpu_vnd is None
    assert (found.churn.logo_rate, found.churn.revenue_rate) == (0.4, 0.3)
    assert found.churn.rates_of(*rules.VOLUNTARY) == (0.2, 0.1)
    assert found.churn.rates_of(rules.UNPAID) == (0.2, 0.2)
    assert found.churn.rates_of(rules.LAPSED) == (0.0, 0.0)
    assert (found.dunning.rate, found.trials.rate) == (0.75, 0.5)
    assert [one.rate for one in found.renewals.values()] == [0.75, None]


def test_figures_are_lines_with_words():
    lines = {(one.group, one.words): (one.value, one.rate) for one in figures.figures(revenue())}
    assert lines[figures.MRR, "At the end"] == (150, None)
    assert lines[figures.MRR, "Churn"] == (-30, None)
    assert lines[figures.WHO_PAYS, "With a plan that renews"] == (3, 0.4286)
    assert lines[figures.LOST, "Of their own will"] == (2, 0.2)
    assert lines[figures.LOST_VND, "A renewal was not paid"] == (20, 0.2)
    assert lines[figures.DUNNING, "Sum of what was paid"] == (177, None)
    assert {group for group, _ in lines} == set(figures.GROUPS)
    nobody = figures.figures(revenue(paid=rules.Paid(0, 0, 0, 0)))
    assert "For each active paid reader (ARPU)" not in {one.words for one in nobody}
    assert (percent(0.125, "vi"), percent(0.125, "en"), percent(None, "vi")) == (
        "12,5 %",
        "12.5 %",
        "",
    )


def test_cohorts_are_followed_for_twelve_months():
    month = rules.month_of(NOVEMBER, HANOI, ENDS)
    ends = rules.cohort_ends(month, HANOI)
    assert len(ends) == 13 and ends[-1] == (NOVEMBER, ENDS)
    assert ends[0] == (date(2025, 11, 1), datetime(2025, 11, 30, 17, tzinfo=UTC))
    months = [first for first, _ in ends]
    sizes = {months[0]: 4, months[11]: 2, months[12]: 1}
    paying = {(months[0], months[1]): 3, (months[0], months[12]): 1, (months[11], months[12]): 2}
    found = rules.cohorts(months, sizes, paying)
    assert [(one.first, one.readers) for one in found] == list(sizes.items())
    assert list(found[0].paying) == [3, *[0] * 10, 1] and found[0].shares[0] == 0.75
    assert (list(found[1].paying), list(found[2].paying)) == ([2], [])
