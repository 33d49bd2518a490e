"""What a code is, and whom it fits."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.mailboxes import rules
from services.billing.mailboxes.service import Codes


@dataclass
class Row:
    id: UUID
    code_hash: bytes
    tries: int = 0


def sent(codes: Codes, digits: int = rules.DIGITS) -> tuple[str, Row]:
    id_ = uuid4()
    code, kept = codes.new(id_, digits)
    return code, Row(id_, kept)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("123456", "123456"),
        (" 123 456 ", "123456"),
        ("123-456", "123456"),
        ("123\u00a0456", "123456"),
        ("1 2 3 4 5 6", "123456"),
        ("123\u2013456\n", "123456"),
        ("12\u200b3456", "123456"),
        ("１２３４５６", "123456"),
        ("1234 5678", "12345678"),
        ("Mã: 123456", "123456"),
        ("123456 là mã đăng nhập của bạn", "123456"),
        ("Mã của bạn tại Báo 24h là 123456. Mã có hiệu lực trong 10 phút", "123456"),
        ("12345", ""),
        ("1234567", ""),
        ("١٢٣٤٥٦", ""),
        ("", ""),
        ("không có", ""),
    ],
)
def test_a_code_is_found_however_people_paste_it(typed, code):
    assert rules.clean_code(typed) == code


@given(st.text(max_size=500))
def test_a_code_is_six_or_eight_digits_or_nothing(text):
    found = rules.clean_code(text)
    assert found == "" or (found.isascii() and found.isdigit() and len(found) in (6, 8))


def test_a_code_is_bound_to_its_purpose_its_row_and_the_servers_secret():
    codes = {
        rules.hash_code(secret, purpose, row, code)
        for secret in ("s1", "s2")
        for purpose in ("sign-in", "student")
        for row in ("r1", "r2")
        for code in ("123456", "12345678")
    }
    assert len(codes) == 16


@pytest.mark.parametrize("digits", [rules.DIGITS, rules.MORE_DIGITS])
def test_any_code_that_was_sent_is_found_and_nothing_else(digits):
    codes = Codes("secret", "student")
    (first, one), (second, two) = sent(codes, digits), sent(codes, digits)
    assert len(first) == digits
    assert codes.enter([one, two], f"Mã: {first}.") is one
    assert codes.enter([one, two], second) is two
    other = Codes("secret", "seat-domain")
    assert other.find([one, two], first) is None, "it was sent for something else"
    assert codes.find([], "") is None


def test_after_five_wrong_ones_only_another_code_helps():
    codes = Codes("secret", "student")
    code, row = sent(codes)
    wrong = "000000" if code != "000000" else "111111"
    for tries in range(rules.CODE_TRIES):
        assert row.tries == tries
        assert codes.enter([row], wrong) is None
    assert codes.enter([row], code) is None
    assert row.tries == rules.CODE_TRIES
    again, newer = sent(codes)
    assert codes.enter([row, newer], again) is newer


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [("lan+2@bao.vn", "lan@bao.vn"), ("lan@bao.vn", "lan@bao.vn"), ("l+a+n@b.vn", "l@b.vn")],
)
def test_a_tag_makes_no_other_mailbox(address, mailbox):
    assert rules.mailbox_of(address) == mailbox
