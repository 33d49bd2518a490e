"""Time that can be moved, and money that always adds up."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import (
    VIETNAM,
    MovableClock,
    SystemClock,
    local_date,
    start_of_day,
)
from shared.ids import new_id
from shared.money import MAX_AMOUNT, CurrencyMismatchError, Money, accrued, format_vnd, part

amounts = st.integers(-MAX_AMOUNT, MAX_AMOUNT)


def test_the_systems_clock_is_aware_and_can_be_shifted():
    now, shifted = SystemClock().now(), SystemClock(offset_seconds=86_400).now()
    assert now.tzinfo is UTC
    assert timedelta(hours=23, minutes=59) < shifted - now < timedelta(hours=24, minutes=1)
    before, found, after = datetime.now(UTC), SystemClock().now(), datetime.now(UTC)
    assert before <= found <= after


def test_a_movable_clock_stands_until_it_is_moved():
    clock = MovableClock(datetime(2026, 12, 31, 23, 0, tzinfo=VIETNAM))
    assert clock.now() == clock.now() == datetime(2026, 12, 31, 16, 0, tzinfo=UTC)
    clock.advance(timedelta(hours=1))
    assert local_date(clock.now(), VIETNAM) == date(2027, 1, 1)
    clock.set(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-5))))
    assert clock.now().tzinfo is UTC


def test_a_clock_refuses_a_time_without_a_zone():
    with pytest.raises(ValueError, match=r"^a clock needs an aware datetime$"):
        MovableClock(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("at", "zone", "day"),
    [
        ("2026-11-23T16:59:59+00:00", "Asia/Ho_Chi_Minh", "2026-11-23"),
        ("2026-11-23T17:00:00+00:00", "Asia/Ho_Chi_Minh", "2026-11-24"),
        ("2026-03-29T00:30:00+00:00", "Europe/Berlin", "2026-03-29"),
        ("2026-01-01T04:59:59+00:00", "America/New_York", "2025-12-31"),
    ],
)
def test_a_date_belongs_to_a_zone(at, zone, day):
    assert local_date(datetime.fromisoformat(at), ZoneInfo(zone)) == date.fromisoformat(day)


@given(
    st.dates(date(1990, 1, 1), date(2100, 1, 1)),
    st.sampled_from(["Asia/Ho_Chi_Minh", "Europe/Berlin", "America/New_York"]),
)
def test_a_day_starts_where_the_day_before_ends(day, name):
    zone = ZoneInfo(name)
    start = start_of_day(day, zone)
    assert local_date(start, zone) == day
    assert start.tzinfo is UTC
    assert local_date(start - timedelta(seconds=1), zone) == day - timedelta(days=1)


def test_ids_sort_by_the_time_they_were_made_and_never_repeat():
    ids = [new_id() for _ in range(5000)]
    assert len(set(ids)) == 5000
    assert ids == sorted(ids)
    assert all(isinstance(id_, UUID) and id_.version == 7 for id_ in ids)


@given(amounts, amounts)
def test_adding_and_taking_away_are_exact(a, b):
    assert Money(a) + Money(b) - Money(b) == Money(a)
    assert -Money(a) + Money(a) == Money(0)


def test_amounts_keep_their_currency():
    one, two = Money(1, "USD"), Money(2, "USD")
    assert (one + two, two - one, -one) == (Money(3, "USD"), Money(1, "USD"), Money(-1, "USD"))


@pytest.mark.parametrize("amount", [1.0, "1", True, None])
def test_money_is_a_whole_number(amount):
    told = f"^money is a whole number, not {type(amount).__name__}$"
    with pytest.raises(TypeError, match=told):
        Money(amount)


@pytest.mark.parametrize("currency", ["vnd", "VN", "", "ĐỒNG"])
def test_a_currency_is_a_code(currency):
    with pytest.raises(ValueError, match="ISO 4217"):
        Money(1, currency)


def test_different_currencies_never_meet():
    with pytest.raises(CurrencyMismatchError, match=r"^VND and USD do not add up$"):
        Money(1, "VND") + Money(1, "USD")
    with pytest.raises(CurrencyMismatchError):
        Money(1, "VND") - Money(1, "USD")
    assert Money(1, "VND") != Money(1, "USD")


@given(amounts, st.integers(1, 1000))
def test_parts_sum_exactly_and_differ_by_at_most_one(total, whole):
    parts = [part(total, index, whole) for index in range(whole)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1


@given(amounts, st.lists(st.integers(1, 500), min_size=1, max_size=20))
def test_any_split_into_stretches_sums_exactly(total, stretches):
    """A year recognised day by day, by weeks, or with gaps in between gives the same total."""
    whole, done, recognised = sum(stretches), 0, 0
    for stretch in stretches:
        recognised += accrued(total, done + stretch, whole) - accrued(total, done, whole)
        done += stretch
    assert recognised == total


@given(amounts, st.integers(1, 1000), st.data())
def test_what_has_accrued_only_grows_and_a_refund_mirrors_it(total, whole, data):
    done = data.draw(st.integers(0, whole - 1))
    step = accrued(total, done + 1, whole) - accrued(total, done, whole)
    assert step * (1 if total >= 0 else -1) >= 0
    assert accrued(-total, done, whole) == -accrued(total, done, whole)
    assert accrued(total, 0, whole) == 0


@pytest.mark.parametrize(("done", "whole"), [(-1, 3), (4, 3), (0, 0), (0, -1)])
def test_a_share_outside_of_the_whole_is_refused(done, whole):
    with pytest.raises(ValueError, match=r"0\.\.whole"):
        accrued(100, done, whole)


@pytest.mark.parametrize(
    ("amount", "vi", "en"),
    [
        (0, "0\u00a0₫", "₫0"),
        (1_234_567, "1.234.567\u00a0₫", "₫1,234,567"),
        (-50_000, "-50.000\u00a0₫", "-₫50,000"),
    ],
)
def test_amounts_are_shown_in_the_readers_way(amount, vi, en):
    assert format_vnd(amount) == vi
    assert format_vnd(amount, "en") == en
