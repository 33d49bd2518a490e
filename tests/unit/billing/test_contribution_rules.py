"""What a reader types who gives, and until when an article of a bundle may be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.billing.bundles.rules import readable_until
from services.billing.contributions.rules import amount_of

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("50000", 50_000),
        ("50.000", 50_000),
        ("50,000 đ", 50_000),
        ("1 000 000 ₫", 1_000_000),
        ("1.000.000\u00a0VND", 1_000_000),
        (" 20000 ", 20_000),
        ("", None),
        ("-50000", None),
        ("50.00", None),
        ("5e4", None),
        ("50k", None),
        ("٥٠٠٠٠", None),
        ("9" * 16, None),
    ],
)
def test_an_amount_is_whole_dong_as_people_type_them(typed: str, amount: int | None) -> None:
    assert amount_of(typed) == amount


def test_an_article_stays_open_as_long_as_one_that_is_bought_alone_and_never_shorter_than_the_bundle():
    assert readable_until(NOW, NOW + 90 * DAY, 365) == NOW + 365 * DAY
    assert readable_until(NOW, NOW + 90 * DAY, 30) == NOW + 90 * DAY
    assert readable_until(NOW, NOW + 90 * DAY, None) == NOW + 90 * DAY
