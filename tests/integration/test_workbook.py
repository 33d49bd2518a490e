"""XLSX files are read back by another library: dates are dates, amounts numbers, and nothing a stranger wrote is a formula."""

from __future__ import annotations

import asyncio
import io
from datetime import date

import openpyxl
import pytest

from shared.errors import UnavailableError
from shared.web import workbook
from shared.web.workbook import Column, Workbooks

COLUMNS = (Column("Ngày", "day"), Column("Nội dung", "text", 30), Column("Số tiền", "amount"))


def read(body: bytes) -> list[tuple[object, ...]]:
    sheet = openpyxl.load_workbook(io.BytesIO(body)).active
    return list(sheet.iter_rows(values_only=True))


async def test_what_is_written_is_what_is_read_back():
    words = [
        "=1+1",
        "+84",
        "@x",
        "https://evil.test",
        "00123",
        "{=A1}",
        "",
        "Đặng \u0000Thị",
        "x" * 40_000,
    ]
    rows = [(date(2026, 11, 1 + n), word, 10**15 - n) for n, word in enumerate(words)]
    answer = await Workbooks().answer("so.xlsx", "2026-Q4", COLUMNS, rows, agency="bao")
    assert answer.headers["content-disposition"] == 'attachment; filename="so.xlsx"'
    heading, *found = read(answer.body)
    assert heading == ("Ngày", "Nội dung", "Số tiền")
    shown = [*words[:7], "Đặng Thị", "x" * workbook.MAX_CELL]
    assert [(at.date(), word, amount) for at, word, amount in found] == [
        (date(2026, 11, 1 + n), word, 10**15 - n) for n, word in enumerate(shown)
    ]
    book = openpyxl.load_workbook(io.BytesIO(answer.body))
    assert book.sheetnames == ["2026-Q4"]
    assert {cell.data_type for cell in book.active["B"][1:]} <= {"s", "n"}
    assert not any(cell.hyperlink for cell in book.active["B"])
    assert book.active["A2"].number_format == "dd/mm/yyyy"
    assert book.active["C2"].number_format == "#,##0"


async def test_an_empty_one_has_its_heading():
    answer = await Workbooks().answer("so.xlsx", "2026", COLUMNS, [], agency="bao")
    assert read(answer.body) == [("Ngày", "Nội dung", "Số tiền")]


async def test_the_largest_is_written_and_a_larger_one_refused():
    books, row = Workbooks(), (date(2026, 11, 1), "ban.doc@example.vn", 59_000)
    answer = await books.answer("so.xlsx", "2026", COLUMNS, [row] * workbook.MAX_ROWS, agency="bao")
    assert len(read(answer.body)) == workbook.MAX_ROWS + 1
    with pytest.raises(ValueError, match="more than"):
        await books.answer("x.xlsx", "x", COLUMNS, [row] * (workbook.MAX_ROWS + 1), agency="bao")


async def test_one_agency_that_asks_for_many_keeps_no_other_waiting_for_ever():
    books, row = Workbooks(), (date(2026, 11, 1), "x", 1)

    async def one(agency: str) -> bool:
        try:
            await books.answer("so.xlsx", "2026", COLUMNS, [row] * 500, agency=agency)
        except UnavailableError:
            return False
        return True

    done = await asyncio.gather(*(one("flood") for _ in range(8)), one("other"))
    assert done[-1] and done.count(False) == 5
