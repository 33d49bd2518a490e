"""The code in a transfer's note: what its check character notices, and what is found in notes as banks pass them on."""

from __future__ import annotations

import unicodedata
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.orders.codes import (
    ALPHABET,
    BODY_LENGTH,
    CODE_LENGTH,
    as_gift_code,
    find_codes,
    is_code,
    mended_codes,
    near_codes,
    new_code,
    new_gift_code,
)


def drawn(*values: int) -> str:
    left = iter(values)
    return new_code(lambda _below: next(left))


values = st.integers(0, len(ALPHABET) - 1)
codes = st.lists(values, min_size=BODY_LENGTH, max_size=BODY_LENGTH).map(lambda v: drawn(*v))
ONE = drawn(0, 1, 2, 3, 4, 5, 6, 7)
TWO = drawn(16, 15, 14, 13, 12, 11, 10, 9)
BASES = [drawn(*(start + step * n for n in range(8))) for start in (0, 1) for step in (0, 1, 2)]


def wrong(code: str) -> str:
    """The same code with another check character."""
    return code[:-1] + ALPHABET[(ALPHABET.index(code[-1]) + 1) % len(ALPHABET)]


def test_codes_are_short_and_of_an_alphabet_without_look_alikes():
    assert (ONE, TWO) == ("PR34679CFGH", "PRXVTRNMKJ6"), "codes that readers hold stay valid"
    assert len(ONE) == CODE_LENGTH == 11
    assert not set(ALPHABET) & set("0O1IL2Z5S8BQU" + "AEIOUY" + "WD" + "P")
    assert len(set(ALPHABET)) == len(ALPHABET) == 17
    assert list(ALPHABET) == sorted(ALPHABET)


def test_every_character_is_drawn_from_the_whole_alphabet():
    asked = []
    assert new_code(lambda below: asked.append(below) or below - 1) == drawn(*[16] * 8)
    assert asked == [17] * 8


@given(codes)
def test_a_code_is_one(code):
    assert is_code(code)
    assert code.startswith("PR")
    assert set(code[2:]) <= set(ALPHABET)


@pytest.mark.parametrize("code", BASES)
def test_every_wrong_character_is_noticed(code):
    for place in range(2, CODE_LENGTH):
        for other in set(ALPHABET) - {code[place]}:
            assert not is_code(code[:place] + other + code[place + 1 :])


def test_every_exchange_of_two_characters_is_noticed():
    """Exhaustive: all pairs of places, all pairs of characters in them; what stands elsewhere adds the same to both sums."""
    for first, second in combinations(range(2, CODE_LENGTH - 1), 2):
        for a, b in product(range(len(ALPHABET)), repeat=2):
            body = [5] * BODY_LENGTH
            body[first - 2], body[second - 2] = a, b
            code = drawn(*body)
            assert is_code(exchanged(code, first, second)) is (a == b)


@given(codes, st.integers(2, CODE_LENGTH - 2))
def test_an_exchange_with_the_check_character_is_noticed(code, place):
    assert is_code(exchanged(code, place, CODE_LENGTH - 1)) is (code[place] == code[-1])


def exchanged(code: str, first: int, second: int) -> str:
    letters = list(code)
    letters[first], letters[second] = letters[second], letters[first]
    return "".join(letters)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PR",
        ONE.lower(),
        f" {ONE}",
        f"{ONE}\n",
        ONE[:-1],
        ONE + "3",
        "RP" + ONE[2:],
        ONE[2:],
        ONE.replace("7", "Ȣ"),
        ONE.replace("3", "٣"),
        "XX" + ONE[2:],
        "PR" + "0" * 9,
    ],
)
def test_nothing_else_is_a_code(text):
    assert not is_code(text)


def spaced(code: str, mark: str) -> str:
    return mark.join(code)


