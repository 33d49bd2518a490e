"""Parameters of addresses and fields of bodies, with the bounds that everything behind them needs.

A date is of the agencies' own time: outside of it, arithmetic with days and zones leaves the calendar. A text has no
NUL, which PostgreSQL's text cannot hold. What is outside is answered with 422, naming the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import Form
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

EARLIEST, LATEST = date(2000, 1, 1), date(2199, 12, 31)


def _without_nul(words: str) -> str:
    if "\x00" in words:
        raise ValueError("a text without the character NUL")
    return words


def _written(pattern: str, right: str) -> Callable[[Any], Any]:
    """Text of this form only: pydantic also takes a number, for seconds since 1970."""
    form = re.compile(pattern)

    def check(given: Any) -> Any:
        if isinstance(given, bool | int | float) or (
            isinstance(given, str) and not form.fullmatch(given)
        ):
            raise ValueError(f"{right} is right")
        return given

    return check


def _in_utc(at: datetime) -> datetime:
    """Some instants have no place in the calendar once their zone is taken off."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError(
            "outside the years 1 to 9999 in UTC; 2026-11-23T00:00:00Z is right"
        ) from None


#: A day as ISO 8601 writes it, of any year.
CalendarDay = Annotated[
    date, BeforeValidator(_written(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "2026-03-15"))
]
Day = Annotated[CalendarDay, Field(ge=EARLIEST, le=LATEST)]
#: An instant with its zone (RFC 3339); in UTC from here on.
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_written(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].*", "2026-11-23T00:00:00+07:00")),
    AfterValidator(_in_utc),
]
#: A whole number and no text, no truth value that could be read as one.
Whole = Annotated[int, Field(strict=True)]
Truth = Annotated[bool, Field(strict=True)]
#: Of a form whose act has consequences (consequence.html): they were shown. Without it the page shows them, and nothing is done.
Confirmed = Annotated[bool, Form()]
PlainText = Annotated[str, Field(max_length=4_000), AfterValidator(_without_nul)]
