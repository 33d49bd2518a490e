"""Single values of Stripe's JSON: what is none is an error, never guessed."""

from __future__ import annotations

from datetime import UTC

import pytest

from services.billing.payments.adapters import stripe_values as values
from services.billing.payments.adapters.port import (
    MalformedNotificationError,
)

LAST_SECOND = 253_402_300_799  # of the year 9999


@pytest.mark.parametrize("value", [0, 1, 59_000, 10**15])
def test_an_amount_is_a_whole_number(value):
    assert values.amount(value) == values.signed(value) == value
    assert values.signed(-value) == -value


@pytest.mark.parametrize("value", [10**15 + 1, 1.0, "59000", True, None])
def test_what_is_no_amount_is_never_guessed(value):
    for read in (values.amount, values.signed):
        with pytest.raises(MalformedNotificationError, match="is not an amount") as refused:
            read(value)
        assert repr(value) in str(refused.value)


def test_only_what_may_leave_us_is_negative():
    with pytest.raises(MalformedNotificationError, match="-1 is not an amount"):
        values.amount(-1)
    with pytest.raises(MalformedNotificationError, match="is not an amount"):
        values.signed(-(10**15) - 1)


@pytest.mark.parametrize("value", [0, 1, LAST_SECOND])
def test_a_moment_is_whole_seconds_in_utc(value):
    found = values.instant(value)
    assert (found.timestamp(), found.tzinfo) == (value, UTC)


@pytest.mark.parametrize("value", [-1, LAST_SECOND + 1, 1.5, "1", True, None])
def test_what_is_no_moment_is_never_guessed(value):
    with pytest.raises(MalformedNotificationError, match="is not a time"):
        values.instant(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [("pi_1", "pi_1"), ({"id": "pi_1", "object": "payment_intent"}, "pi_1"), ("~" * 255,) * 2],
)
def test_a_reference_is_an_id_expanded_or_not(value, found):
    assert values.identifier(value) == values.optional_identifier(value) == found


@pytest.mark.parametrize(
    "value",
    ["", 7, {}, {"id": None}, {"id": ""}, "x" * 256, ["pi_1"], "pi 1", "pi_\x00", "pí", "\ud800"],
)
def test_what_is_no_id_is_never_guessed(value):
    for read in (values.identifier, values.optional_identifier):
        with pytest.raises(MalformedNotificationError, match="is not an id"):
            read(value)
    with pytest.raises(MalformedNotificationError):
        values.identifier(None)
    assert values.optional_identifier(None) == ""


@pytest.mark.parametrize(("value", "found"), [("vnd", "VND"), ("USD", "USD")])
def test_a_currency_is_three_letters(value, found):
    assert values.currency(value) == found


@pytest.mark.parametrize("value", ["", "vn", "dong", "vn1", "đồn", None, 704])
def test_what_is_no_currency_is_never_guessed(value):
    with pytest.raises(MalformedNotificationError, match="is not a currency"):
        values.currency(value)
