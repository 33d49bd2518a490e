"""Growth: tables of cases worked out by hand, and properties that must hold for any figures."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.metrics.growth import rules
from shared.metrics.growth.rules import Projection

YEAR = {month: month * 3_100 for month in range(1, 13)}
months = st.dictionaries(st.integers(1, 12), st.integers(0, 10**12))
days = st.dates(date(2023, 1, 1), date(2029, 12, 31))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (date(2026, 1, 1), date(2026, 1, 1), 100),  # 3100 / 31
        (date(2026, 1, 1), date(2026, 1, 31), 3_100),
        (
            date(2026, 1, 1),
            date(2026, 2, 14),
            3_100 + 3_100,
        ),  # half of February's 28 days: 6200 / 2
        (date(2026, 1, 1), date(2026, 2, 28), 3_100 + 6_200),  # an ordinary year closes February
        (
            date(2028, 1, 1),
            date(2028, 2, 28),
            3_100 + 6_200 * 28 // 29,
        ),  # a leap year has a day left
        (date(2028, 1, 1), date(2028, 2, 29), 3_100 + 6_200),
        (date(2026, 1, 1), date(2026, 12, 31), 3_100 * 78),
        (date(2026, 12, 31), date(2027, 1, 1), 37_200 * 31 // 31 - 37_200 * 30 // 31 + 100),
    ],
)
def test_the_baseline_of_the_same_fiscal_days(first, last, expected):
    assert rules.baseline_between(YEAR, first, last) == expected


@given(months, days)
def test_a_year_to_date_and_its_rest_make_the_whole_year(amounts, day):
    first, last = rules.fiscal_year(day)
    so_far = rules.baseline_between(amounts, first, day)
    rest = rules.baseline_between(amounts, day + timedelta(1), last) if day < last else 0
    assert so_far + rest == sum(amounts.values())


@given(months, days)
def test_a_baseline_never_falls_as_the_year_goes_on(amounts, day):
    first, _ = rules.fiscal_year(day)
    before = rules.baseline_between(amounts, first, day)
    if day.day > 1:
        assert before >= rules.baseline_between(amounts, first, day - timedelta(1))


@pytest.mark.parametrize(
    ("revenue", "baseline", "expected"),
    [
        (120, 100, Fraction(1, 5)),
        (80, 100, Fraction(-1, 5)),
        (0, 100, Fraction(-1)),
        (5, 0, None),
        (5, None, None),
        (-5, 100, Fraction(-105, 100)),
    ],
)
def test_growth_is_a_ratio_or_nothing_but_never_an_infinity(revenue, baseline, expected):
    assert rules.growth(revenue, baseline) == expected


def test_a_projection_keeps_the_pace_on_what_is_left_of_the_baseline():
    assert rules.project(600, 500, 1_000) == Projection(1_200, 1_200, 1_200)
    paces = [Fraction(1), Fraction(3, 2)]
    assert rules.project(600, 500, 1_000, paces) == Projection(1_200, 1_100, 1_350)
    assert rules.project(600, 0, 1_000) is None


@given(
    st.integers(0, 10**12),
    st.integers(1, 10**12),
    st.integers(0, 10**12),
    st.lists(st.fractions(0, 9), max_size=4),
)
def test_a_projection_lies_within_its_interval(earned, so_far, left, paces):
    found = rules.project(earned, so_far, so_far + left, paces)
    assert found is not None
    assert earned <= found.low <= found.expected <= found.high


def test_recent_paces_are_the_trailing_days_and_the_last_three_whole_months():
    earned, base = {4: 8, 5: 10, 6: 12, 7: 1}, {4: 10, 5: 10, 6: 10, 7: 10}
    found = rules.recent_paces(earned, base, date(2026, 7, 10), (11, 10))
    assert found == [Fraction(11, 10), Fraction(12, 10), Fraction(1), Fraction(8, 10)]
    at_the_end = rules.recent_paces(earned, base, date(2026, 7, 31), (11, 10))
    assert at_the_end == [Fraction(11, 10), Fraction(1, 10), Fraction(12, 10), Fraction(1)]
    assert rules.recent_paces({}, {}, date(2026, 1, 1), (0, 0)) == []


@pytest.mark.parametrize(
    ("earned", "goal", "today", "expected"),
    [
        (1_000, 1_200, date(2026, 12, 21), (200, 10, 20)),
        (1_000, 1_201, date(2026, 12, 21), (201, 10, 21)),
        (1_200, 1_200, date(2026, 12, 21), (0, 10, 0)),
        (1_199, 1_200, date(2026, 12, 21), (1, 10, 1)),
        (1_200, 1_200, date(2026, 12, 31), (0, 0, 0)),
        (1_000, 1_200, date(2026, 12, 31), (200, 0, None)),
    ],
)
def test_what_is_still_needed_each_day_is_rounded_up(earned, goal, today, expected):
    found = rules.need(earned, goal, today)
    assert (found.missing, found.days_left, found.per_day) == expected


def test_the_goal_is_rounded_up_to_the_dong():
    assert rules.target_amount(1_001, Decimal("0.20")) == 1_202
    assert rules.target_amount(1_000, Decimal("0.20")) == 1_200


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2025, 6, 1), (Decimal("0.1"), date(2025, 12, 31))),
        (date(2025, 12, 31), (Decimal("0.1"), date(2025, 12, 31))),
        (date(2026, 1, 1), (Decimal("0.2"), date(2030, 12, 31))),
        (date(2031, 1, 1), (Decimal("0.2"), date(2030, 12, 31))),
    ],
)
def test_the_target_in_force_is_the_next_deadlines(today, expected):
    targets = [(date(2030, 12, 31), Decimal("0.2")), (date(2025, 12, 31), Decimal("0.1"))]
    assert rules.choose_target(targets, today, Decimal("0.3")) == expected
    assert rules.choose_target([], today, Decimal("0.3")) == (Decimal("0.3"), None)


@pytest.mark.parametrize(
    ("ratio", "projected", "expected"),
    [
        (None, None, "no_baseline"),
        (Fraction(1, 5), Fraction(0), "reached"),
        (Fraction(1, 10), Fraction(1, 5), "on_course"),
        (Fraction(1, 10), Fraction(1, 10), "behind"),
    ],
)
def test_the_verdict(ratio, projected, expected):
    assert rules.verdict(ratio, projected, Decimal("0.2")) == expected


def test_percentages_are_rounded_once_when_they_are_shown():
    assert rules.percent(Fraction(1, 3)) == Decimal("33.3")
    assert [rules.percent(Fraction(n, 2_000)) for n in (1, 3, 5)] == [
        Decimal("0.0"),
        Decimal("0.2"),
        Decimal("0.2"),
    ]
    assert rules.decimal_ratio(Fraction(1, 3)) == Decimal("0.333333")
    for odd, even in ((Fraction(25, 10**7), "0.000002"), (Fraction(35, 10**7), "0.000004")):
        assert rules.decimal_ratio(odd) == Decimal(even)  # a half goes to the even neighbour
    assert rules.decimal_ratio(Fraction(1, 3), digits=2) == Decimal("0.33")


def test_months_that_nobody_knows_have_neither_earned_nor_counted():
    found = rules.recent_paces({}, {1: 1, 2: 10}, date(2026, 2, 28), (3, 1))
    assert found == [Fraction(3), Fraction(0), Fraction(0)], "from January on, with a base of 1 ₫"
    assert rules.recent_paces({1: 5, 2: 5}, {}, date(2026, 2, 28), (3, 0)) == []


def test_the_trailing_days_are_today_and_the_27_before():
    assert rules.trailing_window(date(2026, 3, 1)) == (date(2026, 2, 2), date(2026, 3, 1))
    first, last = rules.trailing_window(date(2027, 1, 1))
    assert (first, (last - first).days) == (date(2026, 12, 5), 27)


@pytest.mark.parametrize(
    ("revenue", "baseline", "meets"),
    [(120, 100, True), (119, 100, False), (121, 100, True), (5, 0, False), (5, None, False)],
)
def test_an_agency_meets_its_target_from_exactly_there_on(revenue, baseline, meets):
    assert rules.meets_target(revenue, baseline, Decimal("0.2")) is meets


def test_a_projection_from_one_dong_and_from_beyond_the_baselines_year():
    assert rules.project(3, 1, 2) == Projection(6, 6, 6)
    assert rules.project(600, 500, 400) == Projection(600, 600, 600), "nothing is left to come"
    assert rules.project(600, -1, 400) is None


def test_growth_is_told_from_a_baseline_of_one_dong_on():
    assert rules.growth(3, 1) == Fraction(2)
    assert rules.growth(3, -1) is None


def test_a_target_of_a_deadline_stands_until_its_last_day_and_after_the_last_for_good():
    targets = [(date(2026, 12, 31), Decimal("0.1")), (date(2027, 12, 31), Decimal("0.05"))]
    for today, expected in (
        (date(2026, 12, 31), targets[0]),
        (date(2027, 1, 1), targets[1]),
        (date(2028, 1, 1), targets[1]),
    ):
        assert rules.choose_target(targets, today, Decimal(1)) == expected[::-1]


@pytest.mark.parametrize(
    ("ratio", "projected", "expected"),
    [
        (Fraction(0), None, "behind"),
        (Fraction(0), Fraction(199, 1000), "behind"),
        (Fraction(199, 1000), Fraction(1), "on_course"),
    ],
)
def test_a_verdict_needs_a_projection_only_while_the_target_is_not_reached(
    ratio, projected, expected
):
    assert rules.verdict(ratio, projected, Decimal("0.2")) == expected
