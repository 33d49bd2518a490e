"""The line of a payment's invoice: what it says in both languages, of which days, at which price."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from services.billing.invoices.rules import InvoiceLineFact
from services.billing.payments.rules import Sale, SaleOffer, sold_line

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
#: 18:30 UTC is half past one of the next day in Việt Nam.
START, END = datetime(2026, 11, 22, 18, 30, tzinfo=UTC), datetime(2026, 12, 22, 18, 30, tzinfo=UTC)
SALE = Sale("a@b.vn", "Lan", "Đọc báo", "Reading", "month", "vi", "PR1", True, 0, "period", None)


def test_a_period_is_said_in_both_languages_with_its_days_in_the_agencys_zone():
    line = sold_line(SALE, 59_000, "press_subscription", (START, END), ZONE)
    assert line == InvoiceLineFact(
        "Đọc báo (1 tháng)",
        "Reading (1 month)",
        59_000,
        "press_subscription",
        1,
        period_from=date(2026, 11, 23),
        period_until=date(2026, 12, 23),  # the first day after them
    )


def test_what_was_left_of_the_plan_before_is_said_where_it_was_taken_off():
    sale = replace(SALE, credit_vnd=12_500)
    line = sold_line(sale, 46_500, "press_subscription", (START, END), ZONE)
    said = (line.description_vi, line.description_en)
    assert said == (
        "Đọc báo (1 tháng, đã trừ phần còn lại 12.500\u00a0₫)",
        "Reading (1 month, less ₫12,500 left)",
    )


def test_a_gift_has_no_days_until_it_is_redeemed():
    line = sold_line(SALE, 59_000, "digital_content", None, ZONE)
    assert (line.period_from, line.period_until) == (None, None)
    assert line.vat_kind == "digital_content"


@pytest.mark.parametrize(("amount", "quantity", "each"), [(90_000, 2, 45_000), (90_001, 1, 90_001)])
def test_seats_are_counted_at_whole_dong(amount: int, quantity: int, each: int):
    sale = replace(SALE, seats=2, per_seat=True)
    line = sold_line(sale, amount, "press_subscription", None, ZONE)
    assert (line.quantity, line.unit_gross_vnd) == (quantity, each)
    assert isinstance(line.unit_gross_vnd, int)


def test_an_offer_is_kept_by_letters_as_what_it_was():
    offer = SaleOffer("intro", 19_000, 3, 59_000)
    assert offer.facts == {"kind": "intro", "amount_vnd": 19_000, "left": 3, "full_vnd": 59_000}
