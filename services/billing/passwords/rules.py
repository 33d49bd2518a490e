"""Decisions about readers' passwords: values in, values out.

Source of lengths, characters and comparison: NIST SP 800-63B-4 (August 2025), 3.1.1.2. A password is the only factor here, so it has 15
characters or more, each code point counted; no kinds of characters are asked for, and nobody has to change one now and then.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum

from services.billing.mailboxes.rules import Pace

MIN_LENGTH, MAX_LENGTH = 15, 128
#: Decimal logarithm of the guesses that a password must be worth: zxcvbn's score 3, "safely unguessable", begins here.
GUESSES_LOG10_MIN = 8.0
#: Words of the trade, which an attacker tries first.
COMMON_WORDS = ("matkhau", "password", "baochi", "docbao", "toasoan", "anhyeuem", "vietnam")

#: Wrong passwords for one address: from one network, by one reader who is signed in, or in one browser that was signed in there before …
TRIES = (Pace("password", 5, 900), Pace("password-day", 20, 86_400))
#: … and from all strangers together: a hundred in thirty days at the most (NIST SP 800-63B-4, 3.2.2). Known browsers are not counted.
TRIES_ALL = (
    Pace("password-all", 15, 900),
    Pace("password-all-day", 60, 86_400),
    Pace("password-all-month", 100, 30 * 86_400),
)
#: New passwords that one reader has judged: that takes processor time.
CHOICES = Pace("password-choice", 20, 3_600)


class Act(StrEnum):
    """What became of a password."""

    SET = "set"
    CHANGED = "changed"
    REMOVED = "removed"
    UNDONE = "undone"  # removed, with a change of address that was taken back


class Problem(StrEnum):
    """What is wrong with a new password."""

    SHORT = "short"
    LONG = "long"
    ADDRESS = "address"
    GUESSABLE = "guessable"


def normalised(typed: str) -> str:
    """One form for each text (NFC): Vietnamese keyboards compose letters differently. What is no text at all is made one."""
    return unicodedata.normalize("NFC", typed.encode("utf-8", "replace").decode("utf-8"))


def problem_of(password: str, email: str) -> Problem | None:
    """What is wrong with a (normalised) password, before it is asked how guessable it is."""
    if len(password) < MIN_LENGTH:
        return Problem.SHORT
    if len(password) > MAX_LENGTH:
        return Problem.LONG
    if password.casefold() in (email, email.partition("@")[0]):
        return Problem.ADDRESS
    return None
