"""Decisions about groups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.billing.payments.rules import Sale, sold_line
from services.billing.seats import rules
from services.billing.subscriptions.rules import (
    RENEWAL,
    TERM,
    Dunning,
    Facts,
    Paid,
    seats_at,
    stretches,
)
from shared.clock import VIETNAM

DAY = timedelta(days=1)
NOW = datetime(2027, 3, 1, tzinfo=UTC)


def period(number: int, seats: int = 4) -> Paid:
    return Paid(NOW + number * 30 * DAY, NOW + (number + 1) * 30 * DAY, seats=seats)


@pytest.mark.parametrize(
    ("email", "public"),
    [
        ("an@gmail.com", True),
        ("an@yahoo.com", True),
        ("an@yahoo.com.vn", True),
        ("an@outlook.fr", True),
        ("an@icloud.com", True),
        ("AN@GMAIL.COM", True),
        ("an@mail.yahoo.example.vn", False),
        ("an@hust.edu.vn", False),
        ("an@gmail.com.example.vn", False),
        ('"a@b"@evn.com.vn', False),
    ],
)
def test_where_anybody_may_have_a_mailbox_is_no_companys(email: str, public: bool):
    assert rules.is_public(rules.domain_of(email)) is public


@pytest.mark.parametrize(
    ("typed", "seats"),
    [("", None), (" ", None), ("6", 6), ("0012", 12), ("12345", 0), ("-1", 0), ("²", 0), ("x", 0)],
)
def test_a_number_of_seats_is_read(typed: str, seats: int | None):
    assert rules.parse_seats(typed) == seats


def test_a_member_reads_from_joining_to_leaving():
    whole = [(NOW, NOW + 30 * DAY), (NOW + 60 * DAY, NOW + 90 * DAY)]
    joined = NOW + 10 * DAY
    assert rules.held(whole, joined, None) == [(joined, NOW + 30 * DAY), whole[1]]
    assert rules.held(whole, joined, NOW + 70 * DAY)[1] == (NOW + 60 * DAY, NOW + 70 * DAY)
    assert rules.held(whole, joined, joined) == []
    assert rules.held(whole, NOW + 30 * DAY, None) == [whole[1]], "not the end of the one before"


def test_a_seat_is_read_in_the_periods_that_are_paid_for_it():
    grace = Dunning().grace
    facts = Facts(RENEWAL, (period(0), period(1, 2), period(2, 5)), Dunning())
    assert stretches(facts) == [(NOW, NOW + 90 * DAY + grace)]
    assert stretches(facts, 2) == stretches(facts)
    assert stretches(facts, 3) == [(NOW, NOW + 30 * DAY), (NOW + 60 * DAY, NOW + 90 * DAY + grace)]
    assert stretches(facts, 5) == [(NOW + 60 * DAY, NOW + 90 * DAY + grace)]
    assert stretches(facts, 6) == []
    fewer = Facts(RENEWAL, (period(0), period(1, 2)), Dunning())
    assert stretches(fewer, 3) == [(NOW, NOW + 30 * DAY)], "the grace is of the last period"
    assert stretches(Facts(TERM, (period(0),), Dunning()), 4) == [(NOW, NOW + 30 * DAY)]


def test_a_subscription_is_for_as_many_as_the_newest_period_that_has_begun():
    first = (NOW, NOW + 30 * DAY, 4, False)
    second = (NOW + 30 * DAY, NOW + 60 * DAY, 1, False)
    assert seats_at([], NOW) == 1
    longer, shorter = (NOW, NOW + 2 * DAY, 1, False), (NOW, NOW + DAY, 9, False)
    early = (NOW - DAY, NOW + 3 * DAY, 5, False)
    assert seats_at([early, shorter], NOW) == 9, "the one that has begun last"
    assert seats_at([longer, shorter], NOW) == 1, (
        "of two that begin together the one that ends later"
    )
    assert seats_at([second, first], NOW - DAY) == 4, "the first that will begin"
    assert seats_at([second, first], NOW) == 4
    assert seats_at([second, first], NOW + 30 * DAY - DAY / 86_400) == 4
    assert seats_at([second, first], NOW + 30 * DAY) == 1
    assert seats_at([second, first], NOW + 90 * DAY) == 1, "once it is over: the last"
    returned = (*first[:3], True)
    assert seats_at([second, returned], NOW) == 4, "its money may be with us after all"
    for begins in (NOW, NOW + 2 * DAY):
        undone = (begins, NOW + 40 * DAY, 9, True)
        for at in (NOW + 3 * DAY, NOW + 90 * DAY):
            assert seats_at([first, undone], at) == 4, "a change that was undone"
    assert seats_at([returned, undone], NOW + 3 * DAY) == 9


@pytest.mark.parametrize(
    ("amount", "per_seat", "quantity", "unit", "said"),
    [
        (270_000, True, 6, 45_000, False),
        (269_999, True, 1, 269_999, True),
        (119_000, False, 1, 119_000, True),
    ],
)
def test_an_invoice_counts_seats_where_each_costs_whole_dong(
    amount, per_seat, quantity, unit, said
):
    sale = Sale(
        "a@b.vn", "", "Gói", "Plan", "month", "vi", "PR1", True, 0, "period", None, 6, per_seat
    )
    line = sold_line(sale, amount, "press_subscription", None, VIETNAM)
    assert (line.quantity, line.unit_gross_vnd, line.gross_vnd) == (quantity, unit, amount)
    assert ("6 người đọc" in line.description_vi, "6 readers" in line.description_en) == (
        said,
        said,
    )


@pytest.mark.parametrize(
    ("seats", "open_", "letters"), [(1, 2, 10), (4, 8, 10), (6, 12, 12), (300, 600, 600)]
)
def test_how_many_invitations_and_letters_a_group_of_some_size_has(seats, open_, letters):
    assert rules.invitations_at_most(seats) == open_
    assert rules.letters_a_day(seats) == letters
