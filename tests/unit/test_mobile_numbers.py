"""Mobile numbers as people type them, and what they are told of those that are none."""

from __future__ import annotations

import pytest

from shared.texts.number import (
    NoMobile,
    digits_of,
    looks_like_a_number,
    masked,
    parse_mobile,
    shown,
)
from shared.texts.words import plain

NUMBER = "+84912345678"


@pytest.mark.parametrize(
    "typed",
    [
        "0912345678",
        "912345678",
        "+84912345678",
        "84912345678",
        "0084 912 345 678",
        " +84 912 345 678 ",
        "0912.345.678",
        "0912-345\u2011678",
        "(+84) 912 345 678",
        "+84 (0)912.345.678",
        "０９１２３４５６７８",
        "\u202d0912 345 678\u202c",  # as copied from a list of contacts
    ],
)
def test_a_number_has_one_form_however_it_is_typed(typed: str) -> None:
    assert looks_like_a_number(typed)
    assert parse_mobile(typed) == NUMBER


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("0168 234 5678", NoMobile.OLD),
        ("+84 1682345678", NoMobile.OLD),
        ("01201234567", NoMobile.OLD),
        ("01991234567", NoMobile.OLD),
        ("01671234567", NoMobile.OLD),
        ("01611234567", NoMobile.NONE),  # never was one
        ("024 3825 1234", NoMobile.LANDLINE),
        ("+84 28 3829 5678", NoMobile.LANDLINE),
        ("1900 1234", NoMobile.LANDLINE),
        ("+1 415 555 2671", NoMobile.FOREIGN),
        ("+8490912345678", NoMobile.NONE),
        ("0912 345 67", NoMobile.NONE),
        ("0912 345 6789", NoMobile.NONE),
        ("0112345678", NoMobile.NONE),
        ("0912345678 x3", NoMobile.NONE),
        ("0912345678;ext=3", NoMobile.NONE),
        ("tel:0912345678", NoMobile.NONE),
        ("0800 FLOWERS", NoMobile.NONE),
        ("lan@example.vn", NoMobile.NONE),
        ("", NoMobile.NONE),
        ("0" * 41, NoMobile.NONE),
    ],
)
def test_what_is_no_mobile_number_of_vietnam_is_told_apart(typed: str, why: NoMobile) -> None:
    assert parse_mobile(typed) is why


@pytest.mark.parametrize("typed", ["lan@example.vn", "84@example.vn", "+84@example.vn", "lan", ""])
def test_an_address_is_no_number(typed: str) -> None:
    assert not looks_like_a_number(typed)


def test_a_number_is_shown_as_people_write_it_and_masked_for_who_does_not_know_it() -> None:
    assert shown(NUMBER) == "0912 345 678"
    assert masked(NUMBER) == "09…678"


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        ("+84 912.345.678", NUMBER),
        ("0912 345", "912345"),
        ("345 678", "345678"),
        ("34567", ""),
        ("26-000123", "26000123"),
        ("Lan 345678", ""),
    ],
)
def test_staff_look_for_a_number_or_six_digits_of_one(typed: str, digits: str) -> None:
    assert digits_of(typed) == digits


def test_a_text_is_without_marks_and_cut_at_its_end() -> None:
    assert plain("Đừng  đưa mã\ncho ai – “Báo”") == "Dung dua ma cho ai Bao"
    assert plain("một hai ba", 8) == "mot hai"
