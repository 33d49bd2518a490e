"""The chart's geometry and the formats of the finance pages: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from shared.metrics.growth.rules import percent
from shared.metrics.rules import (
    LAW_SOURCES,
    MOVEMENT_LABELS,
    PAYER_LABELS,
    SEGMENT_LABELS,
    STREAM_LABELS,
)

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 14, 30
BAR = 19
MAX_TICKS = 5
_VIETNAMESE = SEGMENT_LABELS | STREAM_LABELS | PAYER_LABELS | MOVEMENT_LABELS | LAW_SOURCES


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, in the picture's units."""

    x: int
    y: int
    width: int
    height: int
    amount: int


@dataclass(frozen=True, slots=True)
class Tick:
    y: int
    label: str


@dataclass(frozen=True, slots=True)
class Month:
    """A month's place on the axis, with its two bars. ``running`` has not ended; ``revenue`` is None ahead of it."""

    number: int
    x: int
    slot_x: int
    slot_width: int
    baseline: Bar | None
    revenue: Bar | None
    running: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Revenue by month beside the baseline's."""

    months: tuple[Month, ...]
    ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = HEIGHT - BOTTOM


def tick_step(top: int) -> int:
    """A round step (1, 2 or 5 times a power of ten) that divides 0..top into at most five."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * MAX_TICKS >= top:
                return step * factor
        step *= 10


def axis_label(amount: int, language: str) -> str:
    """``7.500.000.000`` as ``7,5 tỷ`` or ``7.5 bn``."""
    large = amount >= 10**9
    unit = 10**9 if large else 10**6
    words = {"vi": ("triệu", "tỷ"), "en": ("m", "bn")}[language]
    number = f"{(Decimal(amount) / unit).normalize():f}"
    if language == "vi":
        number = number.replace(".", ",")
    return f"{number} {words[large]}" if amount else "0"


def chart(
    revenue: Mapping[int, int], baseline: Mapping[int, int], current: int, language: str
) -> Chart:
    """The picture of a year. Months below zero show no bar (the table beside it has the figure)."""
    highest = max([1, *revenue.values(), *baseline.values()])
    step = tick_step(highest)
    count = -(-highest // step)
    room = HEIGHT - TOP - BOTTOM

    def bar(x: int, amount: int) -> Bar:
        height = max(0, amount) * room // (count * step)
        return Bar(x, HEIGHT - BOTTOM - height, BAR, height, amount)

    months = []
    for number in range(1, 13):
        slot = LEFT + (WIDTH - LEFT - RIGHT) * (number - 1) // 12
        width = (WIDTH - LEFT - RIGHT) // 12
        middle = slot + width // 2
        months.append(
            Month(
                number=number,
                x=middle,
                slot_x=slot,
                slot_width=width,
                baseline=bar(middle - BAR - 1, baseline[number]) if number in baseline else None,
                revenue=bar(middle + 1, revenue.get(number, 0)) if number <= current else None,
                running=number == current,
            )
        )
    ticks = tuple(
        Tick(HEIGHT - BOTTOM - room * index // count, axis_label(step * index, language))
        for index in range(count + 1)
    )
    return Chart(tuple(months), ticks)


def meter(growth: Fraction | None, target: Decimal) -> tuple[int, int]:
    """How far along a bar of 1000 growth and target are; the bar ends at twice the target or at the growth."""
    goal = Fraction(target)
    full = max(goal * 2, growth or Fraction(0), Fraction(1, 100))
    reached = max(Fraction(0), growth or Fraction(0))
    return int(reached * 1000 / full), int(max(Fraction(0), goal) * 1000 / full)


def show_percent(ratio: Fraction | Decimal | None, language: str, *, signed: bool = True) -> str:
    """``+13,8 %`` or ``+13.8%``; an en dash where there is nothing to compare with."""
    if ratio is None:
        return "–"
    value = percent(Fraction(ratio))
    text = f"{value:+f}" if signed else f"{value.normalize():f}"
    text = text.replace("-", "−")
    return f"{text.replace('.', ',')} %" if language == "vi" else f"{text}%"


def label(key: str, language: str) -> str:
    """A segment, stream, payer, movement or source of the law on screen."""
    if language == "vi":
        return _VIETNAMESE.get(key, key)
    if key == "tv":
        return "TV"
    return key.replace("_", " ").capitalize()
