"""Terms, bank credits and coupons: what follows from the facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from services.billing.coupons.rules import CouponFacts, Refusal, as_code, left_to_pay, refusal
from services.billing.plans.rules import end_of_period, monthly
from services.billing.subscriptions.rules import (
    Dunning,
    Facts,
    Paid,
    State,
    derive_state,
    renews,
    review_at,
)
from services.billing.transfers.rules import OrderFacts, Reason, refuses, shown, split

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
PLAN, OTHER_PLAN = UUID(int=1), UUID(int=2)


def at(day: str, zone: ZoneInfo = HANOI) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("start", "period", "anchor", "end"),
    [
        ("2027-01-31 10:00", "month", 31, "2027-02-28 10:00"),
        ("2027-02-28 10:00", "month", 31, "2027-03-31 10:00"),
        ("2027-02-28 10:00", "month", 28, "2027-03-28 10:00"),
        ("2028-01-31 00:00", "month", 31, "2028-02-29 00:00"),
        ("2027-03-31 10:00", "month", 31, "2027-04-30 10:00"),
        ("2027-12-31 23:59", "month", 31, "2028-01-31 23:59"),
        ("2027-11-30 10:00", "quarter", 30, "2028-02-29 10:00"),
        ("2027-08-31 10:00", "half_year", 31, "2028-02-29 10:00"),
        ("2028-02-29 10:00", "year", 29, "2029-02-28 10:00"),
        ("2031-02-28 10:00", "year", 29, "2032-02-29 10:00"),
        ("2027-12-28 10:00", "week", 28, "2028-01-04 10:00"),
        # Midnight in Hanoi is the day before in UTC: the calendar is the agency's.
        ("2027-01-31 06:59", "month", 31, "2027-02-28 06:59"),
    ],
)
def test_a_period_ends_on_its_day_of_the_month_where_the_month_has_it(
    start: str, period: str, anchor: int, end: str
) -> None:
    begin = at(start).astimezone(UTC)
    found = end_of_period(begin, period, HANOI, anchor)
    assert found == at(end) and found.tzinfo is UTC


def test_a_period_keeps_the_time_of_day_over_a_change_of_the_clocks() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = at("2027-03-01 10:00", berlin)
    assert end_of_period(start.astimezone(UTC), "month", berlin, 1) == at(
        "2027-04-01 10:00", berlin
    )
    assert end_of_period(at("2027-03-27 10:00", berlin), "week", berlin, 27) == at(
        "2027-04-03 10:00", berlin
    )


def test_an_unknown_period_is_an_error() -> None:
    with pytest.raises(KeyError):
        end_of_period(NOW, "fortnight", HANOI, 1)
    with pytest.raises(KeyError):
        end_of_period(NOW, "once", HANOI, 1)


@pytest.mark.parametrize(("period", "vnd"), [("once", 0), ("week", 43), ("month", 10), ("year", 0)])
def test_a_price_by_the_month(period: str, vnd: int) -> None:
    assert monthly(10, period) == vnd


def paid(*periods: tuple[float, float], refunded: bool = False) -> Facts:
    """Periods in days from now; without grace, as terms have none."""
    return Facts(
        "term",
        tuple(Paid(NOW + start * DAY, NOW + end * DAY) for start, end in periods),
        Dunning(),
        refunded=refunded,
    )


@pytest.mark.parametrize(
    ("facts", "begins"),
    [
        (paid(), None),
        (paid((-1, 1)), None),
        (paid((1, 2)), NOW + DAY),
        (paid((3, 4), (1, 2)), NOW + DAY),
        (paid((-2, -1), (1, 2)), NOW + DAY),
        (paid((-2, 0), (1, 2)), NOW + DAY),  # an end is exclusive
        (paid((-2, 0.5), (1, 2)), None),
    ],
)
def test_what_has_not_begun_says_when_it_does(facts: Facts, begins: datetime | None) -> None:
    assert facts.begins_at(NOW) == begins


def test_a_term_is_looked_at_when_it_begins_and_when_it_ends() -> None:
    ahead = paid((1, 2))
    assert review_at(ahead, NOW) == NOW + DAY
    assert review_at(ahead, NOW + DAY) == NOW + 2 * DAY
    assert review_at(ahead, NOW + 2 * DAY) is None
    assert derive_state(ahead, NOW + 2 * DAY) is State.EXPIRED
    assert derive_state(ahead, NOW + 2 * DAY - timedelta(microseconds=1)) is State.ACTIVE


@pytest.mark.parametrize(
    ("state", "collection", "cancels", "goes_on"),
    [
        ("active", "renewal", False, True),
        ("active", "renewal", True, False),
        ("active", "term", False, False),
        ("past_due", "renewal", False, True),
        ("expired", "renewal", False, False),
        ("canceled", "renewal", False, False),
    ],
)
def test_what_goes_on_collecting_by_itself(
    state: str, collection: str, cancels: bool, goes_on: bool
) -> None:
    assert renews(state, collection, cancels=cancels) is goes_on


@pytest.mark.parametrize(
    ("state", "expires", "subscribed", "reason"),
    [
        ("open", DAY, False, None),
        ("open", timedelta(0), False, Reason.LATE),
        ("open", -DAY, True, Reason.LATE),
        ("open", timedelta(microseconds=1), False, None),
        ("open", DAY, True, Reason.SUBSCRIBED),
        ("closed", DAY, False, Reason.LATE),
        ("paid", DAY, False, Reason.PAID_ALREADY),
        ("paid", -DAY, True, Reason.PAID_ALREADY),
    ],
)
def test_a_credit_pays_an_open_order_that_was_booked_in_time(
    state: str, expires: timedelta, subscribed: bool, reason: Reason | None
) -> None:
    assert refuses(OrderFacts(state, NOW + expires, subscribed), NOW) == reason
    used = OrderFacts(state, NOW + expires, subscribed, offer_used=True)
    assert refuses(used, NOW) == (reason or Reason.OFFER_USED), "the first reason is the one told"
    other = OrderFacts(state, NOW + expires, subscribed, change=True)
    assert refuses(other, NOW) == (Reason.CHANGE_OVER if reason is Reason.LATE else reason)


def test_a_part_for_a_change_that_is_closed_waits_for_no_more() -> None:
    assert shown("under", "change", "closed") == Reason.CHANGE_OVER
    kept = (
        ("under", "change", "open"),
        ("under", "period", "closed"),
        ("late", "change", "closed"),
    )
    assert [shown(*one) for one in kept] == ["under", "under", "late"]


ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)


@pytest.mark.parametrize(
    ("credits", "amount", "given"),
    [
        ([], 1, None),
        ([(ONE, 5)], 5, [(ONE, 5)]),
        ([(ONE, 4)], 5, None),
        ([(ONE, 6)], 5, [(ONE, 5)]),
        ([(ONE, 3), (TWO, 2)], 5, [(ONE, 3), (TWO, 2)]),
        ([(ONE, 3), (TWO, 9)], 5, [(ONE, 3), (TWO, 2)]),
        ([(ONE, 5), (TWO, 9)], 5, [(ONE, 5)]),
        ([(ONE, 1), (TWO, 1), (THREE, 2)], 5, None),
    ],
)
def test_the_first_credits_pay_and_what_is_left_stays(
    credits: list[tuple[UUID, int]], amount: int, given: list[tuple[UUID, int]] | None
) -> None:
    assert split(credits, amount) == given


@for_all(st.lists(st.integers(1, 100), max_size=8), st.integers(1, 300))
def test_what_is_given_is_the_amount_and_never_more_than_there_is(
    left: list[int], amount: int
) -> None:
    credits = [(UUID(int=number), vnd) for number, vnd in enumerate(left)]
    found = split(credits, amount)
    assert (found is None) is (sum(left) < amount)
    if found is not None:
        assert sum(vnd for _, vnd in found) == amount
        assert all(0 < vnd <= dict(credits)[id_] for id_, vnd in found)


def facts(**more: object) -> CouponFacts:
    given: dict[str, object] = {
        "plan_id": None,
        "valid_from": NOW,
        "valid_until": NOW + DAY,
        "ended_at": None,
        "most_uses": 2,
        "once_a_reader": True,
        "uses": 1,
        "uses_of_reader": 0,
    }
    return CouponFacts(**(given | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (facts(), None),
        (facts(valid_from=NOW + timedelta(microseconds=1)), Refusal.NOT_YET),
        (facts(valid_until=NOW), Refusal.OVER),
        (facts(valid_until=NOW + timedelta(microseconds=1)), None),
        (facts(valid_until=None), None),
        (facts(ended_at=NOW), Refusal.UNKNOWN),
        (facts(ended_at=NOW + DAY), None),
        (facts(plan_id=PLAN), None),
        (facts(plan_id=OTHER_PLAN), Refusal.OTHER_PLAN),
        (facts(uses=2), Refusal.USED_UP),
        (facts(uses=2_000, most_uses=None), None),
        (facts(uses_of_reader=1), Refusal.USED),
        (facts(uses_of_reader=1, once_a_reader=False), None),
    ],
)
def test_a_coupon_applies_within_its_dates_plan_and_limits(
    given: CouponFacts, reason: Refusal | None
) -> None:
    assert refusal(given, PLAN, NOW) == reason


@pytest.mark.parametrize(
    ("list_vnd", "percent", "off_vnd", "left"),
    [
        (59_000, 20, None, 47_200),
        (59_001, 33, None, 39_531),  # 19,470.33 off, rounded down
        (59_000, 100, None, 0),
        (1, 1, None, 1),
        (59_000, None, 1, 58_999),
        (59_000, None, 59_000, 0),
        (59_000, None, 60_000, 0),
    ],
)
def test_what_is_left_to_pay_is_never_below_zero(
    list_vnd: int, percent: int | None, off_vnd: int | None, left: int
) -> None:
    assert left_to_pay(list_vnd, percent=percent, off_vnd=off_vnd) == left


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (" tet 2027 ", "TET2027"),
        ("ABC", "ABC"),
        ("AB", None),
        ("A" * 21, None),
        ("TẾT", None),
        ("A-B-C", None),
        ("", None),
    ],
)
def test_a_code_is_read_as_people_type_it(typed: str, code: str | None) -> None:
    assert as_code(typed) == code
