"""What a good password is. How guessable one is, the adapter tells; here is what follows from it."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

PASSWORD_MIN = 12
PASSWORD_MAX = 128
PASSWORDS_REMEMBERED = 10
ONE_TIME_LIFETIME = timedelta(days=7)
#: Decimal logarithm of the guesses a password must be worth: zxcvbn's highest class begins here (its score 4).
GUESSES_LOG10_MIN = 10.0
#: Words of the product and of the trade, which an attacker tries first.
PRODUCT_WORDS = ("press", "revenue", "pressrevenue", "matkhau", "toasoan", "baochi", "doanhthu")


def normalise_password(typed: str) -> str:
    """One form for each text: Vietnamese keyboards compose letters differently (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", typed)


def may_use_password(one_time_until: datetime | None, now: datetime) -> bool:
    """A one-time password lasts a week."""
    return one_time_until is None or now < one_time_until


def password_problem(password: str, email: str) -> str | None:
    """What is wrong with a (normalised) password whoever chooses it, as a word for the page; None when nothing."""
    if len(password) < PASSWORD_MIN:
        return "too-short"
    if len(password) > PASSWORD_MAX:
        return "too-long"
    lowered = password.lower()
    if lowered in (email, email.partition("@")[0]) or email in lowered:
        return "is-email"
    return None
