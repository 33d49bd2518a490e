"""Decisions of the books: terms, months that close, periods with a name."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.ledger import rules as ledger
from services.billing.recognition import rules
from services.billing.recognition.rules import Term
from services.billing.staff import rules as periods
from services.billing.staff.query import cursor_of, parse_cursor

START, DAY = date(2026, 11, 23), timedelta(days=1)


def test_days_that_pass_are_revenue():
    assert ledger.earned_lines("subscription", 7) == (
        ledger.Line("deferred_subscription", 7),
        ledger.Line("revenue_subscription", -7),
    )


def test_a_period_within_one_day_still_has_its_day():
    assert rules.days_bought(START, START) == (START, START + DAY)
    assert rules.days_bought(START, START + 30 * DAY) == (START, START + 30 * DAY)


@given(st.integers(1, 10**15), st.integers(1, 4000))
def test_the_days_of_a_term_sum_to_its_total_and_none_is_more_than_its_share_rounded_up(
    total, days
):
    term = Term(START, START + days * DAY, total)
    earned = [term.earned_before(START + n * DAY) for n in range(days + 1)]
    shares = [after - before for before, after in itertools.pairwise(earned)]
    assert sum(shares) == total and earned[0] == 0
    assert all(total // days <= share <= -(-total // days) for share in shares)


@pytest.mark.parametrize(
    ("day", "earned", "within"),
    [
        (START - 9 * DAY, 0, START),
        (START, 0, START),
        (START + DAY, 3, START + DAY),
        (START + 2 * DAY, 6, START + 2 * DAY),
        (START + 3 * DAY, 10, START + 3 * DAY),
        (START + 9 * DAY, 10, START + 3 * DAY),
    ],
)
def test_what_a_term_has_earned_before_a_day(day, earned, within):
    term = Term(START, START + 3 * DAY, 10)
    assert (term.earned_before(day), term.left_from(day)) == (earned, 10 - earned)
    assert term.within(day) == within


@pytest.mark.parametrize(
    ("day", "last"),
    [
        (date(2026, 1, 31), date(2026, 1, 31)),
        (date(2026, 2, 1), date(2026, 2, 28)),
        (date(2028, 2, 29), date(2028, 2, 29)),
        (date(2026, 12, 5), date(2026, 12, 31)),
    ],
)
def test_the_last_day_of_a_month(day, last):
    assert ledger.end_of_month(day) == last


OCTOBER = date(2026, 10, 31)


@pytest.mark.parametrize(
    ("closed", "counted", "today", "reason"),
    [
        (None, OCTOBER, OCTOBER + DAY, None),
        (date(2026, 9, 30), OCTOBER, OCTOBER + DAY, None),
        (OCTOBER, OCTOBER + DAY, OCTOBER + DAY, "closed"),
        (date(2026, 11, 30), date(2026, 12, 3), date(2026, 12, 3), "closed"),
        (None, OCTOBER, OCTOBER, "not_over"),
        (None, OCTOBER - DAY, OCTOBER + DAY, "not_over"),
    ],
)
def test_a_month_closes_once_when_it_is_over_and_recognised(closed, counted, today, reason):
    def check() -> None:
        ledger.check_closable(OCTOBER, closed_through=closed, counted_through=counted, today=today)

    if reason is None:
        check()
        return
    with pytest.raises(ledger.PeriodNotClosableError) as error:
        check()
    assert error.value.reason == reason == str(error.value)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("2026-11", date(2026, 11, 1), date(2026, 11, 30)),
        ("2026-12", date(2026, 12, 1), date(2026, 12, 31)),
        ("2028-02", date(2028, 2, 1), date(2028, 2, 29)),
        ("2026-Q1", date(2026, 1, 1), date(2026, 3, 31)),
        ("2026-Q4", date(2026, 10, 1), date(2026, 12, 31)),
        ("2026", date(2026, 1, 1), date(2026, 12, 31)),
        ("2000", date(2000, 1, 1), date(2000, 12, 31)),
        ("9000", date(9000, 1, 1), date(9000, 12, 31)),
    ],
)
def test_a_period_is_a_month_a_quarter_or_a_year(name, first, last):
    assert periods.parse_period(name) == periods.Period(name, first, last)


@pytest.mark.parametrize(
    "name",
    ["", "2026-13", "2026-00", "2026-Q0", "2026-Q5", "1999", "9001", "2026-1", "x2026", "2026\n"],
)
def test_what_is_no_period_is_refused(name):
    with pytest.raises(ValueError, match="no period"):
        periods.parse_period(name)


def test_the_present_periods_are_offered_first_and_go_back_over_the_years_end():
    months, quarters, years = periods.offered(date(2026, 2, 14))
    assert [one.name for one in months][:3] == ["2026-02", "2026-01", "2025-12"]
    assert (len(months), months[-1].name) == (13, "2025-02")
    assert [one.name for one in quarters] == ["2026-Q1", "2025-Q4", "2025-Q3", "2025-Q2", "2025-Q1"]
    assert [one.name for one in years] == ["2026", "2025", "2024"]
    assert periods.month_of(date(2026, 2, 14)) == months[0]
    for month, quarter in (
        (3, "2026-Q1"),
        (4, "2026-Q2"),
        (9, "2026-Q3"),
        (10, "2026-Q4"),
        (12, "2026-Q4"),
    ):
        assert periods.offered(date(2026, month, 14))[1][0].name == quarter


def test_a_place_in_the_journal_is_a_day_and_an_entry():
    entry = {"booked_on": START, "id": "018f0000-0000-7000-8000-000000000001"}
    day, id_ = parse_cursor(cursor_of(entry))
    assert (day, str(id_)) == (START, entry["id"])
    for wrong in ("", "2026-11-23", "x_018f0000-0000-7000-8000-000000000001", "2026-11-23_1"):
        with pytest.raises(ValueError):
            parse_cursor(wrong)


# Disputes, payouts, and money that no order takes

AMOUNTS = st.integers(1, 10**12)


@given(AMOUNTS, st.integers(0, 10**9), st.integers(-(10**12), 10**12))
def test_what_moves_at_a_provider_balances_and_its_opposite_takes_it_back(amount, fee, net):
    made = [
        ledger.unclaimed_lines(ledger.RECEIVABLE, amount),
        ledger.unclaimed_returned_lines(ledger.RECEIVABLE, amount),
        ledger.dispute_withdrawn_lines(amount, fee),
        ledger.dispute_reinstated_lines(amount),
    ]
    if net or fee:
        made += [ledger.payout_lines(net, fee), ledger.payout_failed_lines(net, fee)]
    for lines in made:
        ledger.check_lines(lines)
        back = ledger.opposite(lines)
        assert [(one.account, -one.amount_vnd) for one in back] == list(lines)


def test_where_money_that_moves_at_a_provider_is_booked():
    line = ledger.Line
    assert ledger.unclaimed_lines("stripe_receivable", 9) == (
        line("stripe_receivable", 9),
        line("unallocated_receipts", -9),
    )
    assert ledger.unclaimed_returned_lines("stripe_receivable", 9) == (
        line("stripe_receivable", -9),
        line("unallocated_receipts", 9),
    )
    assert ledger.dispute_withdrawn_lines(9, 2) == (
        line("disputed_card_money", 9),
        line("payment_fees", 2),
        line("stripe_receivable", -11),
    )
    assert ledger.dispute_withdrawn_lines(9, 0) == (
        line("disputed_card_money", 9),
        line("stripe_receivable", -9),
    )
    assert ledger.dispute_reinstated_lines(9) == (
        line("stripe_receivable", 9),
        line("disputed_card_money", -9),
    )
    assert ledger.split_refund(9, 4).lines("subscription", 1, ledger.DISPUTED) == (
        line("deferred_subscription", 4),
        line("refunds_subscription", 5),
        line("vat_payable", 1),
        line("disputed_card_money", -10),
    )


@pytest.mark.parametrize(
    ("net", "fees", "lines"),
    [
        (9, 2, [("bank", 9), ("payment_fees", 2), ("stripe_receivable", -11)]),
        (9, 0, [("bank", 9), ("stripe_receivable", -9)]),
        (-9, 2, [("bank", -9), ("payment_fees", 2), ("stripe_receivable", 7)]),
        (-9, -2, [("bank", -9), ("payment_fees", -2), ("stripe_receivable", 11)]),
        (-2, 2, [("bank", -2), ("payment_fees", 2)]),
        (0, 2, [("payment_fees", 2), ("stripe_receivable", -2)]),
        (0, 0, []),
    ],
)
def test_a_payout_and_one_that_failed(net, fees, lines):
    assert list(ledger.payout_lines(net, fees)) == lines
    assert list(ledger.payout_failed_lines(net, fees)) == [(a, -vnd) for a, vnd in lines]


@pytest.mark.parametrize(("amount", "fee"), [(0, 1), (-1, 0), (1, -1)])
def test_a_dispute_of_nothing_is_no_dispute(amount, fee):
    with pytest.raises(ValueError, match="cannot be"):
        ledger.dispute_withdrawn_lines(amount, fee)


def test_the_chart_has_each_account_once_and_all_that_lines_name():
    codes = [spec.code for spec in ledger.CHART]
    assert len(set(codes)) == len(codes)
    assert {ledger.DISPUTED, ledger.UNALLOCATED, ledger.FEES, ledger.BANK} <= set(codes)


# Changes of plan


END = START + 30 * DAY


@pytest.mark.parametrize(
    ("replaced", "first", "begins"),
    [
        ([], START, START),
        ([(START - 9 * DAY, START + 20 * DAY)], START, START + DAY),
        ([(START, START + DAY)], START, START + DAY),
        ([(START - 9 * DAY, START)], START, START),
        ([(START - 9 * DAY, START)], START - 3 * DAY, START),
        ([(START + DAY, START + 9 * DAY)], START, START + DAY),
        ([(START + 2 * DAY, START + 9 * DAY)], START, START),
        ([(START - 9 * DAY, START + 9 * DAY)], START + 5 * DAY, START + 5 * DAY),
    ],
    ids=[
        "nothing is replaced",
        "today is the old one's",
        "today is the old one's last day",
        "the old one ended yesterday",
        "the new one is told late",
        "one that took over today already",
        "one that is wholly ahead",
        "the new one begins later",
    ],
)
def test_the_new_plan_begins_after_the_last_day_the_old_one_earned(replaced, first, begins):
    terms = [Term(*days, 1_000) for days in replaced]
    assert rules.days_after_change(terms, START + DAY, first, END) == (begins, END)


def test_a_plan_of_a_day_that_is_the_old_ones_is_earned_on_the_next():
    old = [Term(START, END, 1_000)]
    assert rules.days_after_change(old, START + DAY, START, START + DAY) == (
        START + DAY,
        START + 2 * DAY,
    )


@pytest.mark.parametrize(
    ("end", "days"),
    [
        (END, (START + DAY, END)),
        (START + 2 * DAY, (START + DAY, START + 2 * DAY)),
        (START + DAY, (START, START + DAY)),
        (START - 9 * DAY, (START, START + DAY)),
        (None, (START, START + DAY)),
    ],
)
def test_what_a_failed_refund_gives_again_is_earned_from_tomorrow_or_today(end, days):
    assert rules.days_given_again(end, START + DAY) == days


@given(st.data())
def test_tax_given_back_is_never_more_than_was_paid_and_all_of_it_with_the_last_dong(data):
    """Refunds of any size, of which some fail, in any order."""
    price = data.draw(st.integers(100, 10**6))
    vat = price * data.draw(st.integers(0, 10)) // 110
    standing: list[tuple[int, int]] = []
    for _ in range(data.draw(st.integers(0, 8))):
        if standing and data.draw(st.booleans()):
            standing.pop(data.draw(st.integers(0, len(standing) - 1)))
        amount, tax = (sum(part) for part in zip(*standing, strict=True)) if standing else (0, 0)
        refund = data.draw(st.integers(1, max((price - amount) // 2, 1)))
        if refund < price - amount:
            standing.append((refund, rules.vat_of_refund(vat, price, amount, tax, refund)))
    assert all(0 <= tax <= amount for amount, tax in standing)
    amount, tax = sum(one[0] for one in standing), sum(one[1] for one in standing)
    last = rules.vat_of_refund(vat, price, amount, tax, price - amount)
    assert tax + last == vat or last == price - amount
    with pytest.raises(ValueError):
        rules.vat_of_refund(vat, price, amount, tax, price - amount + 1)


def lines(*found: tuple[str, int]) -> tuple[ledger.Line, ...]:
    return tuple(ledger.Line(*one) for one in found)


ENTRIES = [
    (
        lambda: ledger.contribution_lines("bank", 50_000, 3_704),
        (("bank", 50_000), ("revenue_contributions", -46_296), ("vat_payable", -3_704)),
    ),
    (
        lambda: ledger.contribution_lines("bank", 50_000, 0),
        (("bank", 50_000), ("revenue_contributions", -50_000)),
    ),
    (
        lambda: ledger.gift_sold_lines("stripe_receivable", 59_000, 4_370),
        (("stripe_receivable", 59_000), ("gifts_not_redeemed", -54_630), ("vat_payable", -4_370)),
    ),
    (
        lambda: ledger.gift_sold_lines("bank", 59_000, 0),
        (("bank", 59_000), ("gifts_not_redeemed", -59_000)),
    ),
    (
        lambda: ledger.gift_redeemed_lines("subscription", 7),
        (("gifts_not_redeemed", 7), ("deferred_subscription", -7)),
    ),
    (
        lambda: ledger.opening_lines("subscription", 7),
        (("taken_over", 7), ("deferred_subscription", -7)),
    ),
    (lambda: ledger.credit_lines(7), (("bank", 7), ("unallocated_receipts", -7))),
    (lambda: ledger.return_lines(7), (("unallocated_receipts", 7), ("bank", -7))),
    (lambda: ledger.dispute_fee_lines(7), (("payment_fees", 7), ("stripe_receivable", -7))),
]


@pytest.mark.parametrize(("make", "expected"), ENTRIES)
def test_what_each_kind_of_entry_says(make, expected):
    found = make()
    assert found == lines(*expected)
    assert sum(line.amount_vnd for line in found) == 0


def test_what_is_earned_at_once_is_never_deferred():
    for make in (ledger.gift_redeemed_lines, ledger.opening_lines):
        with pytest.raises(ValueError, match="contribution is earned at once"):
            make("contribution", 7)


@pytest.mark.parametrize(
    ("opened", "counted_from", "earned"),
    [
        (START - 2 * DAY, START, []),
        (START - DAY, START, []),
        (START, START + DAY, [(START, 3)]),
        (START + DAY, START + 2 * DAY, [(START, 3), (START + DAY, 3)]),
        (START + 2 * DAY, START + 3 * DAY, [(START, 3), (START + DAY, 3), (START + 2 * DAY, 4)]),
        (START + 5 * DAY, START + 6 * DAY, [(START, 3), (START + DAY, 3), (START + 2 * DAY, 4)]),
    ],
)
def test_the_days_that_had_begun_are_earned_by_a_new_schedule_itself(opened, counted_from, earned):
    assert rules.begun(Term(START, START + 3 * DAY, 10), opened) == (counted_from, earned)


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("59000", 59_000),
        ("59.000", 59_000),
        ("59,000 ₫", 59_000),
        ("59 000đ", 59_000),
        (" 59\u00a0000 VNĐ ", 59_000),
        ("1.234.567 vnd", 1_234_567),
        ("999999999999999", 999_999_999_999_999),
        ("0", 0),
    ],
)
def test_an_amount_is_read_as_people_type_it(typed, amount):
    assert periods.parse_vnd(typed) == amount


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "-1",
        "59,5",
        "59.00",
        "59.000,000",
        "5900.000",
        "1e5",
        "٥٩٠٠٠",
        "59000 USD",
        "1" * 16,
        "₫",
    ],
)
def test_what_is_no_amount_is_none(typed):
    assert periods.parse_vnd(typed) is None
