"""Whose an offer is, what a period costs, and what is left of it: values in, values out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.offers.rules import (
    Kind,
    Person,
    Priced,
    Terms,
    as_domains,
    is_for,
    is_of,
    next_price,
    price_for,
    span,
    stands,
)

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
DAY = timedelta(days=1)
PRICE, FULL = UUID(int=1), 59_000


def terms(kind: Kind = Kind.INTRO, amount: int = 19_000, **more) -> Terms:
    of_kind = {
        Kind.INTRO: {"periods": 3},
        Kind.WINBACK: {"periods": 2, "lapsed_days": 30, "again_days": 200},
        Kind.STUDENT: {"domains": ("edu.vn",)},
    }[kind]
    values = {
        "id": UUID(int=100 + amount),
        "price_id": PRICE,
        "kind": kind,
        "amount_vnd": amount,
        "periods": None,
        "valid_from": NOW - DAY,
        "valid_until": None,
        "lapsed_days": None,
        "again_days": None,
        "domains": (),
        "ended_at": None,
    }
    return Terms(**values | of_kind | more)


OLD = Person(new=False)
LEFT = Person(new=False, lapsed_at=NOW - 30 * DAY)
STUDENT = Person(new=False, live=True, address="lan@sv.hust.edu.vn", student_until=NOW + DAY)
BACK = terms(Kind.WINBACK)


@pytest.mark.parametrize(
    ("offer", "person", "at", "expected"),
    [
        (terms(), Person(), NOW, True),
        (terms(), OLD, NOW, False),
        (BACK, Person(), NOW, False),
        (BACK, LEFT, NOW, True),
        (BACK, LEFT, NOW - timedelta(seconds=1), False),
        (BACK, Person(new=False, live=True, lapsed_at=NOW - 40 * DAY), NOW, False),
        (
            BACK,
            Person(new=False, lapsed_at=NOW - 40 * DAY, won_back_at=NOW - 199 * DAY),
            NOW,
            False,
        ),
        (BACK, Person(new=False, lapsed_at=NOW - 40 * DAY, won_back_at=NOW - 200 * DAY), NOW, True),
        (terms(Kind.STUDENT), STUDENT, NOW, True),
        (terms(Kind.STUDENT), STUDENT, NOW + DAY, False),
        (terms(Kind.STUDENT, domains=("vnu.vn",)), STUDENT, NOW, False),
    ],
)
def test_whose_an_offer_is(offer, person, at, expected):
    assert is_for(offer, person, at) is expected


@pytest.mark.parametrize(
    ("offered", "person", "amount"),
    [
        ([terms()], Person(), 19_000),
        ([terms(valid_from=NOW + DAY)], Person(), FULL),
        ([terms(valid_until=NOW)], Person(), FULL),
        ([terms(ended_at=NOW)], Person(), FULL),
        ([terms(ended_at=NOW)], Person(new=False, held={UUID(int=19_100): 2}), 19_000),
        (
            [terms(), terms(Kind.STUDENT, 18_000)],
            Person(address="a@b.edu.vn", student_until=NOW + DAY),
            18_000,
        ),
        ([], Person(), FULL),
    ],
)
def test_a_period_that_is_bought_costs_the_cheapest_offer_that_is_for_its_reader(
    offered, person, amount
):
    assert price_for(FULL, "month", offered, person, NOW).amount_vnd == amount


def test_what_is_left_is_said_of_the_offer_and_of_the_reader():
    assert price_for(FULL, "month", [terms()], Person(), NOW).first
    held = Person(new=False, held={terms().id: 2})
    found = price_for(FULL, "quarter", [terms()], held, NOW)
    assert (found.left, found.first, found.span) == (2, False, (6, "month"))
    assert Priced(FULL, "month").amount_vnd == FULL


@pytest.mark.parametrize(
    ("held", "offered", "person", "amount"),
    [
        ((terms(), 2), [], OLD, 19_000),
        ((terms(ended_at=NOW - DAY), 1), [], OLD, 19_000),
        ((terms(), 0), [terms()], Person(), FULL),  # nobody begins one in the middle
        (None, [terms(), BACK], LEFT, FULL),
        (None, [terms(Kind.STUDENT, 29_000)], STUDENT, 29_000),
        ((terms(), 0), [terms(Kind.STUDENT, 29_000)], STUDENT, 29_000),
        ((terms(), 1), [terms(Kind.STUDENT, 29_000)], STUDENT, 19_000),
        ((terms(Kind.STUDENT, 29_000), None), [], OLD, FULL),
    ],
)
def test_what_the_next_period_costs(held, offered, person, amount):
    assert next_price(FULL, "month", held, offered, person, NOW).amount_vnd == amount


@pytest.mark.parametrize(
    ("offer", "person", "used", "still_open", "expected"),
    [
        (terms(), Person(), 0, False, True),
        (terms(), OLD, 0, False, False),
        (terms(), OLD, 2, True, True),
        (terms(), OLD, 3, True, False),
        (terms(), Person(new=False, held={terms().id: 1}), 2, False, True),
        (terms(Kind.STUDENT), OLD, 99, True, True),
        (terms(Kind.STUDENT), OLD, 99, False, False),
    ],
)
def test_whether_money_may_still_pay_an_order_at_an_offer(
    offer, person, used, still_open, expected
):
    assert stands(offer, person, used=used, still_open=still_open, now=NOW) is expected


@given(
    st.integers(1, 60), st.lists(st.sampled_from(["pay", "student on", "student off"]), max_size=80)
)
def test_an_offer_is_paid_as_often_as_it_has_periods_and_the_price_afterwards(periods, story):
    """Summed beside it: the offer so often, then the student's price while it is proved, else the price itself."""
    offer, students = terms(periods=periods), terms(Kind.STUDENT, 29_000)
    left: int | None = periods
    proved, charged, expected, paid = False, 0, 0, 0
    for act in story:
        if act != "pay":
            proved = act == "student on"
            continue
        person = STUDENT if proved else OLD
        found = next_price(FULL, "month", (offer, left), [students], person, NOW)
        charged += found.amount_vnd
        left = left - 1 if found.terms is offer and left else left
        expected += 19_000 if paid < periods else (29_000 if proved else FULL)
        paid += 1
    assert charged == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".edu.vn, @vnu.vn", ("edu.vn", "vnu.vn")),
        ("EDU.VN edu.vn", ("edu.vn",)),
        (" ".join(f"d{n}.vn" for n in range(20)), tuple(f"d{n}.vn" for n in range(20))),
        (" ".join(f"d{n}.vn" for n in range(21)), None),
        ("edu", None),
        ("", None),
        ("a_b.vn", None),
        ("%.vn", None),
        ("-.vn", None),
    ],
)
def test_domains_as_people_write_them(text, expected):
    assert as_domains(text) == expected


