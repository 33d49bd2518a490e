"""What the templates show, worked out from what the use cases give: no HTML here, no SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from services.ads.availability.rules import DayFit
from services.ads.bookings.repository import LineView
from services.ads.bookings.rules import HELD, Action, Status, possible_actions
from shared.errors import FieldError, ProblemError
from shared.web.i18n import show_date

BADGES = {
    Status.RESERVED: "warn",
    Status.PENDING_BOOKING: "warn",
    Status.PENDING_RESERVATION: "warn",
    Status.BOOKED: "ok",
    Status.IN_FLIGHT: "ok",
    Status.FINISHED: "",
    Status.EXPIRED: "bad",
    Status.DECLINED: "bad",
    Status.CANCELED: "bad",
    Status.STOPPED: "bad",
    Status.PAUSED: "warn",
    Status.DRAFT: "",
}
#: English as the templates translate it.
STATUS_WORDS = {
    Status.DRAFT: "Draft",
    Status.PENDING_RESERVATION: "Waiting for a hold",
    Status.RESERVED: "On hold",
    Status.PENDING_BOOKING: "Waiting for approval",
    Status.BOOKED: "Booked",
    Status.IN_FLIGHT: "Running",
    Status.FINISHED: "Finished",
    Status.EXPIRED: "Hold expired",
    Status.DECLINED: "Declined",
    Status.CANCELED: "Canceled",
    Status.PAUSED: "Paused",
    Status.STOPPED: "Stopped",
}
ACTION_WORDS = {
    Action.ASK_RESERVATION: "Ask for a hold",
    Action.RESERVE: "Hold",
    Action.ASK_BOOKING: "Ask for approval",
    Action.BOOK: "Book",
    Action.DECLINE: "Decline",
    Action.CANCEL: "Cancel the line",
    Action.PAUSE: "Pause",
    Action.RESUME: "Resume",
    Action.STOP: "Stop for good",
}
CHANGE_WORDS = {str(action): words for action, words in ACTION_WORDS.items()} | {
    "edit": "Changed",
    "expire": "The hold ran out",
    "start": "The flight began",
    "finish": "The flight ended",
}
THEME_WORDS = {"red": "Red", "green": "Green", "blue": "Blue", "amber": "Amber", "slate": "Grey"}
WEEKDAYS = {
    "vi": ("T2", "T3", "T4", "T5", "T6", "T7", "CN"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}
#: Shown as the main button.
#: What cannot be undone: done by the second press only, once its consequences were shown.
ASKED_TWICE = frozenset({Action.CANCEL, Action.STOP})
MAIN_ACTIONS = frozenset({Action.RESERVE, Action.BOOK, Action.RESUME})


def number(value: int, language: str) -> str:
    """``1234567`` as ``1.234.567`` (Vietnamese) or ``1,234,567``."""
    grouped = f"{value:,}"
    return grouped.replace(",", ".") if language == "vi" else grouped


def weekday(day: date, language: str) -> str:
    return WEEKDAYS[language][day.weekday()]


def some_days(days: Sequence[date | str], language: str, most: int = 5) -> str:
    """The first few days of a list, as people read them."""
    shown = [d if isinstance(d, date) else date.fromisoformat(d) for d in days[:most]]
    return ", ".join(show_date(day, language) for day in shown) + (" …" if len(days) > most else "")


@dataclass(frozen=True, slots=True)
class Cell:
    """One product on one day. ``step`` 0–10 chooses the colour."""

    capacity: int
    available: int
    percent: int
    step: int


def cell(fit: DayFit) -> Cell:
    """How full a day is: what a new line could not have, of all there is."""
    if fit.capacity == 0:
        return Cell(0, 0, 100, 10)
    taken = fit.capacity - fit.available
    percent = taken * 100 // fit.capacity
    return Cell(fit.capacity, fit.available, percent, min(10, -(-taken * 10 // fit.capacity)))


def calendar_rows(first: date, fits: dict[str, list[DayFit]]) -> list[tuple[date, list[Cell]]]:
    """Days downwards, products across: fits a phone."""
    count = len(next(iter(fits.values()), []))
    return [
        (first + timedelta(days=i), [cell(days[i]) for days in fits.values()]) for i in range(count)
    ]


def shown_status(line: LineView) -> Status:
    """A hold that has run out is shown as such at once, also before the timer has come round."""
    return Status.EXPIRED if line.hold_over else Status(line.status)


def actions_of(line: LineView) -> list[dict[str, Any]]:
    if line.priority == "house" and line.status == Status.FINISHED:
        return []
    status = shown_status(line)
    return [
        {"name": str(a), "words": ACTION_WORDS[a], "main": a in MAIN_ACTIONS}
        for a in sorted(possible_actions(status), key=lambda a: a not in MAIN_ACTIONS)
        if not (line.hold_over and a is Action.RESERVE)  # the timer moves it within a second
    ]


def is_held(line: LineView) -> bool:
    return Status(line.status) in HELD and not line.hold_over


def percent_of(part: int, whole: int) -> int:
    return 0 if whole <= 0 else min(100, part * 100 // whole)


@dataclass(frozen=True, slots=True)
class Bar:
    x: int
    y: int
    width: int
    height: int
    day: date
    value: int
    label: bool


CHART_WIDTH, CHART_HEIGHT = 700, 180


def chart(starts_on: date, ends_on: date, by_day: dict[date, int]) -> tuple[list[Bar], int]:
    """Bars of a delivery chart in SVG units, and the figure at its top."""
    days = sorted(
        set(by_day) | {starts_on + timedelta(days=i) for i in range((ends_on - starts_on).days + 1)}
    )
    top = max([*by_day.values(), 1])
    width = CHART_WIDTH / len(days)
    every = max(1, -(-len(days) // 7))
    bars = []
    for index, day in enumerate(days):
        value = by_day.get(day, 0)
        height = CHART_HEIGHT * value // top
        x = int(index * width)
        bars.append(
            Bar(
                x + 1,
                CHART_HEIGHT - height,
                max(2, int(width) - 2),
                height,
                day,
                value,
                index % every == 0,
            )
        )
    return bars, top


def whole_number(text: str) -> int:
    """``10.000`` or ``10 000`` as people write it; 0 when it is none."""
    digits = "".join(c for c in text if c not in " .,\u00a0")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else 0


def a_date(text: str, fallback: date) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return fallback
    return found if 2000 <= found.year < 2100 else fallback


def problem_lines(error: ProblemError) -> list[FieldError]:
    """A problem's fields for the form, to be translated there."""
    return list(error.errors)
