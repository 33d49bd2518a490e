"""Given days: how many, by whom, from when until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.billing.given import rules

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HANOI, PARIS = ZoneInfo("Asia/Ho_Chi_Minh"), ZoneInfo("Europe/Paris")
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("typed", "days"),
    [("7", 7), (" 90 ", 90), ("0", 0), ("", None), ("-1", None), ("7.5", None), ("٧", None)],
)
def test_days_are_whole_numbers(typed: str, days: int | None):
    assert rules.parse_days(typed) == days


@pytest.mark.parametrize(
    ("days", "lately", "finance", "refused"),
    [
        (1, 0, False, None),
        (31, 0, False, None),
        (32, 0, False, "days-limit"),
        (1, 31, False, "days-limit"),
        (1, 30, False, None),
        (90, 90, True, None),
        (91, 0, True, "days-number"),
        (0, 0, True, "days-number"),
        (None, 0, True, "days-number"),
    ],
)
def test_support_gives_up_to_the_limit_and_finance_up_to_ninety(
    days: int | None, lately: int, finance: bool, refused: str | None
):
    assert rules.refusal(days, lately, alone=31, finance=finance) == refused


def test_days_begin_now_or_after_what_runs():
    until = NOW + 10 * DAY
    assert rules.stretch(7, NOW, until, HANOI, after=False) == (NOW, NOW + 7 * DAY)
    assert rules.stretch(7, NOW, until, HANOI, after=True) == (until, until + 7 * DAY)
    assert rules.stretch(7, NOW, None, HANOI, after=True) == (NOW, NOW + 7 * DAY)


def test_days_end_at_the_same_time_of_day_where_clocks_change():
    before = datetime(2026, 10, 24, 10, 0, tzinfo=UTC)
    assert rules.stretch(2, before, None, PARIS, after=False)[1] == before + 2 * DAY + timedelta(
        hours=1
    )
