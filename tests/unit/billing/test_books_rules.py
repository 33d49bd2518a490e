"""Decisions of the books: terms, months that close, periods with a name."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.ledger import rules as ledger
from services.billing.recognition import rules
from services.billing.recognition.rules import Term
from services.billing.staff import rules as periods
from services.billing.staff.query import cursor_of, parse_cursor

START, DAY = date(2026, 11, 23), timedelta(days=1)


def test_days_that_pass_are_revenue():
    assert ledger.earned_lines("subscription", 7) == (
        ledger.Line("deferred_subscription", 7),
        ledger.Line("revenue_subscription", -7),
    )


def test_a_period_within_one_day_still_has_its_day():
    assert rules.days_bought(START, START) == (START, START + DAY)
    assert rules.days_bought(START, START + 30 * DAY) == (START, START + 30 * DAY)


@given(st.integers(1, 10**15), st.integers(1, 4000))
def test_the_days_of_a_term_sum_to_its_total_and_none_is_more_than_its_share_rounded_up(
    total, days
):
    term = Term(START, START + days * DAY, total)
    earned = [term.earned_before(START + n * DAY) for n in range(days + 1)]
    shares = [after - before for before, after in itertools.pairwise(earned)]
    assert sum(shares) == total and earned[0] == 0
    assert all(total // days <= share <= -(-total // days) for share in shares)


@pytest.mark.parametrize(
    ("day", "earned", "within"),
    [
        (START - 9 * DAY, 0, START),
        (START, 0, START),
        (START + DAY, 3, START + DAY),
        (START + 2 * DAY, 6, START + 2 * DAY),
        (START + 3 * DAY, 10, START + 3 * DAY),
        (START + 9 * DAY, 10, START + 3 * DAY),
    ],
)
def test_what_a_term_has_earned_before_a_day(day, earned, within):
    term = Term(START, START + 3 * DAY, 10)
    assert (term.earned_before(day), term.left_from(day)) == (earned, 10 - earned)
    assert term.within(day) == within


@pytest.mark.parametrize(
    ("day", "last"),
    [
        (date(2026, 1, 31), date(2026, 1, 31)),
        (date(2026, 2, 1), date(2026, 2, 28)),
        (date(2028, 2, 29), date(2028, 2, 29)),
        (date(2026, 12, 5), date(2026, 12, 31)),
    ],
)
def test_the_last_day_of_a_month(day, last):
    assert ledger.end_of_month(day) == last


OCTOBER = date(2026, 10, 31)


@pytest.mark.parametrize(
    ("closed", "counted", "today", "reason"),
    [
        (None, OCTOBER, OCTOBER + DAY, None),
        (date(2026, 9, 30), OCTOBER, OCTOBER + DAY, None),
        (OCTOBER, OCTOBER + DAY, OCTOBER + DAY, "closed"),
        (date(2026, 11, 30), date(2026, 12, 3), date(2026, 12, 3), "closed"),
        (None, OCTOBER, OCTOBER, "not_over"),
        (None, OCTOBER - DAY, OCTOBER + DAY, "not_over"),
    ],
)
def test_a_month_closes_once_when_it_is_over_and_recognised(closed, counted, today, reason):
    def check() -> None:
        ledger.check_closable(OCTOBER, closed_through=closed, counted_through=counted, today=today)

    if reason is None:
        check()
        return
    with pytest.raises(ledger.PeriodNotClosableError) as error:
        check()
    assert error.value.reason == reason == str(error.value)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("2026-11", date(2026, 11, 1), date(2026, 11, 30)),
        ("2026-12", date(2026, 12, 1), date(2026, 12, 31)),
        ("2028-02", date(2028, 2, 1), date(2028, 2, 29)),
        ("2026-Q1", date(2026, 1, 1), date(2026, 3, 31)),
        ("2026-Q4", date(2026, 10, 1), date(2026, 12, 31)),
        ("2026", date(2026, 1, 1), date(2026, 12, 31)),
        ("2000", date(2000, 1, 1), date(2000, 12, 31)),
        ("9000", date(9000, 1, 1), date(9000, 12, 31)),
    ],
)
def test_a_period_is_a_month_a_quarter_or_a_year(name, first, last):
    assert periods.parse_period(name) == periods.Period(name, first, last)


@pytest.mark.parametrize(
    "name",
    ["", "2026-13", "2026-00", "2026-Q0", "2026-Q5", "1999", "9001", "2026-1", "x2026", "2026\n"],
)
def test_what_is_no_period_is_refused(name):
    with pytest.raises(ValueError, match="no period"):
        periods.parse_period(name)


def test_the_present_periods_are_offered_first_and_go_back_over_the_years_end():
    months, quarters, years = periods.offered(date(2026, 2, 14))
    assert [one.name for one in months][:3] == ["2026-02", "2026-01", "2025-12"]
    assert (len(months), months[-1].name) == (13, "2025-02")
    assert [one.name for one in quarters] == ["2026-Q1", "2025-Q4", "2025-Q3", "2025-Q2", "2025-Q1"]
    assert [one.name for one in years] == ["2026", "2025", "2024"]
    assert periods.month_of(date(2026, 2, 14)) == months[0]
    for month, quarter in (
        (3, "2026-Q1"),
        (4, "2026-Q2"),
        (9, "2026-Q3"),
        (10, "2026-Q4"),
        (12, "2026-Q4"),
    ):
        assert periods.offered(date(2026, month, 14))[1][0].name == quarter


def test_a_place_in_the_journal_is_a_day_and_an_entry():
    entry = {"booked_on": START, "id": "018f0000-0000-7000-8000-000000000001"}
    day, id_ = parse_cursor(cursor_of(entry))
    assert (day, str(id_)) == (START, entry["id"])
    for wrong in ("", "2026-11-23", "x_018f0000-0000-7000-8000-000000000001", "2026-11-23_1"):
        with pytest.raises(ValueError):
            parse_cursor(wrong)
