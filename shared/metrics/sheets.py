"""Reads the CSV files people make: never a crash, and every bad row named with what would be right. Pure.

Accepted: UTF-8 (with or without a byte-order mark), commas, semicolons or tabs, headings in any order and in English or
Vietnamese, amounts as ``1234567`` or grouped (``1.234.567``, ``1,234,567``, ``1 234 567``). Row numbers are the spreadsheet's: the
heading is row 1.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.money import MAX_AMOUNT

MAX_ROWS = 20_000
MAX_PROBLEMS = 200
_DELIMITERS = ",;\t"
_PLAIN = re.compile(r"-?[0-9]{1,16}")
_GROUPED = re.compile("-?[0-9]{1,3}(?:([., \u00a0\u202f])[0-9]{3})(?:\\1[0-9]{3})*")


@dataclass(frozen=True, slots=True)
class Problem:
    """A cell that cannot be taken. ``row`` 0 is the file as a whole."""

    row: int
    column: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows by column name, with their row numbers; and what is wrong with the file as such."""

    rows: tuple[tuple[int, dict[str, str]], ...]
    problems: tuple[Problem, ...]


def read_sheet(
    content: bytes, required: Sequence[str], optional: Sequence[str], aliases: Mapping[str, str]
) -> Sheet:
    """Cells as text, stripped. ``aliases`` maps other headings (lower case) to column names."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _refused(Problem(0, "", "", "a CSV file in UTF-8 (in Excel: 'CSV UTF-8')"))
    heading = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=heading.count)
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return _refused(Problem(0, "", str(error), "a CSV file whose quotes are closed"))
    if not records or not any(cell.strip() for cell in records[0]):
        return _refused(Problem(1, "", "", f"a heading with {', '.join(required)}"))
    if len(records) - 1 > MAX_ROWS:
        return _refused(Problem(0, "", f"{len(records) - 1} rows", f"at most {MAX_ROWS} rows"))
    names, problems = _headings(records[0], required, optional, aliases)
    if problems:
        return Sheet((), tuple(problems))
    rows = []
    for number, cells in enumerate(records[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(names):
            problems.append(
                Problem(number, "", f"{len(cells)} cells", f"{len(names)} cells, as in the heading")
            )
            continue
        padded = [*cells, *[""] * (len(names) - len(cells))]
        rows.append((number, {n: c.strip() for n, c in zip(names, padded, strict=True) if n}))
    if not rows and not problems:
        problems.append(Problem(2, "", "", "at least one row below the heading"))
    return Sheet(tuple(rows), tuple(problems[:MAX_PROBLEMS]))


def _refused(problem: Problem) -> Sheet:
    return Sheet((), (problem,))


def _headings(
    cells: Sequence[str],
    required: Sequence[str],
    optional: Sequence[str],
    aliases: Mapping[str, str],
) -> tuple[list[str], list[Problem]]:
    known = {*required, *optional}
    names, problems = [], []
    for cell in cells:
        word = " ".join(cell.strip().lower().split())
        name = aliases.get(word, word)
        if word and name not in known:
            allowed = ", ".join([*required, *optional])
            problems.append(Problem(1, cell.strip()[:60], cell.strip()[:60], f"one of: {allowed}"))
        elif name in names and word:
            problems.append(Problem(1, name, cell.strip()[:60], "each column once"))
        names.append(name if word else "")
    for name in required:
        if name not in names:
            problems.append(Problem(1, name, "", f"a column {name}"))
    return names, problems


def amount(cell: str) -> int | None:
    """Whole đồng, or None when the cell says something else (a fraction, a currency sign, words)."""
    if _PLAIN.fullmatch(cell):
        value = int(cell)
    elif _GROUPED.fullmatch(cell):
        value = int(re.sub(r"[^0-9-]", "", cell))
    else:
        return None
    return value if abs(value) <= MAX_AMOUNT else None


AMOUNT_EXPECTED = "whole đồng, such as 1234567 or 1.234.567, without a fraction"


def whole(cell: str, lowest: int, highest: int) -> int | None:
    """A whole number within bounds, or None."""
    if not re.fullmatch(r"[0-9]{1,6}", cell):
        return None
    value = int(cell)
    return value if lowest <= value <= highest else None


def choice(cell: str, allowed: Sequence[str], labels: Mapping[str, str]) -> str | None:
    """A key, written as itself or as its Vietnamese label in any case; None when it is neither."""
    word = cell.lower()
    if word in allowed:
        return word
    for key, label in labels.items():
        if label.lower() == word and key in allowed:
            return key
    return None
