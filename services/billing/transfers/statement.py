"""Reads the statement of a bank account, as banks export it for a spreadsheet: CSV text to credits. Pure.

Accepted: UTF-8 (with or without a byte-order mark) or UTF-16; commas, semicolons or tabs; lines of title before the heading,
which is found in the first thirty rows by its words, in Vietnamese or English, in any order. Nothing is half-done: whoever reads
a statement refuses it when there are problems.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from services.billing.transfers.facts import CreditNotice
from services.billing.transfers.values import (
    MAX_ID,
    MAX_NOTE,
    MAX_PAYER,
    account_number,
    kept,
    vietnam_time,
)
from shared.money import MAX_AMOUNT

MAX_BYTES = 5_000_000
MAX_ROWS = 20_000
HEADING_WITHIN = 30
_MAX_FOUND = 80
_DELIMITERS = ",;\t"
_ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF")  # Excel's files, and PDF: no text

#: Headings by column, without marks and case, the best first: of two dates the day of the transaction is meant.
HEADINGS: Mapping[str, tuple[str, ...]] = {
    "date": (
        *("ngay giao dich", "ngay gd", "transaction date", "trans date", "ngay gio giao dich"),
        *("thoi gian giao dich", "thoi gian", "ngay", "date", "posting date", "booking date"),
        *("ngay hach toan", "ngay hieu luc", "effective date", "value date"),
    ),
    "credit": (
        *("so tien ghi co", "ghi co", "phat sinh co", "ps co", "credit amount", "credit", "co"),
        *("tien vao", "money in", "cr", "c", "so tien", "amount"),
    ),
    "debit": (
        *("so tien ghi no", "ghi no", "phat sinh no", "ps no", "debit amount", "debit", "no"),
        *("tien ra", "money out", "dr", "d"),
    ),
    "note": (
        *("noi dung giao dich", "noi dung chuyen khoan", "noi dung", "dien giai", "mo ta"),
        *("mo ta giao dich", "transaction description", "description", "content", "remark"),
        *("remarks", "details"),
    ),
    "reference": (
        *("so tham chieu", "ma tham chieu", "ma giao dich", "so giao dich", "so ct", "so chung tu"),
        *("reference", "reference number", "reference no", "ref", "ref no", "transaction id"),
        *("transaction no", "transaction number", "doc no"),
    ),
    "payer": (
        *("nguoi chuyen", "ten nguoi chuyen", "ten doi ung", "doi ung", "ten tai khoan doi ung"),
        *("payer", "sender", "remitter", "counterparty", "counter account name"),
    ),
}
_EITHER_WAY = HEADINGS["credit"].index(
    "so tien"
)  # from here on a word does not say which way the money went
_LETTER = re.compile(r"[a-z]")
_TOTALS = re.compile(r"(tong|cong|total|so du|balance|opening|closing)\b")

EXPECTED_SIZE = "a file of at most 5 MB"
EXPECTED_CSV = "a CSV file in UTF-8 (in Excel: 'CSV UTF-8')"
EXPECTED_QUOTES = "a CSV file whose quotes are closed"
EXPECTED_HEADING = "a heading with the day and the credit, within the first 30 rows"
EXPECTED_ROWS = "at most 20,000 rows: split the file"
EXPECTED_CELLS = (
    "as many cells as the heading: amounts and notes with the separator inside stand in quotes"
)
EXPECTED_DAY = "a day as dd/mm/yyyy or yyyy-mm-dd"
EXPECTED_AMOUNT = "whole đồng, as 1234567 or 1.234.567"
EXPECTED_REFERENCE = "at most 100 characters"


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What cannot be taken. ``line`` 0 is the file as a whole; ``column`` is the heading as the file writes it."""

    line: int
    column: str
    found: str
    expected: str  # one of the EXPECTED_… texts


@dataclass(frozen=True, slots=True)
class Statement:
    """The credits in the file's order; with any problem there are none."""

    credits: tuple[CreditNotice, ...]
    problems: tuple[RowProblem, ...]


class _RefusedError(Exception):
    """What is wrong is the file, not a row."""

    def __init__(self, line: int, found: str, expected: str) -> None:
        super().__init__(expected)
        self.problem = RowProblem(line, "", found, expected)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class _Heading:
    """Which cell is which: the columns' places, and how the file writes them."""

    places: Mapping[str, int]
    written: Sequence[str]

    def cell(self, row: _Row, column: str) -> str:
        place = self.places.get(column)
        return row.cells[place].strip() if place is not None and place < len(row.cells) else ""

    def problem(self, row: _Row, column: str, expected: str) -> RowProblem:
        name = " ".join(self.written[self.places[column]].split())
        return RowProblem(row.line, name, self.cell(row, column)[:_MAX_FOUND], expected)


