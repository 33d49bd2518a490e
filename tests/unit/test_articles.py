"""The newspaper's own id of an article."""

from __future__ import annotations

import pytest

from shared.contracts.articles import article_id


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mua-nhan", "mua-nhan"),
        (" Mua_nhan.2026~1 ", "Mua_nhan.2026~1"),
        ("7", "7"),
        ("a" * 120, "a" * 120),
        ("a" * 121, ""),
        ("-mua", ""),
        ("mùa", ""),
        ("a b", ""),
        ("a/b", ""),
        ("a\n", "a"),
        ("a\x00", ""),
        ("", ""),
    ],
)
def test_an_id_is_one_that_the_register_takes(text: str, found: str):
    assert article_id(text) == found
