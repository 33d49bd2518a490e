"""The file of revenue that other systems book, as entries: pure.

``period`` is a date, or a month that is over: its amount is then recognised in equal parts on each of its days (exactly: parts
sum to the whole). ``key`` names the row in the other system and makes the import idempotent.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from shared.metrics import sheets
from shared.metrics.rules import (
    LAW_SOURCES,
    PAYER_LABELS,
    PAYERS,
    SEGMENT_LABELS,
    SEGMENTS,
    STREAM_DEFAULTS,
    STREAM_LABELS,
    STREAMS,
    entry_problem,
)
from shared.metrics.sheets import MAX_PROBLEMS, Problem
from shared.money import part

REQUIRED = ("period", "segment", "stream", "amount_vnd", "key")
OPTIONAL = ("payer", "law_source", "account", "document")
ALIASES = {
    "kỳ": "period",
    "ngày": "period",
    "tháng": "period",
    "loại hình": "segment",
    "nguồn thu": "stream",
    "số tiền": "amount_vnd",
    "số tiền (đồng)": "amount_vnd",
    "amount": "amount_vnd",
    "mã dòng": "key",
    "bên trả": "payer",
    "nguồn theo luật": "law_source",
    "tài khoản": "account",
    "chứng từ": "document",
}
PERIOD_EXPECTED = "a date such as 2026-03-15, or a month such as 2026-03"
KEY_EXPECTED = "the row's own name in the other system: 1 to 120 characters, each once in the file"
DEFAULT_ACCOUNT = "imported"
_KEY = re.compile(r"[^\x00-\x1f]{1,120}")


@dataclass(frozen=True, slots=True)
class Entry:
    """Revenue that was earned, as it is to be stored."""

    agency: str
    segment: str
    stream: str
    currency: str
    source_reference: str
    payer: str
    law_source: str
    account: str
    amount: int
    recognised_on: date
    document: str = ""
    import_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """A day, or the days of a month."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class RevenueRow:
    """One row of the file, checked."""

    number: int
    key: str
    period: Period
    segment: str
    stream: str
    payer: str
    law_source: str
    account: str
    amount: int
    document: str


@dataclass(frozen=True, slots=True)
class ParsedRevenue:
    """A file that was read: usable when there are no problems."""

    rows: tuple[RevenueRow, ...]
    problems: tuple[Problem, ...]

    @property
    def total(self) -> int:
        return sum(row.amount for row in self.rows)


def parse_period(cell: str) -> Period | None:
    """``2026-03-15`` or ``2026-03``; None for anything else."""
    found = re.fullmatch(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?", cell)
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2]), int(found[3] or 1)
    try:
        first = date(year, month, day)
    except ValueError:
        return None
    if not 2000 <= year <= 2100:
        return None
    last = first if found[3] else date(year, month, calendar.monthrange(year, month)[1])
    return Period(first, last)


def parse(content: bytes, today: date, *, unfinished_months: bool = False) -> ParsedRevenue:
    """The rows of a revenue file, and every row that cannot be taken. ``today`` in the agency's zone."""
    sheet = sheets.read_sheet(content, REQUIRED, OPTIONAL, ALIASES)
    problems = list(sheet.problems)
    rows: list[RevenueRow] = []
    keys: dict[str, int] = {}
    for number, cells in sheet.rows:
        row = _row(number, cells, problems)
        if row is None:
            continue
        if row.key in keys:
            expected = f"{KEY_EXPECTED} (row {keys[row.key]} has it)"
            problems.append(Problem(number, "key", row.key, expected))
            continue
        keys[row.key] = number
        if not unfinished_months and row.period.last > today:
            expected = f"a day up to {today}, or a month that is over by then"
            problems.append(Problem(number, "period", cells["period"], expected))
            continue
        rows.append(row)
    return ParsedRevenue(tuple(rows), tuple(problems[:MAX_PROBLEMS]))


def _row(number: int, cells: dict[str, str], problems: list[Problem]) -> RevenueRow | None:
    segment = sheets.choice(cells["segment"], SEGMENTS, SEGMENT_LABELS)
    stream = sheets.choice(cells["stream"], STREAMS, STREAM_LABELS)
    payer, law_source = STREAM_DEFAULTS.get(stream or "", ("business", "business_and_services"))
    chosen_payer = (
        sheets.choice(cells["payer"], PAYERS, PAYER_LABELS) if cells.get("payer") else payer
    )
    chosen_source = (
        sheets.choice(cells["law_source"], tuple(LAW_SOURCES), LAW_SOURCES)
        if cells.get("law_source")
        else law_source
    )
    period, amount = parse_period(cells["period"]), sheets.amount(cells["amount_vnd"])
    checks = (
        ("period", period is not None, PERIOD_EXPECTED),
        ("segment", segment is not None, f"one of: {', '.join(SEGMENTS)}"),
        ("stream", stream is not None, f"one of: {', '.join(STREAMS)}"),
        ("payer", chosen_payer is not None, f"one of: {', '.join(PAYERS)}"),
        ("law_source", chosen_source is not None, f"one of: {', '.join(LAW_SOURCES)}"),
        ("amount_vnd", amount is not None, sheets.AMOUNT_EXPECTED),
        ("key", _KEY.fullmatch(cells["key"]) is not None, KEY_EXPECTED),
        ("account", "\x00" not in cells.get("account", ""), "text"),
        ("document", "\x00" not in cells.get("document", ""), "text"),
    )
    bad = [
        Problem(number, name, cells.get(name, ""), right) for name, ok, right in checks if not ok
    ]
    problems.extend(bad)
    if bad:
        return None
    assert period and segment and stream and chosen_payer and chosen_source and amount is not None
    problem = entry_problem(stream, chosen_source, "VND", amount)
    if problem:
        problems.append(Problem(number, "law_source", chosen_source, problem))
        return None
    return RevenueRow(
        number=number,
        key=cells["key"],
        period=period,
        segment=segment,
        stream=stream,
        payer=chosen_payer,
        law_source=chosen_source,
        account=cells.get("account") or DEFAULT_ACCOUNT,
        amount=amount,
        document=cells.get("document", "")[:500],
    )


def entries_of_row(agency: str, row: RevenueRow, through: date) -> list[tuple[int, Entry]]:
    """The row's entries up to and including ``through``, each with the row's number."""
    period = row.period
    found = []
    for index in range(period.days):
        day = period.first + timedelta(days=index)
        if day > through:
            break
        suffix = f":{day}" if period.days > 1 else ""
        found.append(
            (
                row.number,
                Entry(
                    agency=agency,
                    segment=row.segment,
                    stream=row.stream,
                    currency="VND",
                    source_reference=f"import:{row.key}{suffix}",
                    payer=row.payer,
                    law_source=row.law_source,
                    account=row.account,
                    amount=part(row.amount, index, period.days),
                    recognised_on=day,
                    document=row.document,
                ),
            )
        )
    return found


def template(month: str) -> list[tuple[object, ...]]:
    """A file to fill in."""
    return [
        (*REQUIRED, *OPTIONAL),
        *(
            (month, "print", "circulation", 0, f"PH-{month}", "reader", "", "", "HĐ …"),
            (month, "tv", "advertising", 0, f"QC-{month}", "business", "", "", "HĐ …"),
        ),
    ]
