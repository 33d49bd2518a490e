"""Decisions about gifts that are sent: values in, values out."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: The hour of the agency's day from which a gift's letter goes out.
SEND_AT_HOUR = 8
#: Letters with one gift, to whomever; how often they are written at all, as a day or an address changes before they go; and how soon
#: one is sent again.
SENT_AT_MOST, WRITTEN_AT_MOST = 5, 30
SENT_AGAIN_AFTER = timedelta(minutes=10)
MESSAGE_MOST = 500

#: What mail programs make a link of: strangers are sent none in words of somebody we do not know.
_LINK = re.compile(r"(?:[a-z]+://|\bwww\.)", re.IGNORECASE)


def last_day(today: date) -> date:
    """The last day on which a gift may be sent: this day of next year."""
    try:
        return today.replace(year=today.year + 1)
    except ValueError:  # the 29th of February
        return today.replace(year=today.year + 1, day=28)


def due_at(day: date, zone: ZoneInfo, now: datetime) -> datetime:
    """When the letter goes out: in the morning of the day, or now when that has passed."""
    morning = datetime.combine(day, time(SEND_AT_HOUR), tzinfo=zone).astimezone(UTC)
    return max(morning, now)


def message_of(typed: str) -> str:
    """A message as plain lines: no control or direction characters, no empty lines at its ends, at most one between two others."""
    lines = []
    for line in typed.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        shown = (" " if unicodedata.category(one)[0] in "CZ" else one for one in line)
        lines.append(" ".join("".join(shown).split()))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def has_link(message: str) -> bool:
    """Whether a message has an address of a website in it."""
    return _LINK.search(message) is not None
