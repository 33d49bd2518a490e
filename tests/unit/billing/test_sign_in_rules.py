"""The pace of signing in, and the addresses that codes go to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.readers.rules import session_expiry
from services.billing.sign_in import rules
from shared.mail.address import normalise_email

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LONGEST = f"{'x' * 64}@{'a' * 63}.{'b' * 63}.{'c' * 58}.vn"  # 254 characters


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Lan@Example.VN ", "lan@example.vn"),
        ("lan+bao@mail.example.vn", "lan+bao@mail.example.vn"),
        ("o'brien_9.x-y&z@example.vn", "o'brien_9.x-y&z@example.vn"),
        ("lan@báo.vn", None),  # mail there is written to its DNS form
        ("lan@example", None),
        ("lan", None),
        ("", None),
        ("@example.vn", None),
        ("a b@example.vn", None),
        ("a..b@example.vn", None),
        ("x" * 65 + "@example.vn", None),
        (LONGEST, LONGEST),
        ("x" + LONGEST[1:64] + "@d" + LONGEST[65:], None),  # 255 characters
        ("lan@" + "x." * 130 + "vn", None),
        ("lan@example.vn\nBcc: all@example.vn", None),
        ("lan@[192.0.2.1]", None),
        ('"a b"@example.vn', None),
        ("lan\u202e@example.vn", None),
        ("nguyễn@example.vn", None),
        ("{lan}@example.vn", None),
        ("=cmd|x@example.vn", None),
        ("`id`@example.vn", None),
    ],
)
def test_addresses_are_kept_in_one_form_or_refused(typed, kept):
    assert normalise_email(typed) == kept


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_clean_address_or_none(text):
    found = normalise_email(text)
    assert found is None or (found.isascii() and found == found.lower() and found.count("@") == 1)


def test_codes_get_longer_where_more_is_asked_than_people_ask():
    assert rules.digits_of_code(4, False) == 6
    assert rules.digits_of_code(5, False) == 8
    assert rules.digits_of_code(0, True) == 8


def test_a_busy_network_waits_a_little_and_never_more_than_a_minute():
    every, within = rules.NETWORK.every, rules.NETWORK.allowance
    assert rules.turn_seconds(within) == 0
    assert rules.turn_seconds(within + every) == 5
    assert rules.turn_seconds(within + 10 * every) == 20
    assert rules.turn_seconds(within + 1_000 * every) == 60


def test_the_next_code_waits_half_a_minute():
    assert rules.resend_in(NOW, NOW) == 30
    assert rules.resend_in(NOW, NOW + timedelta(seconds=29.5)) == 1
    assert rules.resend_in(NOW, NOW + timedelta(seconds=30)) == 0


def test_a_session_slides_and_ends_for_good():
    assert session_expiry(NOW, NOW, 90, 365) == NOW + 90 * DAY
    later = NOW + 300 * DAY
    assert session_expiry(later, NOW, 90, 365) == NOW + 365 * DAY