NOTES = [
    (ONE, [ONE]),
    (ONE.lower(), [ONE]),
    (f"MBVCB.123456.{ONE}CT tu 0123", [ONE]),
    (f"IBFT {ONE}-CHUYEN TIEN-OQCH0001-MBVCB", [ONE]),
    (f"PR{ONE}", [ONE]),
    (f"APRIL{ONE}PR3", [ONE]),
    (f"{ONE[:5]} {ONE[5:]}", [ONE]),
    (f"{ONE[:5]}\r\n  {ONE[5:]}", [ONE]),
    (f"{ONE[:1]}\n{ONE[1:]}", [ONE]),
    (spaced(ONE, " "), [ONE]),
    (spaced(ONE, "."), [ONE]),
    (spaced(ONE, "-"), [ONE]),
    (spaced(ONE, "_"), [ONE]),
    (spaced(ONE, " - "), [ONE]),
    (spaced(ONE, "\u200b"), [ONE]),
    (spaced(ONE, "\u00a0"), [ONE]),
    (spaced(ONE, "\u2013"), [ONE]),
    (spaced(ONE, "    "), [ONE]),
    (spaced(ONE, "     "), []),
    (spaced(ONE, "/"), []),
    (spaced(ONE, "x"), []),
    ("".join(chr(ord(letter) + 0xFEE0) for letter in ONE), [ONE]),
    (f"Nguyễn Văn Ánh chuyển khoản{ONE}đọc báo", [ONE]),
    (f"{ONE} {ONE.lower()} {ONE}", [ONE]),
    (f"{TWO}{ONE}{TWO}", [TWO, ONE]),
    (f"{ONE} va {TWO}", [ONE, TWO]),
    (f"{wrong(ONE)}{TWO}", [TWO]),
    (f"PR{ONE[2:7]} {ONE}", [ONE]),
    (wrong(ONE), []),
    (ONE[:-1], []),
    (ONE[:-1] + "0", []),
    ("", []),
    ("Chuyen tien mua bao thang 11", []),
]


@pytest.mark.parametrize(("note", "found"), NOTES)
def test_codes_are_found_in_notes_as_banks_pass_them_on(note, found):
    assert find_codes(note) == found
    assert find_codes(unicodedata.normalize("NFD", note)) == found


@given(st.text(), codes, st.text())
def test_a_code_is_found_in_any_text_and_nothing_false_is(before, code, after):
    assert all(is_code(one) for one in find_codes(before + after))
    assert code in find_codes(f"{before}\u00a6{code}{after}")


@given(st.text("PR34679CFGHJK .-", max_size=60))
def test_what_is_found_is_a_code_and_what_is_near_is_none(note):
    assert all(is_code(one) for one in find_codes(note))
    assert not any(is_code(one) for one in near_codes(note))


NEAR = [
    (wrong(ONE), [wrong(ONE)]),
    (wrong(ONE).lower(), [wrong(ONE)]),
    (f"MBVCB.{spaced(wrong(ONE), ' ')} CT", [wrong(ONE)]),
    (f"{wrong(ONE)} {wrong(ONE)}", [wrong(ONE)]),
    (f"{wrong(TWO)} {wrong(ONE)}", [wrong(TWO), wrong(ONE)]),
    (f"{ONE} {wrong(ONE)} {ONE}", [wrong(ONE)]),
    (ONE, []),
    (f"PR{ONE}3", []),
    (f"PRP{ONE}", []),
    (ONE.replace("3", "8").replace("C", "O", 1), ["PR84679OFGH"]),
    ("PR01O79CFGH", []),
    ("PR34679CF00", ["PR34679CF00"]),
    ("PRESSREVENUE", []),
    ("PR cho thue nha o", []),
    (ONE[:-1], []),
    ("", []),
]


@pytest.mark.parametrize(("note", "near"), NEAR)
def test_what_looks_like_a_code_is_shown_to_a_person(note, near):
    assert near_codes(note) == near


@given(codes, st.integers(2, CODE_LENGTH - 1), st.sampled_from(ALPHABET + "O0SZB"))
def test_a_code_with_one_character_mistyped_or_misread_is_mended(code, place, typed):
    sent = code[:place] + typed + code[place + 1 :]
    if sent == code:
        return
    mended = mended_codes(sent)
    assert code in mended and all(is_code(one) for one in mended)
    assert len(mended) <= CODE_LENGTH - 2, "one for each character that may be wrong"


def test_two_misread_characters_are_mended_together():
    sent = ONE[:3] + "O" + ONE[4:6] + "S" + ONE[7:]
    assert ONE in mended_codes(sent) and len(mended_codes(sent)) == len(ALPHABET)


def test_a_gifts_code_is_drawn_from_the_whole_alphabet_and_read_as_it_is_typed():
    asked = []
    code = new_gift_code(lambda below: asked.append(below) or len(asked) % below)
    assert asked == [17] * 16
    assert code == "4679-CFGH-JKMN-RTVX"
    typed = (" 4679 cfgh\njkmn—rtvx ", "4679CFGHJKMNRTVX", "４６７９-CFGH-JKMN-RTVX", code.lower())
    assert [as_gift_code(one.replace("—", "\u2014")) for one in typed] == [code] * 4
    for one in (
        "",
        "4679-CFGH-JKMN-RTV",
        code + "3",
        code.replace("4", "0"),
        code.replace("X", "É"),
    ):
        assert as_gift_code(one) is None
