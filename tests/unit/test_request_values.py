"""What is taken from addresses and bodies, and what is written into headers: one form, within bounds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.web import params
from shared.web.address import header_address

DAY, CALENDAR_DAY = TypeAdapter(params.Day), TypeAdapter(params.CalendarDay)
INSTANT, TEXT = TypeAdapter(params.Instant), TypeAdapter(params.PlainText)
WHOLE, TRUTH = TypeAdapter(params.Whole), TypeAdapter(params.Truth)


@pytest.mark.parametrize("value", ["2000-01-01", "2026-03-15", "2199-12-31"])
def test_a_day_is_written_as_iso_8601_writes_it(value):
    assert DAY.validate_python(value) == date.fromisoformat(value)
    assert DAY.validate_python(date.fromisoformat(value)) == date.fromisoformat(value)


@pytest.mark.parametrize(
    "value",
    [0, 1.0, True, "1768435200", "2026-3-15", "15-03-2026", "2026-03-15T00:00:00", " 2026-03-15"],
)
def test_a_day_in_another_form_is_refused_with_what_is_right(value):
    for adapter in (DAY, CALENDAR_DAY):
        with pytest.raises(ValidationError, match=r"Value error, 2026-03-15 is right"):
            adapter.validate_python(value)


def test_a_form_is_for_texts_and_numbers_are_none():
    check = params._written(r"[0-9]+", "7")
    for given_value in ("7", "123", date(2026, 1, 1), None):
        assert check(given_value) is given_value
    for given_value in ("", "7 ", "x", 7, 7.0, True):
        with pytest.raises(ValueError, match=r"^7 is right$"):
            check(given_value)


@pytest.mark.parametrize("value", ["1999-12-31", "2200-01-01", "2026-02-30"])
def test_a_day_outside_of_the_calendar_in_use_is_refused(value):
    with pytest.raises(ValidationError):
        DAY.validate_python(value)


def test_any_year_is_a_calendar_day():
    assert CALENDAR_DAY.validate_python("1945-09-02") == date(1945, 9, 2)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-11-23T00:00:00+07:00", datetime(2026, 11, 22, 17, tzinfo=UTC)),
        ("2026-11-23 00:00:00Z", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23t00:00:00Z", datetime(2026, 11, 23, tzinfo=UTC)),
    ],
)
def test_an_instant_is_in_utc_from_here_on(value, found):
    instant = INSTANT.validate_python(value)
    assert instant == found and instant.tzinfo is UTC


@pytest.mark.parametrize("value", [0, 1.5, False, "1768435200", "2026-11-23", "23.11.2026 00:00Z"])
def test_an_instant_in_another_form_is_refused_with_what_is_right(value):
    with pytest.raises(ValidationError, match=r"Value error, 2026-11-23T00:00:00\+07:00 is right"):
        INSTANT.validate_python(value)


def test_an_instant_without_a_zone_or_a_place_in_utc_is_refused():
    with pytest.raises(ValidationError, match="timezone"):
        INSTANT.validate_python("2026-11-23T00:00:00")
    for beyond in ("0001-01-01T00:00:00+07:00", "9999-12-31T23:59:59-07:00"):
        with pytest.raises(
            ValidationError,
            match=r"Value error, outside the years 1 to 9999 in UTC; 2026-11-23T00:00:00Z is right",
        ):
            INSTANT.validate_python(beyond)


def test_a_text_has_no_nul_and_at_most_four_thousand_characters():
    for words in ("", "Báo\n", "x" * 4_000):
        assert TEXT.validate_python(words) == words
    with pytest.raises(ValidationError, match=r"Value error, a text without the character NUL \["):
        TEXT.validate_python("a\x00b")
    with pytest.raises(ValidationError):
        TEXT.validate_python("x" * 4_001)


@pytest.mark.parametrize("value", ["1", 1.0, True, None])
def test_a_whole_number_is_nothing_that_could_be_read_as_one(value):
    with pytest.raises(ValidationError):
        WHOLE.validate_python(value)
    assert WHOLE.validate_python(1) == 1


@pytest.mark.parametrize("value", ["true", 1, 0, "yes", None])
def test_a_truth_value_is_nothing_that_could_be_read_as_one(value):
    with pytest.raises(ValidationError):
        TRUTH.validate_python(value)
    assert TRUTH.validate_python(False) is False


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://báo.vn/bài?x=a b#đ", "https://b%C3%A1o.vn/b%C3%A0i?x=a%20b#%C4%91"),
        ("https://[::1]:80/a%20b?c=d&e=f~@!$'()*+,;#", "https://[::1]:80/a%20b?c=d&e=f~@!$'()*+,;#"),
        ('https://a.vn/"<>\r\n\\', "https://a.vn/%22%3C%3E%0D%0A%5C"),
    ],
)  # fmt: skip
def test_an_address_in_a_header_is_ascii_and_leads_to_the_same_place(url, written):
    assert header_address(url) == written


@given(st.text(max_size=80))
def test_no_address_ends_a_header_or_says_something_else(text):
    written = header_address("https://a.vn/" + text)
    assert written.isascii() and written.isprintable() and " " not in written
    assert header_address(written) == written, "what is escaped stays as it is"
    assert unquote(written) == unquote("https://a.vn/" + text)
    assert urlsplit(written).netloc == "a.vn"
