"""The file of revenue that other systems book, as entries: pure.

``period`` is a date, or a month that is over: its amount is then recognised in equal parts on each of its days (exactly: parts
sum to the whole; ``imports.repository`` does that in SQL). ``key`` names the row in the other system and makes the import
idempotent.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from shared.metrics import sheets
from shared.metrics.rules import (
    LAW_SOURCES,
    PAYER_LABELS,
    PAYERS,
    SEGMENT_LABELS,
    SEGMENTS,
    STATE_SOURCES,
    STATE_STREAM,
    STREAM_DEFAULTS,
    STREAM_LABELS,
    STREAMS,
    state_funded,
)
from shared.metrics.sheets import AMOUNT_EXPECTED, MAX_PROBLEMS, Problem, one_of
from shared.metrics.sheets import text as _
from shared.money import MAX_AMOUNT

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
PERIOD_EXPECTED = _("a date such as 2026-03-15, or a month such as 2026-03")
KEY_EXPECTED = _(
    "the row's own name in the other system: 1 to 120 characters, each once in the file"
)
TEXT_EXPECTED = _("text")
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
    keys: dict[str, RevenueRow] = {}
    for number, cells in sheet.rows:
        row = _row(number, cells, problems)
        if row is None:
            continue
        if row.key in keys:
            problems.append(_key_taken(row, keys[row.key]))
            continue
        keys[row.key] = row
        if not unfinished_months and row.period.last > today:
            expected = _("a day up to {today}, or a month that is over by then", today=f"{today}")
            problems.append(Problem(number, "period", cells["period"], expected))
            continue
        rows.append(row)
    problems += [_key_taken(row, month) for row in rows if (month := _day_of_month(row, keys))]
    if sum(abs(row.amount) for row in rows) > MAX_AMOUNT:
        expected = _("a file of at most {most} đồng in all", most=MAX_AMOUNT)
        problems.append(Problem(0, "amount_vnd", "", expected))
    return ParsedRevenue(tuple(rows), tuple(problems[:MAX_PROBLEMS]))


def _key_taken(row: RevenueRow, other: RevenueRow) -> Problem:
    return Problem(
        row.number,
        "key",
        row.key,
        _(
            "a key of its own, 1 to 120 characters: row {row} has this one",
            row=other.number,
        ),
    )


def _day_of_month(row: RevenueRow, keys: Mapping[str, RevenueRow]) -> RevenueRow | None:
    """The month whose parts are recorded under ``<key>:<day>``, where this row's own key is one of those."""
    key, _colon, word = row.key.rpartition(":")
    month, day = keys.get(key), parse_period(word)
    if month is None or day is None or row.period.days > 1 or month.period.days == 1:
        return None
    return month if month.period.first <= day.first <= month.period.last else None


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
        ("segment", segment is not None, one_of(SEGMENTS)),
        ("stream", stream is not None, one_of(STREAMS)),
        ("payer", chosen_payer is not None, one_of(PAYERS)),
        ("law_source", chosen_source is not None, one_of(LAW_SOURCES)),
        ("amount_vnd", amount is not None, AMOUNT_EXPECTED),
        ("key", _KEY.fullmatch(cells["key"]) is not None, KEY_EXPECTED),
        ("account", "\x00" not in cells.get("account", ""), TEXT_EXPECTED),
        ("document", "\x00" not in cells.get("document", ""), TEXT_EXPECTED),
    )
    bad = [
        Problem(number, name, cells.get(name, ""), right) for name, ok, right in checks if not ok
    ]
    problems.extend(bad)
    if bad:
        return None
    assert period and segment and stream and chosen_payer and chosen_source and amount is not None
    if (chosen_source in STATE_SOURCES) != state_funded(stream):
        expected = _(
            "what the state pays ({sources}) with the stream {stream}, and only there",
            sources=", ".join(sorted(STATE_SOURCES)),
            stream=STATE_STREAM,
        )
        problems.append(Problem(number, "law_source", chosen_source, expected))
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


def template(month: str) -> list[tuple[object, ...]]:
    """A file to fill in."""
    return [
        (*REQUIRED, *OPTIONAL),
        *(
            (month, "print", "circulation", 0, f"PH-{month}", "reader", "", "", "HĐ …"),
            (month, "tv", "advertising", 0, f"QC-{month}", "business", "", "", "HĐ …"),
        ),
    ]
