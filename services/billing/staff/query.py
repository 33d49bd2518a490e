"""How the journal is asked for, by pages and by programs alike."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from services.billing.ledger.repository import Wanted
from shared.web.params import EARLIEST, LATEST, Day

BEGINNING, LAST_DAY = EARLIEST, LATEST
Kind = Literal[
    "payment",
    "recognition",
    "refund",
    "refund_failed",
    "bank_credit",
    "bank_return",
    "gift_redeemed",
    "payout",
    "payout_failed",
    "dispute_withdrawn",
    "dispute_reinstated",
    "unclaimed",
    "unclaimed_returned",
]
KINDS: tuple[str, ...] = get_args(Kind)


def cursor_of(entry: dict[str, Any]) -> str:
    """Where the page after this entry begins: the day it is booked on and its id."""
    return f"{entry['booked_on']}_{entry['id']}"


def parse_cursor(value: str) -> tuple[date, UUID]:
    """Raises ``ValueError``."""
    day, _, id_ = value.partition("_")
    return date.fromisoformat(day), UUID(id_)


def _cursor(value: str) -> str:
    try:
        parse_cursor(value)
    except ValueError:
        raise ValueError("the value of `next` of the page before") from None
    return value


def plain(value: str) -> str:
    """Words without blanks around them. Raises ``ValueError`` for a NUL."""
    if "\x00" in value:
        raise ValueError("words without a NUL")
    return value.strip()


class JournalQuery(BaseModel):
    """Days are those on which entries are booked, both included."""

    first: Day = BEGINNING
    last: Day = LAST_DAY
    account: Annotated[str | None, Field(pattern="^[a-z_]{1,64}$")] = None
    kind: Kind | None = None
    words: Annotated[
        str,
        Field(
            max_length=200, description="Part of a key, a number of a document, a reader's email"
        ),
        AfterValidator(plain),
    ] = ""
    after: Annotated[str | None, Field(max_length=60), AfterValidator(_cursor)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50

    def wanted(self) -> Wanted:
        return Wanted(self.first, self.last, self.account, self.kind, self.words)

    def cursor(self) -> tuple[date, UUID] | None:
        return parse_cursor(self.after) if self.after else None


def credit_cursor_of(credit: dict[str, Any]) -> str:
    """Where the page after this credit begins: the bank's moment and its id."""
    return f"{credit['occurred_at'].isoformat()}_{credit['id']}"


def parse_credit_cursor(value: str) -> tuple[datetime, UUID]:
    """Raises ``ValueError``."""
    moment, _, id_ = value.partition("_")
    at = datetime.fromisoformat(moment)
    if at.tzinfo is None or not EARLIEST < at.date() < LATEST:
        raise ValueError(f"{moment!r} is no moment of a credit")
    return at, UUID(id_)


def _credit_cursor(value: str) -> str:
    try:
        parse_credit_cursor(value)
    except ValueError:
        raise ValueError("the address of the page before") from None
    return value


class CreditsQuery(BaseModel):
    """Which bank credits are asked for: those of which something is left, or all."""

    show: Literal["waiting", "all"] = "waiting"
    words: Annotated[str, Field(max_length=200), AfterValidator(plain)] = ""
    after: Annotated[str | None, Field(max_length=100), AfterValidator(_credit_cursor)] = None

    def cursor(self) -> tuple[datetime, UUID] | None:
        return parse_credit_cursor(self.after) if self.after else None
