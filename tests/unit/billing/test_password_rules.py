"""What a reader's password has to be."""

from __future__ import annotations

import pytest

from services.billing.passwords.rules import Problem, normalised, problem_of

EMAIL = "nguyen.thi.huong.lan@example.vn"


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("ă" * 14, Problem.SHORT),
        ("🌾" * 15, None),
        ("ă" * 128, None),
        ("ă" * 129, Problem.LONG),
        (EMAIL.upper(), Problem.ADDRESS),
        ("Nguyen.Thi.Huong.Lan", Problem.ADDRESS),
        ("nguyen.thi.huong.lan@", None),  # how guessable it is, is asked next
        ("                ", None),
    ],
)
def test_it_has_a_length_and_is_not_the_address(password: str, problem: Problem | None) -> None:
    assert problem_of(password, EMAIL) is problem


def test_it_is_the_same_from_every_keyboard_and_otherwise_as_it_was_typed() -> None:
    assert normalised("mu\u0300a lu\u0301a") == "m\u00f9a l\u00faa"
    assert normalised(" \ufb01 \u2460 A ") == " \ufb01 \u2460 A ", (
        "NFC, which joins and changes nothing else"
    )
    assert normalised("a\ud800b").encode() == b"a?b", "what is no text can be hashed"
