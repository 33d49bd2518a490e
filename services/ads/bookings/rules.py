"""A line's life: states in the words of OpenDirect 2.1 (``bookingstatus``), one table of transitions, the price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from shared.money import MAX_AMOUNT

MAX_FLIGHT_DAYS = 366
MAX_QUANTITY = 1_000_000_000


class Status(StrEnum):
    DRAFT = "Draft"
    PENDING_RESERVATION = "PendingReservation"
    RESERVED = "Reserved"
    PENDING_BOOKING = "PendingBooking"
    BOOKED = "Booked"
    IN_FLIGHT = "InFlight"
    FINISHED = "Finished"
    EXPIRED = "Expired"
    DECLINED = "Declined"
    CANCELED = "Canceled"
    PAUSED = "Paused"
    STOPPED = "Stopped"


class Action(StrEnum):
    ASK_RESERVATION = "ask-reservation"
    RESERVE = "reserve"
    ASK_BOOKING = "ask-booking"
    BOOK = "book"
    DECLINE = "decline"
    CANCEL = "cancel"
    EXPIRE = "expire"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    FINISH = "finish"


#: Everything that may happen to a line. What is not here is refused.
TRANSITIONS: dict[tuple[Status, Action], Status] = {
    (Status.DRAFT, Action.ASK_RESERVATION): Status.PENDING_RESERVATION,
    (Status.DRAFT, Action.RESERVE): Status.RESERVED,
    (Status.DRAFT, Action.BOOK): Status.BOOKED,
    (Status.DRAFT, Action.CANCEL): Status.CANCELED,
    (Status.PENDING_RESERVATION, Action.RESERVE): Status.RESERVED,
    (Status.PENDING_RESERVATION, Action.DECLINE): Status.DECLINED,
    (Status.PENDING_RESERVATION, Action.CANCEL): Status.CANCELED,
    (Status.RESERVED, Action.ASK_BOOKING): Status.PENDING_BOOKING,
    (Status.RESERVED, Action.BOOK): Status.BOOKED,
    (Status.RESERVED, Action.CANCEL): Status.CANCELED,
    (Status.RESERVED, Action.EXPIRE): Status.EXPIRED,
    (Status.PENDING_BOOKING, Action.BOOK): Status.BOOKED,
    (Status.PENDING_BOOKING, Action.DECLINE): Status.DECLINED,
    (Status.PENDING_BOOKING, Action.CANCEL): Status.CANCELED,
    (Status.PENDING_BOOKING, Action.EXPIRE): Status.EXPIRED,
    (Status.EXPIRED, Action.RESERVE): Status.RESERVED,
    (Status.BOOKED, Action.START): Status.IN_FLIGHT,
    (Status.BOOKED, Action.CANCEL): Status.CANCELED,
    (Status.BOOKED, Action.FINISH): Status.FINISHED,
    (Status.IN_FLIGHT, Action.PAUSE): Status.PAUSED,
    (Status.IN_FLIGHT, Action.STOP): Status.STOPPED,
    (Status.IN_FLIGHT, Action.FINISH): Status.FINISHED,
    (Status.PAUSED, Action.RESUME): Status.IN_FLIGHT,
    (Status.PAUSED, Action.STOP): Status.STOPPED,
    (Status.PAUSED, Action.FINISH): Status.FINISHED,
}

#: States whose units belong to the line; a hold only until it expires.
HELD = frozenset({Status.RESERVED, Status.PENDING_BOOKING})
#: What people may ask for; the rest is the timer's.
BY_PEOPLE = frozenset(Action) - {Action.EXPIRE, Action.START, Action.FINISH}


class IllegalTransitionError(ValueError):
    """The table has no such step."""


def next_status(status: Status, action: Action) -> Status:
    """Raises :class:`IllegalTransitionError`."""
    try:
        return TRANSITIONS[status, action]
    except KeyError:
        raise IllegalTransitionError(
            f"{action} is not possible for a line that is {status}"
        ) from None


def possible_actions(status: Status) -> tuple[Action, ...]:
    """What people may do with a line in this state, in the table's order."""
    return tuple(a for (s, a) in TRANSITIONS if s is status and a in BY_PEOPLE)


def needs_capacity(status: Status, action: Action) -> bool:
    """Whether the step takes units that the line does not have yet."""
    return action in (Action.RESERVE, Action.BOOK) and status not in HELD


@dataclass(frozen=True, slots=True)
class Price:
    """Net of VAT, and the VAT; whole đồng."""

    amount_vnd: int
    vat_vnd: int

    @property
    def total_vnd(self) -> int:
        return self.amount_vnd + self.vat_vnd


def price(quantity: int, cpm_vnd: int, vat_percent: int) -> Price:
    """``quantity`` impressions at a price per thousand, rounded half up once, VAT likewise."""
    amount = (quantity * cpm_vnd + 500) // 1000
    return Price(amount, (amount * vat_percent + 50) // 100)


def line_problems(
    starts_on: date, ends_on: date, quantity: int, today: date
) -> list[tuple[str, str, str, dict[str, str | int]]]:
    """What is wrong with a new line: (field, what, what would be right, the values in those texts)."""
    problems: list[tuple[str, str, str, dict[str, str | int]]] = []
    if starts_on < today:
        problems.append(
            ("starts_on", "The first day has passed", "{day} or later", {"day": str(today)})
        )
    if ends_on < starts_on:
        problems.append(
            (
                "ends_on",
                "The last day is before the first",
                "{day} or later",
                {"day": str(starts_on)},
            )
        )
    elif ends_on - starts_on >= timedelta(days=MAX_FLIGHT_DAYS):
        problems.append(
            ("ends_on", "The flight is too long", "at most {days} days", {"days": MAX_FLIGHT_DAYS})
        )
    if starts_on > today + timedelta(days=2 * MAX_FLIGHT_DAYS):
        problems.append(("starts_on", "The first day is too far ahead", "within two years", {}))
    if not 1 <= quantity <= MAX_QUANTITY:
        problems.append(
            ("quantity", "Not a number of impressions", "1 to {most}", {"most": MAX_QUANTITY})
        )
    return problems


def amount_problem(amount_vnd: int) -> bool:
    return amount_vnd > MAX_AMOUNT
