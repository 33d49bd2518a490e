"""Gifts that are sent: days, hours and words; and what of an address is shown to who may not know it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.billing.addresses.rules import masked
from services.billing.gifts import rules

HERE = ZoneInfo("Asia/Ho_Chi_Minh")


@pytest.mark.parametrize(
    ("today", "last"),
    [
        (date(2026, 11, 23), date(2027, 11, 23)),
        (date(2028, 2, 29), date(2029, 2, 28)),
        (date(2027, 2, 28), date(2028, 2, 28)),
        (date(2026, 12, 31), date(2027, 12, 31)),
    ],
)
def test_a_gift_is_sent_within_a_year(today: date, last: date) -> None:
    assert rules.last_day(today) == last


def test_eight_in_the_morning_or_now() -> None:
    day, morning = date(2026, 12, 1), datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert rules.due_at(day, HERE, morning - second) == morning
    assert rules.due_at(day, HERE, morning + second) == morning + second
    # Where the clocks go forward that night it is eight by the new time.
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2027, 3, 1, tzinfo=UTC)
    assert rules.due_at(date(2027, 3, 28), berlin, before) == datetime(
        2027, 3, 28, 6, 0, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Chúc mừng \r\n\r\n\r\n\r\n  Lan\t ", "Chúc mừng\n\nLan"),
        ("a\rb", "a\nb"),
        ("a\x00\u202eb\u00a0c", "a b c"),
        ("\n \n", ""),
    ],
)
def test_a_message_is_plain_lines(typed: str, kept: str) -> None:
    assert rules.message_of(typed) == kept


@pytest.mark.parametrize(
    ("message", "link"),
    [
        ("xem http://x.example", True),
        ("FTP://x", True),
        ("(www.x.example)", True),
        ("8:00 nhé // Lan", False),
        ("awww.", False),
        ("hẹn gặp 1.12.2026", False),
    ],
)
def test_a_message_has_no_address_of_a_website(message: str, link: bool) -> None:
    assert rules.has_link(message) is link


def test_of_an_address_the_first_letter_and_the_domain_are_shown() -> None:
    assert masked("lan.tran@example.vn") == "l…@example.vn"
    assert masked('"a@b"@example.vn') == '"…@example.vn'
