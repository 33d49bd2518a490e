"""Values that people type about transfers."""

from __future__ import annotations

import pytest

from services.billing.transfers.values import amount_in


@pytest.mark.parametrize(
    ("typed", "figures"),
    [
        ("59000", "59000"),
        (" 59.000 ₫ ", "59000"),
        ("59,000đ", "59000"),
        ("1 000 000 VND", "1000000"),
        ("1.000\u00a0₫", "1000"),
        ("59.000 đồng", "59000"),
        ("PR34679CFGH", ""),
        ("FT123", ""),
        ("-59000", ""),
        ("", ""),
    ],
)
def test_an_amount_is_found_as_people_write_it(typed: str, figures: str) -> None:
    assert amount_in(typed) == figures