def test_an_address_is_of_a_domain_or_of_one_below_it():
    assert is_of("a@edu.vn", ["edu.vn"]) and is_of("a@x.y.edu.vn", ["edu.vn"])
    assert not is_of("a@myedu.vn", ["edu.vn"]) and not is_of("edu.vn@gmail.com", ["edu.vn"])


@pytest.mark.parametrize(
    ("periods", "period", "expected"),
    [(3, "week", (3, "week")), (2, "half_year", (12, "month")), (2, "year", (2, "year"))],
)
def test_so_many_periods_in_the_words_of_a_calendar(periods, period, expected):
    assert span(periods, period) == expected


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("until", "ended", "now", "open_"),
    [
        (None, None, NOW - SECOND, False),
        (None, None, NOW, True),
        (NOW + DAY, None, NOW + DAY - SECOND, True),
        (NOW + DAY, None, NOW + DAY, False),
        (None, NOW + DAY, NOW + DAY - SECOND, True),
        (None, NOW + DAY, NOW + DAY, False),
        (NOW + 9 * DAY, NOW + DAY, NOW + 2 * DAY, False),
    ],
)
def test_an_offer_is_open_from_its_first_moment_to_before_its_last(until, ended, now, open_):
    offered = terms(Kind.STUDENT, valid_from=NOW, valid_until=until, ended_at=ended)
    assert offered.open_at(now) is open_


def test_of_two_offers_at_one_price_the_one_for_more_periods_is_taken():
    person = Person(new=True, student_until=NOW + DAY, address="lan@edu.vn")
    short, long = terms(periods=1, id=UUID(int=1)), terms(periods=3, id=UUID(int=2))
    for offered in ([short, long], [long, short]):
        found = price_for(FULL, "week", offered, person, NOW)
        assert (found.terms, found.left) == (long, 3)
        assert (found.full_vnd, found.period) == (FULL, "week")
    student = terms(Kind.STUDENT, id=UUID(int=3))
    held = replace(person, held={student.id: 5})
    assert price_for(FULL, "week", [student], held, NOW).left is None, "as long as one studies"


def test_a_closed_order_at_an_offer_is_looked_at_now():
    back = replace(LEFT, won_back_at=NOW - 100 * DAY)
    assert not stands(BACK, back, used=0, still_open=False, now=NOW)
    assert stands(BACK, back, used=0, still_open=False, now=NOW + 100 * DAY)


def test_one_domain_is_enough_and_the_last_at_sign_counts():
    assert as_domains("vnu.vn") == ("vnu.vn",)
    assert is_of('"a@b"@vnu.vn', ("vnu.vn",))


def test_the_next_period_is_of_the_same_length_and_a_student_keeps_an_offer_that_is_made_no_more():
    student = terms(Kind.STUDENT)
    found = next_price(FULL, "month", (student, None), [], STUDENT, NOW)
    assert (found.terms, found.period, found.full_vnd) == (student, "month", FULL)
    found = next_price(FULL, "week", None, [], OLD, NOW)
    assert (found.terms, found.period, found.full_vnd) == (None, "week", FULL)
