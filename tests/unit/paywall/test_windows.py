"""The meter's window is the publisher's calendar month, whatever happens to clocks and months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.paywall.policies.rules import month_window

VN, BERLIN, NEW_YORK = "Asia/Ho_Chi_Minh", "Europe/Berlin", "America/New_York"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        (VN, "2026-01-31T16:59:59Z", "2025-12-31T17:00Z", "2026-01-31T17:00Z"),
        (VN, "2026-01-31T17:00:00Z", "2026-01-31T17:00Z", "2026-02-28T17:00Z"),
        (VN, "2028-02-29T16:59:59Z", "2028-01-31T17:00Z", "2028-02-29T17:00Z"),
        (VN, "2026-12-31T20:00:00Z", "2026-12-31T17:00Z", "2027-01-31T17:00Z"),
        # A reader in New York late on 31 July is in the publisher's August already.
        (VN, "2026-07-31T22:00:00-04:00", "2026-07-31T17:00Z", "2026-08-31T17:00Z"),
        (NEW_YORK, "2026-08-01T03:59:59Z", "2026-07-01T04:00Z", "2026-08-01T04:00Z"),
        # Clocks go forward in March and back in October: an hour less, an hour more.
        (BERLIN, "2026-03-29T01:30:00Z", "2026-02-28T23:00Z", "2026-03-31T22:00Z"),
        (BERLIN, "2026-10-25T00:30:00Z", "2026-09-30T22:00Z", "2026-10-31T23:00Z"),
    ],
)
def test_a_window_is_the_calendar_month_in_the_publishers_zone(zone, at, start, end):
    window = month_window(utc(at), ZoneInfo(zone))
    assert (window.start, window.end) == (utc(start), utc(end))
    assert window.start.tzinfo is window.end.tzinfo is UTC
    assert window.holds(window.start) and not window.holds(window.end)


def test_months_with_a_change_of_the_clocks_are_an_hour_shorter_and_longer():
    march = month_window(utc("2026-03-10T00:00Z"), ZoneInfo(BERLIN))
    october = month_window(utc("2026-10-10T00:00Z"), ZoneInfo(BERLIN))
    assert march.end - march.start == timedelta(days=31, hours=-1)
    assert october.end - october.start == timedelta(days=31, hours=1)


@given(
    st.integers(946_684_800, 4_102_444_800).map(lambda s: datetime.fromtimestamp(s, UTC)),
    st.sampled_from([VN, BERLIN, NEW_YORK, "Pacific/Apia", "America/Sao_Paulo", "Asia/Tehran"]),
)
def test_windows_cover_every_instant_once(at, zone):
    window = month_window(at, ZoneInfo(zone))
    assert window.holds(at)
    assert not window.holds(window.end)
    assert month_window(window.end, ZoneInfo(zone)).start == window.end
    assert month_window(window.end - timedelta(microseconds=1), ZoneInfo(zone)) == window