def read_statement(raw: bytes, *, account: str) -> Statement:
    """The credits of an account's statement; debits, totals and blank rows are passed over, and so are negative amounts.

    A credit's ``external_id`` is its reference where the statement tells one that no other credit in it has; else it is made
    of what the row says and how many rows before say the same: the same file twice gives the same ids.
    Raises ``ValueError`` only when ``account`` is no account's number.
    """
    number = account_number(account)
    if number is None:
        raise ValueError(f"an account is letters and digits, not {account!r}")
    try:
        heading, rows = _heading_and_rows(_decoded(raw))
        found = [_read(row, heading, number) for row in rows]
    except _RefusedError as error:
        return Statement((), (error.problem,))
    problems = tuple(one for one in found if isinstance(one, RowProblem))
    notices = [one for one in found if isinstance(one, CreditNotice)]
    return Statement(() if problems else tuple(_identified(notices)), problems)


def _decoded(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _RefusedError(0, f"{len(raw) // 1000} kB", EXPECTED_SIZE)
    if raw.startswith(_ARCHIVES):
        raise _RefusedError(0, "", EXPECTED_CSV)
    try:
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = raw.decode("utf-16")
        else:
            text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _RefusedError(0, "", EXPECTED_CSV) from None
    if "\0" in text:
        raise _RefusedError(0, "", EXPECTED_CSV)
    return text


def _heading_and_rows(text: str) -> tuple[_Heading, Iterator[_Row]]:
    """By the separator under which a heading shows most columns; the rows are those below it."""
    best: tuple[int, str, int] | None = None
    for delimiter in _DELIMITERS:
        for position, row in _first(text, delimiter):
            places = _places(row.cells)
            if places and (best is None or len(places) > best[0]):
                best = (len(places), delimiter, position)
    if best is None:
        raise _RefusedError(0, "", EXPECTED_HEADING)
    _, delimiter, position = best
    rows = _rows(text, delimiter)
    for _ in range(position):
        next(rows)
    written = next(rows).cells
    places = _places(written)
    assert places is not None, "it was found a moment ago"
    return _Heading(places, written), _counted(rows)


def _first(text: str, delimiter: str) -> Iterator[tuple[int, _Row]]:
    """The rows in which a heading may be; as far as the file can be read with this separator."""
    rows = _rows(text, delimiter)
    try:
        yield from zip(range(HEADING_WITHIN), rows, strict=False)
    except _RefusedError:
        return


def _rows(text: str, delimiter: str) -> Iterator[_Row]:
    """Rows with the line on which each begins. Quotes left open would swallow the rows below: the file is refused."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield _Row(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise _RefusedError(line, str(error)[:_MAX_FOUND], EXPECTED_QUOTES) from None


def _counted(rows: Iterator[_Row]) -> Iterator[_Row]:
    for number, row in enumerate(rows, start=1):
        if number > MAX_ROWS:
            raise _RefusedError(row.line, "", EXPECTED_ROWS)
        yield row


def _places(cells: Sequence[str]) -> dict[str, int] | None:
    """Where a heading has each column; None when this is no heading. Of two that fit, the better word, then the first.

    A cell of both debit and credit ("Nợ/Có") tells of each row which it is: beside one, "Số tiền" alone is no credit.
    """
    ranked: dict[str, tuple[int, int]] = {}
    either_way = len(HEADINGS["credit"])
    for place, cell in enumerate(cells):
        ranks = _ranks(cell)
        if {"debit", "credit"} <= ranks.keys():
            either_way = _EITHER_WAY
            continue
        for column, rank in ranks.items():
            ranked[column] = min(ranked.get(column, (rank, place)), (rank, place))
    if "date" not in ranked or "credit" not in ranked or ranked["credit"][0] >= either_way:
        return None
    places = {column: place for column, (_, place) in ranked.items()}
    return places if places["date"] != places["credit"] else None  # a line of another separator


def _ranks(cell: str) -> dict[str, int]:
    """What a heading's cell may be, by the best of its words: the whole of it, or a part ("Ghi có / Credit (VND)")."""
    parts = [_simple(part) for part in (cell, *re.split(r"[/\n()\[\]|:-]", cell))]
    ranks: dict[str, int] = {}
    for column, words in HEADINGS.items():
        found = [words.index(part) for part in parts if part in words]
        if found:
            ranks[column] = min(found)
    return ranks


def _simple(text: str) -> str:
    """Small letters without marks, words with one blank between them, without the currency at the end."""
    plain = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    words = re.findall(r"[a-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c)))
    return " ".join(words).removesuffix(" vnd")


def _read(row: _Row, heading: _Heading, account: str) -> CreditNotice | RowProblem | None:
    """A row's credit, its problem, or None where it has no credit."""
    amount = _amount(heading.cell(row, "credit"))
    if amount is not None and amount <= 0:
        return None
    at = vietnam_time(heading.cell(row, "date"))
    if at is None and (_is_total(row) or _places(row.cells)):  # a heading again, on the next page
        return None
    if any(cell.strip() for cell in row.cells[len(heading.written) :]):
        return RowProblem(row.line, "", str(len(row.cells)), EXPECTED_CELLS)
    if amount is None or amount > MAX_AMOUNT:
        return heading.problem(row, "credit", EXPECTED_AMOUNT)
    if at is None:
        return heading.problem(row, "date", EXPECTED_DAY)
    return _credit(row, heading, CreditNotice(account, "", "", amount, "", "", at))


def _credit(row: _Row, heading: _Heading, credit: CreditNotice) -> CreditNotice | RowProblem:
    """The credit with the texts of its row."""
    reference = heading.cell(row, "reference")
    reference = "" if reference in ("-", "\u2013") else kept(reference, MAX_ID + 1).upper()
    if len(reference) > MAX_ID:
        return heading.problem(row, "reference", EXPECTED_REFERENCE)
    note = kept(heading.cell(row, "note"), MAX_NOTE)
    payer = kept(heading.cell(row, "payer"), MAX_PAYER)
    return replace(credit, reference=reference, note=note, payer=payer)


def _is_total(row: _Row) -> bool:
    """Whether the row's first words are a total's."""
    told = (_simple(cell) for cell in row.cells)
    return _TOTALS.match(next((text for text in told if _LETTER.search(text)), "")) is not None


_CURRENCY = re.compile(r"\s*(vnd|vnđ|đồng|đ|₫)$", re.IGNORECASE)
_AMOUNTS = (
    re.compile(r"([0-9]+)(?:[.,]0{1,2})?"),
    re.compile(r"([0-9]{1,3}(?:\.[0-9]{3})+)(?:,0{1,2})?"),
    re.compile(r"([0-9]{1,3}(?:,[0-9]{3})+)(?:\.0{1,2})?"),
    re.compile(r"([0-9]{1,3}(?: [0-9]{3})+)(?:[.,]0{1,2})?"),
)


def _amount(written: str) -> int | None:
    """Whole đồng as banks write them; 0 for an empty cell or a dash, below 0 for what is taken off; None: no amount."""
    text = _CURRENCY.sub("", unicodedata.normalize("NFKC", written).strip())
    text = text.replace("\u2212", "-").strip()
    if text in ("", "-", "\u2013"):
        return 0
    sign = 1
    if text.startswith("(") and text.endswith(")"):
        sign, text = -1, text[1:-1]
    elif text[0] in "+-":
        sign, text = -1 if text[0] == "-" else 1, text[1:]
    for pattern in _AMOUNTS:
        match = pattern.fullmatch(text.strip())
        if match:
            digits = re.sub(r"[^0-9]", "", match[1])
            return sign * int(digits) if len(digits) <= 18 else None
    return None


def _identified(notices: Sequence[CreditNotice]) -> Iterator[CreditNotice]:
    """The credits with their ids. Where credits share a reference it cannot tell them apart."""
    shared = Counter(one.reference for one in notices)
    equal: Counter[str] = Counter()
    for one in notices:
        if one.reference and shared[one.reference] == 1:
            yield replace(one, external_id=one.reference)
            continue
        said = _said(one)
        equal[said] += 1
        digest = hashlib.sha256(f"{said}\n{equal[said]}".encode()).hexdigest()
        yield replace(one, external_id=f"row-{digest[:40]}")


def _said(one: CreditNotice) -> str:
    day, note = one.occurred_at.date().isoformat(), " ".join(one.note.split())
    return "\n".join((one.account, day, str(one.amount_vnd), one.reference, note))
