"""What sources tell of a credit, as values that can be kept: pure."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from shared.clock import VIETNAM

MAX_NOTE = 500
MAX_PAYER = 200
MAX_ID = 100

_CLOCK = r"(?:[ T]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?"
_YEAR_FIRST = re.compile(rf"(?P<year>[0-9]{{4}})-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}}){_CLOCK}")
_DAY_FIRST = re.compile(
    rf"(?P<day>[0-9]{{1,2}})(?P<mark>[/.-])(?P<month>[0-9]{{1,2}})(?P=mark)(?P<year>[0-9]{{4}}){_CLOCK}"
)
_AMOUNT = re.compile(r"([0-9][0-9., \u00a0]*?)\s*(?:vnd|đồng|đ|₫)?", re.IGNORECASE)
_MARKS = re.compile(r"[\s.-]+")
_ACCOUNT = re.compile(r"[A-Za-z0-9]{1,34}")


def kept(text: str, limit: int) -> str:
    """A text as it is kept: NFC, nothing around it, at most ``limit`` characters."""
    return unicodedata.normalize("NFC", text).strip()[:limit].rstrip()


def account_number(text: str) -> str | None:
    """An account's number as letters and digits only; None when it is none (1 to 34 of them)."""
    plain = _MARKS.sub("", text)
    return plain if _ACCOUNT.fullmatch(plain) else None


def amount_in(words: str) -> str:
    """The figures of an amount as people write it ("59.000 ₫"); empty for words that are none."""
    match = _AMOUNT.fullmatch(words.strip())
    return re.sub(r"[^0-9]", "", match[1]) if match else ""


def vietnam_time(text: str) -> datetime | None:
    """``yyyy-mm-dd`` or ``dd/mm/yyyy`` (also with dots or dashes), then perhaps ``HH:MM`` or ``HH:MM:SS``, in Vietnam.

    Without a time the day's first instant. None when it is no such text, no day of the calendar, or none from 2000 to 2099.
    """
    plain = " ".join(text.split())
    match = _YEAR_FIRST.fullmatch(plain) or _DAY_FIRST.fullmatch(plain)
    if match is None or not match["year"].startswith("20"):
        return None
    clock = [int(part or 0) for part in match.groups()[-3:]]
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=VIETNAM)
        return day.replace(hour=clock[0], minute=clock[1], second=clock[2])
    except ValueError:
        return None
