"""Parameters of addresses, with the bounds that everything behind them needs.

A date is of the agencies' own time: outside of it, arithmetic with days and zones leaves the calendar. A text has no
NUL, which PostgreSQL's text cannot hold. What is outside is answered with 422, naming the field.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field

EARLIEST, LATEST = date(2000, 1, 1), date(2199, 12, 31)


def _without_nul(words: str) -> str:
    if "\x00" in words:
        raise ValueError("a text without the character NUL")
    return words


Day = Annotated[date, Field(ge=EARLIEST, le=LATEST)]
PlainText = Annotated[str, Field(max_length=4_000), AfterValidator(_without_nul)]
