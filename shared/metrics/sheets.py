"""Reads the CSV files people make: never a crash, bounded, and every bad row named with what would be right. Pure.

Accepted: UTF-8 (with or without a byte-order mark), commas, semicolons or tabs, headings in any order and in English or
Vietnamese, amounts as ``1234567`` or grouped (``1.234.567``, ``1,234,567``, ``1 234 567``). Row numbers are the spreadsheet's: the
heading is row 1.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.money import MAX_AMOUNT

MAX_FILE_BYTES = 1_500_000
MAX_ROWS = 20_000
MAX_COLUMNS = 40
MAX_CELL = 1_000
MAX_PROBLEMS = 200
_DELIMITERS = ",;\t"
_EXCEL = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx is an archive: it is not even opened
_PLAIN = re.compile(r"-?[0-9]{1,16}")
_GROUPED = re.compile("-?[0-9]{1,3}(?:([., \u00a0\u202f])[0-9]{3})(?:\\1[0-9]{3})*")


@dataclass(frozen=True, slots=True)
class Words:
    """A text that is translated where it is shown; ``str`` is its English."""

    english: str
    values: Mapping[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.english.format(**self.values)


def _(english: str, **values: str | int) -> Words:
    return Words(english, values)


text = _  # for other files: ``from shared.metrics.sheets import text as _``


@dataclass(frozen=True, slots=True)
class Problem:
    """A cell that cannot be taken. ``row`` 0 is the file as a whole."""

    row: int
    column: str
    found: str
    expected: Words


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows by column name, with their row numbers; and what is wrong with the file as such."""

    rows: tuple[tuple[int, dict[str, str]], ...]
    problems: tuple[Problem, ...]


CSV_EXPECTED = _("a CSV file in UTF-8 (in Excel: 'CSV UTF-8')")
SIZE_EXPECTED = _("a file of at most {most} kB", most=MAX_FILE_BYTES // 1000)


class _RefusedError(Exception):
    """What is wrong is the file, not a row: no further row is looked at."""

    def __init__(self, row: int, found: str, expected: Words) -> None:
        self.problem = Problem(row, "", found, expected)


def read_sheet(
    content: bytes, required: Sequence[str], optional: Sequence[str], aliases: Mapping[str, str]
) -> Sheet:
    """Cells as text, stripped. ``aliases`` maps other headings (lower case) to column names."""
    problems: list[Problem] = []
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        records = _records(content)
        heading = next(records, [])
        if not any(cell.strip() for cell in heading):
            raise _RefusedError(1, "", _("a heading with {columns}", columns=", ".join(required)))
        names = _headings(heading, required, optional, aliases, problems)
        if not problems:
            rows.extend(_rows(records, names, problems))
    except csv.Error as error:
        return Sheet((), (Problem(0, "", str(error), _("a CSV file whose quotes are closed")),))
    except _RefusedError as error:
        return Sheet((), (error.problem,))
    if not rows and not problems:
        problems.append(Problem(2, "", "", _("at least one row below the heading")))
    return Sheet(tuple(rows), tuple(problems[:MAX_PROBLEMS]))


def _records(content: bytes) -> Iterator[list[str]]:
    """The file's rows of cells, by the separator that its heading has most of."""
    if len(content) > MAX_FILE_BYTES:
        raise _RefusedError(0, f"{len(content) // 1000} kB", SIZE_EXPECTED)
    if content.startswith(_EXCEL):
        raise _RefusedError(0, "Excel", CSV_EXPECTED)
    try:
        words = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _RefusedError(0, "", CSV_EXPECTED) from None
    heading = words.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=heading.count)
    _check_width(1, heading.count(delimiter) + 1)
    return csv.reader(io.StringIO(words, newline=""), delimiter=delimiter, strict=True)


def _check_width(number: int, columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise _RefusedError(number, str(columns), _("at most {most} columns", most=MAX_COLUMNS))


def _rows(
    records: Iterator[list[str]], names: Sequence[str], problems: list[Problem]
) -> Iterator[tuple[int, dict[str, str]]]:
    for number, cells in enumerate(records, start=2):
        if number > MAX_ROWS + 1:
            raise _RefusedError(number, "", _("at most {most} rows: split the file", most=MAX_ROWS))
        _check_width(number, len(cells))
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(names):
            expected = _("{cells} cells, as in the heading", cells=len(names))
            problems.append(Problem(number, "", str(len(cells)), expected))
            continue
        padded = [*cells, *[""] * (len(names) - len(cells))]
        row = {n: c.strip() for n, c in zip(names, padded, strict=True) if n}
        long = [name for name, cell in row.items() if len(cell) > MAX_CELL]
        for name in long:
            expected = _("at most {most} characters", most=MAX_CELL)
            problems.append(Problem(number, name, f"{row[name][:60]}…", expected))
        if not long:
            yield number, row


def _headings(
    cells: Sequence[str],
    required: Sequence[str],
    optional: Sequence[str],
    aliases: Mapping[str, str],
    problems: list[Problem],
) -> list[str]:
    known = {*required, *optional}
    names: list[str] = []
    for cell in cells:
        word = " ".join(cell.strip().lower().split())
        name = aliases.get(word, word)
        if word and name not in known:
            found = cell.strip()[:60]
            problems.append(Problem(1, found, found, one_of([*required, *optional])))
        elif name in names and word:
            problems.append(Problem(1, name, cell.strip()[:60], _("each column once")))
        names.append(name if word else "")
    for name in required:
        if name not in names:
            problems.append(Problem(1, name, "", _("a column {name}", name=name)))
    return names


def amount(cell: str) -> int | None:
    """Whole đồng, or None when the cell says something else (a fraction, a currency sign, words)."""
    if _PLAIN.fullmatch(cell):
        value = int(cell)
    elif _GROUPED.fullmatch(cell):
        value = int(re.sub(r"[^0-9-]", "", cell))
    else:
        return None
    return value if abs(value) <= MAX_AMOUNT else None


AMOUNT_EXPECTED = _("whole đồng, such as 1234567 or 1.234.567, without a fraction")


def one_of(choices: Iterable[str]) -> Words:
    """What a column of fixed words takes."""
    return _("one of: {choices}", choices=", ".join(choices))


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
