"""Files people make: every bad row named with what would be right, and never a crash."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.metrics import sheets
from shared.metrics.baseline import rules as baseline
from shared.metrics.entries import rules as revenue
from shared.web.spreadsheet import csv_lines

TODAY = date(2026, 7, 10)
DEMO = Path(__file__).resolve().parents[3] / "infra" / "demo"
HEAD = "year,segment,stream,month,amount_vnd"


def year_of(segment="print", stream="circulation", amount="1000"):
    return [f"2024,{segment},{stream},{month},{amount}" for month in range(1, 13)]


def file(*rows, head=HEAD):
    return "\n".join([head, *rows]).encode()


def changed(index, row):
    rows = year_of()
    rows[index] = row
    return file(*rows)


@pytest.mark.parametrize(
    ("content", "row", "column", "expected"),
    [
        (changed(2, "2024,prnt,circulation,3,5"), 4, "segment", "print"),
        (changed(2, "2024,print,papers,3,5"), 4, "stream", "circulation"),
        (changed(2, "2024,print,circulation,13,5"), 4, "month", "1 to 12"),
        (changed(2, "2024,print,circulation,3,1.5"), 4, "amount_vnd", "whole đồng"),
        (changed(2, "2024,print,circulation,3,-5"), 4, "amount_vnd", "not below 0"),
        (changed(2, "2024,print,circulation,3,"), 4, "amount_vnd", "whole đồng"),
        (changed(2, "2025,print,circulation,3,5"), 4, "year", "2024"),
        (changed(2, "24,print,circulation,3,5"), 4, "year", "2024"),
        (changed(2, "2024,print,circulation,2,5"), 4, "month", "row 3"),
        (changed(2, "2024,print,circulation,3,5,extra"), 4, "", "5 cells"),
        (file(*year_of()[:-1]), 0, "month", "missing: 12"),
        (file(head="year,segment,stream,month"), 1, "amount_vnd", "a column amount_vnd"),
        (file(head=HEAD + ",colour"), 1, "colour", "one of"),
        (file(head=HEAD + ",year"), 1, "year", "once"),
        (file(), 2, "", "at least one row"),
        (b"", 1, "", "a heading"),
        ("năm;tháng".encode("utf-16"), 0, "", "UTF-8"),
        (b'year,"segment', 0, "", "quotes"),
    ],
)
def test_a_bad_baseline_row_is_named_with_what_would_be_right(content, row, column, expected):
    problem = baseline.parse(content).problems[0]
    assert (problem.row, problem.column) == (row, column)
    assert expected in str(problem.expected)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("amount", ["1234567", "1.234.567", "1 234 567", "1\u00a0234\u00a0567"])
def test_files_of_vietnamese_spreadsheets_are_read(mark, delimiter, amount):
    head = delimiter.join(["Năm", "Loại hình", "Nguồn thu", "Tháng", "Số tiền (đồng)"])
    rows = [
        delimiter.join(["2024", "Truyền hình", "Quảng cáo", str(month), amount])
        for month in range(1, 13)
    ]
    parsed = baseline.parse(mark + "\r\n".join([head, *rows, ""]).encode())
    assert parsed.problems == ()
    assert {(row.segment, row.stream, row.amount) for row in parsed.rows} == {
        ("tv", "advertising", 1_234_567)
    }


@given(st.binary(max_size=400))
@example(b"\x00")
@example(HEAD.encode() + b"\n\x00,,,,\n")
def test_no_bytes_crash_the_parsers(content):
    for parsed in (baseline.parse(content), revenue.parse(content, TODAY)):
        assert parsed.problems or parsed.rows


cells = st.text(alphabet=st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=12)


@given(st.lists(st.lists(cells, min_size=5, max_size=5), max_size=5))
def test_no_cells_crash_the_parsers_and_every_problem_says_what_would_be_right(rows):
    lines = [",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in rows]
    found = [
        *baseline.parse(file(*lines)).problems,
        *revenue.parse(file(*lines, head="period,segment,stream,amount_vnd,key"), TODAY).problems,
    ]
    assert all(str(problem.expected) for problem in found)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("0", 0),
        ("-12", -12),
        ("1,234,567", 1_234_567),
        ("1.234", 1_234),
        ("1.23", None),
        ("1,234.567", None),
        ("1e6", None),
        ("12 đồng", None),
        ("١٢", None),
        ("9" * 16, None),
        ("1000000000000000", 10**15),
    ],
)
def test_amounts_are_whole_dong_or_nothing(cell, expected):
    assert sheets.amount(cell) == expected


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        ("2026-07-11,tv,advertising,5,k1,,", "period", "2026-07-10"),
        ("2026-07,tv,advertising,5,k1,,", "period", "a month that is over"),
        ("2026-02-30,tv,advertising,5,k1,,", "period", "2026-03-15"),
        ("01/02/2026,tv,advertising,5,k1,,", "period", "2026-03-15"),
        ("2026-06,tv,advertising,5,,,", "key", "1 to 120"),
        ("2026-06,tv,advertising,5,k1,nobody,", "payer", "reader"),
        ("2026-06,tv,advertising,5,k1,,tax", "law_source", "advertising"),
        ("2026-06,tv,advertising,5,k1,,governing_body_funding", "law_source", "state_commission"),
    ],
)
def test_a_bad_revenue_row_is_named_with_what_would_be_right(row, column, expected):
    head = "period,segment,stream,amount_vnd,key,payer,law_source"
    problem = revenue.parse(file(row, head=head), TODAY).problems[0]
    assert (problem.row, problem.column) == (2, column)
    assert expected in str(problem.expected)


def test_templates_can_be_imported_as_they_are():
    assert baseline.parse(csv_lines(baseline.template(2025)).encode()).problems == ()
    assert revenue.parse(csv_lines(revenue.template("2026-06")).encode(), TODAY).problems == ()


def test_every_example_file_is_good():
    for path in (DEMO / "baseline").glob("*.csv"):
        assert baseline.parse(path.read_bytes()).problems == (), path.name
    for path in (DEMO / "revenue").glob("*.csv"):
        parsed = revenue.parse(path.read_bytes(), TODAY, unfinished_months=True)
        assert parsed.problems == (), path.name
