"""Statements as banks export them: found headings, amounts and days in every way they are written, nothing half-done."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.transfers import statement
from services.billing.transfers.facts import CreditNotice
from services.billing.transfers.statement import HEADINGS, RowProblem, Statement, read_statement
from shared.clock import VIETNAM

ACCOUNT = "0071000888888"
VIETCOMBANK = """\
SAO KÊ TÀI KHOẢN,,,,,
Số tài khoản:,0071000888888,,,,
Từ ngày,01/11/2026,đến ngày,30/11/2026,,
,,,,,
STT,Ngày giao dịch,Số tham chiếu,Ghi nợ,Ghi có,Nội dung
1,23/11/2026 14:02:37,ft26.1,,"59.000","Đọc báo PR34679CFGH, cảm ơn"
2,23/11/2026,FT26.2,"100.000",,Phí
,,,,,
3,24/11/2026,,,"1.234.567,00",PR 3467 9CFGH
Tổng cộng,,,"100.000","1.293.567",
"""


def read(text: str, account: str = ACCOUNT) -> Statement:
    return read_statement(text.encode(), account=account)


def credits(text: str) -> tuple[CreditNotice, ...]:
    found = read(text)
    assert found.problems == ()
    return found.credits


def rows(*lines: str, heading: str = "Ngày;Ghi có;Nội dung;Số CT") -> str:
    return "\n".join([heading, *lines])


def problem(text: str) -> RowProblem:
    found = read(text)
    assert found.credits == ()
    (one,) = found.problems
    return one


def test_a_statement_as_a_bank_exports_it():
    first, second = credits(VIETCOMBANK)
    assert first == CreditNotice(
        account=ACCOUNT,
        external_id="FT26.1",
        reference="FT26.1",
        amount_vnd=59000,
        note="Đọc báo PR34679CFGH, cảm ơn",
        payer="",
        occurred_at=datetime(2026, 11, 23, 14, 2, 37, tzinfo=VIETNAM),
    )
    assert (second.amount_vnd, second.reference, second.note) == (1234567, "", "PR 3467 9CFGH")
    assert second.occurred_at == datetime(2026, 11, 24, tzinfo=VIETNAM)
    assert second.external_id == "row-65d06f23487f278e2e4ec2ea5d405cf6ef388936", "ids stay the same"


def test_a_statement_in_english_with_the_payer():
    text = "Transaction Date\tDescription\tDebit\tCredit (VND)\tTransaction ID\tPayer\n"
    text += "2026-11-23 09:05\tPR34679CFGH\t\t59,000.00\tabc\tNGUYEN VAN A\n"
    (one,) = credits(text)
    assert one == CreditNotice(
        ACCOUNT, "ABC", "ABC", 59000, "PR34679CFGH", "NGUYEN VAN A",
        datetime(2026, 11, 23, 9, 5, tzinfo=VIETNAM),
    )  # fmt: skip


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_way_of_writing_the_text_gives_the_same(codec, form, end):
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(codec, b"")
    text = unicodedata.normalize(form, VIETCOMBANK).replace("\n", end)
    assert read_statement(mark + text.encode(codec), account=ACCOUNT) == read(VIETCOMBANK)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_separator_gives_the_same(delimiter):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(csv.reader(io.StringIO(VIETCOMBANK)))
    assert read(out.getvalue()) == read(VIETCOMBANK)


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("59000", 59000), ("59.000", 59000), ("59,000", 59000), ("59 000", 59000),
        ("59\u00a0000", 59000), ("1.234.567", 1234567), ("1,234,567", 1234567),
        ("1,234,567.00", 1234567), ("1.234.567,00", 1234567), ("1 234 567,0", 1234567),
        ("1 234 567.00", 1234567),
        ("59000.00", 59000), ("59000,0", 59000), ("+59.000", 59000), ("+ 59.000", 59000),
        ("59000 VND", 59000), ("59.000VNĐ", 59000), ("59.000 đ", 59000), ("59.000 ₫", 59000),
        ("59.000 Đồng", 59000), ("59.000,00 vnd", 59000), ("59.00", 59), ("1.000", 1000), ("1", 1),
        ("012", 12), ("999", 999), ("1.000.000.000.000.000", 10**15), ("５９０００", 59000),
    ],
)  # fmt: skip
def test_amounts_are_read_as_banks_write_them(written, amount):
    assert [one.amount_vnd for one in credits(rows(f"23/11/2026;{written};x;1"))] == [amount]


@pytest.mark.parametrize(
    "written",
    ["", " ", "-", "–", "−", "0", "0,00", "0.00", "0.000", "0 VND", "VND", "-59.000", "−59.000",
     "(59.000)", "-0", "- 59.000", "-59.000 VND", "-2.000.000.000.000.000"],
)  # fmt: skip
def test_a_row_without_a_credit_is_passed_over(written):
    assert credits(rows(f"23/11/2026;{written};x;1", f"nonsense;{written};x;1")) == ()


@pytest.mark.parametrize(
    "written",
    ["x", "1.23", "1.2345", "1.50", "1.234.56", "1,234.567,00", "1.234,567", "12345.678", "1e5",
    "1.23457E+06", "59.000 USD", "$59", "59k", "1.234.", ".5", "1..000", "++1", "--1", "-x",
    "+", "()", "(x)", "1 23", "1000000000000001", "1" * 40, "٥٩٠٠٠", "1'000", "59.000,001", "(59.000", "59.000)", "X59", "1" * 70],
)  # fmt: skip
def test_what_stands_for_a_credit_and_is_no_amount_is_a_problem(written):
    text = rows("22/11/2026;1.000;x;1", f"23/11/2026;{written};x;2")
    assert problem(text) == RowProblem(3, "Ghi có", written, statement.EXPECTED_AMOUNT)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("23/11/2026", "2026-11-23T00:00:00"),
        ("3/1/2026", "2026-01-03T00:00:00"),
        ("23-11-2026", "2026-11-23T00:00:00"),
        ("23.11.2026 8:05", "2026-11-23T08:05:00"),
        ("23/11/2026 14:02", "2026-11-23T14:02:00"),
        ('"23/11/2026\n14:02:37"', "2026-11-23T14:02:37"),
        ("2026-11-23", "2026-11-23T00:00:00"),
        ("2026-11-23T14:02:37", "2026-11-23T14:02:37"),
    ],
)
def test_days_are_read_as_vietnam_writes_them(written, at):
    (one,) = credits(rows(f"{written};1.000;x;1"))
    assert one.occurred_at.isoformat() == f"{at}+07:00"


@pytest.mark.parametrize("written", ["", "x", "11/23/2026", "30/02/2026", "46349", "23/11/26"])
def test_a_credit_without_a_day_is_a_problem(written):
    found = problem(rows(f"{written};1.000;x;1"))
    assert found == RowProblem(2, "Ngày", written, statement.EXPECTED_DAY)


@pytest.mark.parametrize(
    "line",
    [
        "Tổng cộng;1.000;;", ";1.000;Tổng phát sinh;", "Cộng;abc;;", "TOTAL;1.000;;",
        "Số dư cuối kỳ;1.000;;", "Opening balance;1.000;;", "Closing;1;;", "Balance b/f;1;;",
        "Ngày;Ghi có;Nội dung;Số CT", "Date;Credit;Description;Ref", ";;;", "", "(1);(2);(3);(4)",
    ],
)  # fmt: skip
def test_totals_and_repeated_headings_are_passed_over(line):
    kept = credits(rows("22/11/2026;1.000;x;1", line, "23/11/2026;2.000;x;2"))
    assert [one.amount_vnd for one in kept] == [1000, 2000]


def test_a_credit_whose_note_speaks_of_a_total_is_one():
    assert len(credits(rows("23/11/2026;1.000;Tổng cộng;", ";-1;Tổng;"))) == 1
    for label in ("Congratulations", "totally", "số"):
        assert problem(rows(f"{label};1.000;x;1")).column == "Ngày"
    assert problem(rows(";1.000;12;1")).column == "Ngày", "no words at all"
    assert problem(rows("tới;1.000;Tổng;1")).column == "Ngày", "only the first words name a total"


@pytest.mark.parametrize(
    ("heading", "place"),
    [
        ("Ngày giao dịch;Ghi có", 1),
        ("NGÀY GIAO DỊCH ; GHI CÓ ", 1),
        ("Ngay gio giao dich;So tien ghi co", 1),
        ("Ngày giao dịch / Transaction Date;Ghi có / Credit", 1),
        ('"Ngày GD\n(Date)";"Số tiền\nghi có (VND)"', 1),
        ("Date;Credit [VND]", 1),
        ("Ngày;Số tiền", 1),
        ("Ngày;Số tiền ghi có VNĐ", 1),
        ("Ngày;Có", 1),
        ("Ngày hiệu lực;Số tiền;Ghi có", 2),
        ("Amount;Ngày;Credit", 2),
        ("Credit;Ngày;Amount", 0),
        ("Ghi có;Ngày;Ghi có", 0),
        ("Ngày;Nợ/Có;Ghi có", 2),
        ("Date;Dr;Cr", 2),
        ("Ngày: ;Ghi có:", 1),
    ],
)
def test_headings_are_found_by_their_words(heading, place):
    cells = ["22/11/2026"] * 3
    cells[place] = "1.000"
    width = len(next(csv.reader(io.StringIO(heading), delimiter=";")))
    (one,) = credits(f"{heading}\n{';'.join(cells[:width])}")
    assert one.amount_vnd == 1000


@pytest.mark.parametrize(
    "heading",
    [
        "Ngày;Nội dung", "Ghi có;Nội dung", "Ngày;Ghi nợ", "Ngày;Ghi nợ/Ghi có", "Ngày Ghi có",
        "Ngày;Số tiền;Nợ/Có", "Ngày;D/C;Amount", "Date;Dr/Cr;Amount", "Ngày;Credit card", "", "x;y",
        "Ngày|Ghi có",
    ],
)  # fmt: skip
def test_without_a_day_and_a_credit_there_is_no_heading(heading):
    found = problem(f"{heading}\n23/11/2026;1.000;1.000")
    assert found == RowProblem(0, "", "", statement.EXPECTED_HEADING)


def test_the_day_of_the_transaction_comes_before_other_days():
    for heading in ("Ngày hiệu lực;Ngày giao dịch;Ghi có", "Value date;Transaction date;Credit"):
        (one,) = credits(f"{heading}\n01/01/2026;02/01/2026;1.000")
        assert one.occurred_at.day == 2


def test_the_heading_stands_within_thirty_rows():
    assert len(credits("x\n" * 29 + rows("23/11/2026;1;x;1"))) == 1
    assert problem("x\n" * 30 + rows("23/11/2026;1;x;1")).expected == statement.EXPECTED_HEADING


def test_the_separator_is_the_one_of_the_fullest_heading():
    text = "Ngày;Ghi có;Số CT,Nội dung\n23/11/2026;59.000;a,b\n"
    (one,) = credits(text)
    assert (one.reference, one.note) == ("", "")
    text = 'x,"y\nNgày;Ghi có\n23/11/2026;59.000\n'
    assert len(credits(text)) == 1, "quotes left open under another separator are none here"


@pytest.mark.parametrize(("column", "words"), HEADINGS.items())
def test_every_word_of_a_heading_is_as_it_is_compared(column, words):
    for word in words:
        assert re.fullmatch(r"[a-z]+( [a-z]+)*", word), word
    assert len(set(words)) == len(words)
    others = {word for name, ones in HEADINGS.items() if name != column for word in ones}
    assert not others & set(words)


def test_lines_are_counted_as_in_the_file():
    found = read(rows('22/11/2026;1.000;"two\nlines";1', "23/11/2026;a;x;2", "", "x;1;x;3"))
    assert found.credits == ()
    assert [(one.line, one.column) for one in found.problems] == [(4, "Ghi có"), (6, "Ngày")]
    text = 'Title\n"Ngày\nGD";"Ghi  có\n(VND)"\n23/11/2026;x\n'
    assert problem(text) == RowProblem(5, "Ghi có (VND)", "x", statement.EXPECTED_AMOUNT)


def test_an_endless_number_is_a_problem_too():
    assert problem(rows(f"23/11/2026;{'1' * 5000};x;1")).expected == statement.EXPECTED_AMOUNT


def test_texts_are_cut_and_otherwise_kept():
    text = f"Ngày;Ghi có;Nội dung;Tên đối ứng\n23/11/2026;1;{'á' * 501};{'b' * 201}\n"
    (one,) = credits(text)
    assert (one.note, one.payer) == ("á" * 500, "b" * 200)
    (one,) = credits(rows('23/11/2026;1;"a\r\nb";1'))
    assert one.note == "a\r\nb"


def test_a_long_cell_is_shown_by_its_beginning():
    assert problem(rows(f"23/11/2026;{'x' * 200};x;1")).found == "x" * 80


def test_cells_beyond_the_heading_are_a_problem():
    text = "Ngày,Ghi có,Nội dung\n23/11/2026,1,234,567,doc bao\n"
    assert problem(text) == RowProblem(2, "", "5", statement.EXPECTED_CELLS)
    assert len(credits("Ngày,Ghi có\n23/11/2026,1234, ,\n23/11/2026\n,,,x\n")) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('Ngày,Ghi có\n22/11/2026,1\n23/11/2026,"1', 3),
        ('Ngày,Ghi có\n22/11/2026,"1"x\n23/11/2026,1', 2),
        ('Ngày,Ghi có,Nội dung\n22/11/2026,1,"a\n23/11/2026,2,"b\n', 2),
        ("Ngày,Ghi có\n22/11/2026," + "x" * 200_000, 2),
    ],
)
def test_quotes_left_open_refuse_the_file(text, line):
    """They would swallow the credits below them."""
    found = problem(text)
    assert (found.line, found.column, found.expected) == (line, "", statement.EXPECTED_QUOTES)
    assert re.search("unexpected end|expected after|larger than", found.found)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff", b"\xff\xfe\x00", b"\xff\xfe\x00\xd8", "Ngày;Ghi có".encode("cp1258", "replace"),
        "Ngày;Ghi có\n".encode("utf-16-le"), b"Date;Credit\n01/01/2026;1;\0", b"PK\x03\x04abc",
        b"\xd0\xcf\x11\xe0abc", b"%PDF-1.7",
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused(raw):
    found = read_statement(raw, account=ACCOUNT)
    assert found == Statement((), (RowProblem(0, "", "", statement.EXPECTED_CSV),))


def test_an_empty_file_has_no_heading_and_an_empty_statement_no_credits():
    assert problem("").expected == statement.EXPECTED_HEADING
    assert read("Ngày;Ghi có\n") == Statement((), ())


def test_limits():
    most = "Ngày;Ghi có\n" + "23/11/2026;1\n" * 20_000
    assert len(credits(most)) == 20_000
    assert problem(most + "x;y") == RowProblem(20_002, "", "", statement.EXPECTED_ROWS)
    room = b" " * (5_000_000 - len("Ngày;Ghi có\n".encode()))
    whole = "Ngày;Ghi có\n".encode() + room
    assert statement.EXPECTED_SIZE not in str(read_statement(whole, account=ACCOUNT))
    found = read_statement(whole + b" ", account=ACCOUNT)
    assert found.problems == (RowProblem(0, "", "5000 kB", statement.EXPECTED_SIZE),)


def test_an_account_is_letters_and_digits():
    (one,) = read(rows("23/11/2026;1;x;1"), "0071-000 888.888").credits
    assert one.account == ACCOUNT
    with pytest.raises(ValueError, match="letters and digits, not 'số'"):
        read("", "số")


# --- ids


def ids(text: str, account: str = ACCOUNT) -> list[str]:
    return [one.external_id for one in read(text, account).credits]


def test_the_reference_is_the_id_where_it_is_one():
    assert ids(rows("23/11/2026;1;x; ft1 ", "23/11/2026;1;x;FT2")) == ["FT1", "FT2"]
    assert ids(rows("23/11/2026;1;x;" + "x" * 100)) == ["X" * 100]
    found = problem(rows("23/11/2026;1;x;" + "x" * 101))
    assert found == RowProblem(2, "Số CT", "x" * 80, statement.EXPECTED_REFERENCE)
    assert problem(rows("23/11/2026;1;x;" + "ß" * 51)).expected == statement.EXPECTED_REFERENCE
    for dash in ("-", "–"):
        (one,) = credits(rows(f"23/11/2026;1;x;{dash}"))
        assert (one.reference, one.external_id[:4], len(one.external_id)) == ("", "row-", 44)


def test_a_reference_that_several_credits_share_does_not_make_them_one():
    found = credits(
        rows("23/11/2026;1;x;A", "23/11/2026;2;x;A", "23/11/2026;2;x;A", "23/11/2026;2;x;B")
    )
    assert len({one.external_id for one in found}) == 4
    assert [one.reference for one in found] == ["A", "A", "A", "B"]
    assert found[3].external_id == "B"
    assert not {"A"} & {one.external_id for one in found}


def test_equal_rows_have_different_ids_and_the_same_ones_each_time():
    once = ids(rows("23/11/2026;1;x;", "23/11/2026;1;x;"))
    assert len(set(once)) == 2
    assert ids(rows("24/11/2026;1;x;", "23/11/2026;1;x;", "23/11/2026;1; x  ;"))[1:] == once
    assert ids(rows("23/11/2026 10:00;1,00;x;-", "23/11/2026;1;x;")) == once, "however written"
    assert ids(rows("23/11/2026;1;a  b;")) == ids(rows("23/11/2026;1;a b;"))


def test_every_part_of_a_row_and_the_account_make_its_id():
    base = "23/11/2026;1;x;"
    other = [ids(rows(line)) for line in ("24/11/2026;1;x;", "23/11/2026;2;x;", "23/11/2026;1;y;")]
    other += [ids(rows(base)), ids(rows(base), "7")]
    assert len({one for (one,) in other}) == 5


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
lines = st.tuples(
    st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.integers(1, 10**15),
    cells, cells.filter(lambda cell: cell.strip().upper() not in ("-", "–")),
)  # fmt: skip


@given(st.lists(lines, max_size=8), st.sampled_from(",;\t"))
def test_what_a_spreadsheet_writes_is_read(written, delimiter):
    out = io.StringIO()
    sheet = csv.writer(out, delimiter=delimiter)
    sheet.writerow(["Ngày", "Ghi có", "Nội dung", "Số CT"])
    sheet.writerows((f"{day:%d/%m/%Y}", f"{amount:,}", *rest) for day, amount, *rest in written)
    found = credits(out.getvalue())
    assert [one.amount_vnd for one in found] == [row[1] for row in written]
    assert [one.occurred_at.date() for one in found] == [row[0] for row in written]
    assert [one.note for one in found] == [
        unicodedata.normalize("NFC", row[2]).strip() for row in written
    ]
    assert len({one.external_id for one in found}) == len(written)
    assert read(out.getvalue()).credits == found


@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_are_read_or_refused(raw):
    read_statement(raw, account=ACCOUNT)
    found = read_statement(b"Date,Credit,Ref\n" + raw, account=ACCOUNT)
    assert not (found.credits and found.problems)
