"""The baseline file, the sum over predecessors, and the hash that a freeze signs: pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.metrics import sheets
from shared.metrics.rules import SEGMENT_LABELS, SEGMENTS, STREAM_LABELS, STREAMS
from shared.metrics.sheets import AMOUNT_EXPECTED, MAX_PROBLEMS, Problem, one_of
from shared.metrics.sheets import text as _

COLUMNS = ("year", "segment", "stream", "month", "amount_vnd")
ALIASES = {
    "năm": "year",
    "loại hình": "segment",
    "nguồn thu": "stream",
    "tháng": "month",
    "số tiền": "amount_vnd",
    "số tiền (đồng)": "amount_vnd",
    "amount": "amount_vnd",
}
CURRENCY = "VND"  # growth is measured in đồng
#: What a template holds: the series most agencies have. Rows may be removed and added.
TEMPLATE_STREAMS = {
    "print": ("circulation", "advertising", "state_commission"),
    "online": ("advertising", "syndication"),
    "radio": ("advertising", "state_commission"),
    "tv": ("advertising", "state_commission"),
}


@dataclass(frozen=True, slots=True, order=True)
class MonthAmount:
    """The baseline of one segment, stream and month."""

    segment: str
    stream: str
    month: int
    amount: int
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True)
class ParsedBaseline:
    """A file that was read: usable when there are no problems."""

    year: int
    rows: tuple[MonthAmount, ...]
    problems: tuple[Problem, ...]


def parse(content: bytes) -> ParsedBaseline:
    """The rows of a baseline file, and every row that cannot be taken."""
    sheet = sheets.read_sheet(content, COLUMNS, (), ALIASES)
    problems = list(sheet.problems)
    rows: list[MonthAmount] = []
    seen: dict[tuple[str, str, int], int] = {}
    years: dict[int, int] = {}
    for number, cells in sheet.rows:
        year = sheets.whole(cells["year"], 2000, 2100)
        if year is None:
            problems.append(Problem(number, "year", cells["year"], _("a year such as 2024")))
        elif years and year not in years:
            expected = _("{year}, as in the rows above", year=str(next(iter(years))))
            problems.append(Problem(number, "year", cells["year"], expected))
        else:
            years.setdefault(year, number)
        row = _row(number, cells, problems)
        if row is None:
            continue
        key = (row.segment, row.stream, row.month)
        if key in seen:
            expected = _("each month of a series once (row {row} has it)", row=seen[key])
            problems.append(Problem(number, "month", cells["month"], expected))
            continue
        seen[key] = number
        rows.append(row)
    if not problems:
        problems.extend(_gaps(rows))
    return ParsedBaseline(next(iter(years), 0), tuple(sorted(rows)), tuple(problems[:MAX_PROBLEMS]))


def _row(number: int, cells: dict[str, str], problems: list[Problem]) -> MonthAmount | None:
    segment = sheets.choice(cells["segment"], SEGMENTS, SEGMENT_LABELS)
    stream = sheets.choice(cells["stream"], STREAMS, STREAM_LABELS)
    month = sheets.whole(cells["month"], 1, 12)
    amount = sheets.amount(cells["amount_vnd"])
    before = len(problems)
    if segment is None:
        problems.append(Problem(number, "segment", cells["segment"], one_of(SEGMENTS)))
    if stream is None:
        problems.append(Problem(number, "stream", cells["stream"], one_of(STREAMS)))
    if month is None:
        problems.append(Problem(number, "month", cells["month"], _("a month from 1 to 12")))
    if amount is None or amount < 0:
        expected = AMOUNT_EXPECTED if amount is None else _("an amount that is not below 0")
        problems.append(Problem(number, "amount_vnd", cells["amount_vnd"], expected))
    if len(problems) > before:
        return None
    assert segment and stream and month and amount is not None
    return MonthAmount(segment, stream, month, amount)


def _gaps(rows: Sequence[MonthAmount]) -> list[Problem]:
    """A month that is not there was forgotten: nothing earned is written as 0."""
    months: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        months.setdefault((row.segment, row.stream), set()).add(row.month)
    return [
        Problem(
            0,
            "month",
            f"{segment}/{stream}",
            _(
                "a row for every month (0 where nothing was earned); missing: {months}",
                months=", ".join(map(str, missing)),
            ),
        )
        for (segment, stream), found in sorted(months.items())
        if (missing := sorted(set(range(1, 13)) - found))
    ]


def compose(parts: Iterable[Sequence[MonthAmount]]) -> tuple[MonthAmount, ...]:
    """The sum of several baselines, by segment, stream and month."""
    sums: dict[tuple[str, str, int, str], int] = {}
    for rows in parts:
        for row in rows:
            key = (row.segment, row.stream, row.month, row.currency)
            sums[key] = sums.get(key, 0) + row.amount
    return tuple(
        sorted(
            MonthAmount(segment, stream, month, amount, currency)
            for (segment, stream, month, currency), amount in sums.items()
        )
    )


def signature(agency: str, version: int, year: int, rows: Iterable[MonthAmount]) -> str:
    """SHA-256 over the version's canonical text: what an approver signs, and what a later check compares."""
    lines = [f"press-revenue baseline|{agency}|{version}|{year}"]
    lines += [
        f"{row.segment}|{row.stream}|{row.currency}|{row.month}|{row.amount}"
        for row in sorted(rows)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def template(year: int) -> list[tuple[object, ...]]:
    """A file to fill in; it can be imported as it is."""
    return [
        COLUMNS,
        *(
            (year, segment, stream, month, 0)
            for segment, streams in TEMPLATE_STREAMS.items()
            for stream in streams
            for month in range(1, 13)
        ),
    ]
