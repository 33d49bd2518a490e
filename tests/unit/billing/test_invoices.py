"""Invoices: amounts in words, sums, and the paper they are drawn on."""

from __future__ import annotations

import asyncio
import io
import time
import unicodedata
from datetime import UTC, date, datetime
from itertools import product
from uuid import UUID

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.app import HERE
from services.billing.invoices import pdf, rules
from services.billing.invoices.models import Invoice, InvoiceLine
from services.billing.invoices.rules import InvoiceLineFact
from shared.errors import UnavailableError
from shared.money import MAX_AMOUNT
from shared.web.i18n import load_catalogues, translator
from shared.web.pages import SHARED_FOLDER
from tests.fixtures.waiting import sync_eventually

WORDS = load_catalogues([SHARED_FOLDER / "locale", HERE / "locale"])


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "Không"),
        (1, "Một"),
        (4, "Bốn"),
        (5, "Năm"),
        (10, "Mười"),
        (11, "Mười một"),
        (14, "Mười bốn"),
        (15, "Mười lăm"),
        (20, "Hai mươi"),
        (21, "Hai mươi mốt"),
        (24, "Hai mươi tư"),
        (25, "Hai mươi lăm"),
        (55, "Năm mươi lăm"),
        (100, "Một trăm"),
        (101, "Một trăm linh một"),
        (104, "Một trăm linh tư"),
        (105, "Một trăm linh năm"),
        (110, "Một trăm mười"),
        (111, "Một trăm mười một"),
        (115, "Một trăm mười lăm"),
        (121, "Một trăm hai mươi mốt"),
        (999, "Chín trăm chín mươi chín"),
        (1_000, "Một nghìn"),
        (1_005, "Một nghìn không trăm linh năm"),
        (1_015, "Một nghìn không trăm mười lăm"),
        (1_100, "Một nghìn một trăm"),
        (15_000, "Mười lăm nghìn"),
        (59_000, "Năm mươi chín nghìn"),
        (104_004, "Một trăm linh tư nghìn không trăm linh tư"),
        (590_000, "Năm trăm chín mươi nghìn"),
        (1_000_000, "Một triệu"),
        (1_000_005, "Một triệu không trăm linh năm"),
        (1_001_000, "Một triệu không trăm linh một nghìn"),
        (1_234_567, "Một triệu hai trăm ba mươi tư nghìn năm trăm sáu mươi bảy"),
        (10**9, "Một tỷ"),
        (10**9 + 1, "Một tỷ không trăm linh một"),
        (
            2_147_483_647,
            "Hai tỷ một trăm bốn mươi bảy triệu bốn trăm tám mươi ba nghìn sáu trăm bốn mươi bảy",
        ),
        (10**12, "Một nghìn tỷ"),
        (1_005 * 10**9 + 5, "Một nghìn không trăm linh năm tỷ không trăm linh năm"),
        (MAX_AMOUNT, "Một triệu tỷ"),
    ],
)
def test_an_amount_is_said_as_vietnamese_says_it(amount, words):
    assert rules.in_words(amount) == f"{words} đồng"


def test_there_is_no_amount_below_zero():
    with pytest.raises(ValueError, match="below zero"):
        rules.in_words(-1)


SAID = {"không": 0, "một": 1, "mốt": 1, "hai": 2, "ba": 3, "bốn": 4, "tư": 4, "năm": 5, "lăm": 5, "sáu": 6, "bảy": 7,
        "tám": 8, "chín": 9}  # fmt: skip


def heard(words: list[str]) -> int:
    """The number that somebody writes down who hears it."""
    total = 0
    for name, size in (("tỷ", 10**9), ("triệu", 10**6), ("nghìn", 10**3)):
        if name in words:
            # The last one for a tỷ, before which a nghìn may stand.
            at = len(words) - 1 - words[::-1].index(name) if name == "tỷ" else words.index(name)
            total += heard(words[:at]) * size
            words = words[at + 1 :]
    digit = 0
    for word in words:
        if word == "trăm":
            total, digit = total + digit * 100, 0
        elif word == "mươi":
            total, digit = total + digit * 10, 0
        elif word == "mười":
            total += 10
        elif word != "linh":
            digit = SAID[word]
    return total + digit


@given(st.integers(0, MAX_AMOUNT) | st.integers(0, 2_000_000))
def test_who_hears_an_amount_writes_down_the_same(amount):
    words = rules.in_words(amount).lower().split()
    assert words.pop() == "đồng"
    assert heard(words) == amount


def test_totals_are_the_sums_of_the_lines():
    lines = [
        InvoiceLineFact("Gói", "Plan", 59_000, "press_subscription"),
        InvoiceLineFact("Quảng cáo", "Advertising", 108, "advertising", quantity=3),
    ]
    assert rules.totals(lines, [0, 24]) == rules.Totals(59_300, 24, 59_324)
    with pytest.raises(ValueError, match="has lines"):
        rules.totals([], [])


@pytest.mark.parametrize(
    ("year", "series"), [(2026, "26"), (2030, "30"), (2100, "00"), (2109, "09")]
)
def test_a_series_is_the_two_digits_of_the_year(year, series):
    assert rules.series_of(date(year, 1, 1)) == series


# On paper


def invoice(**other) -> Invoice:
    values = {
        "id": UUID(int=1),
        "agency": "bao-hung-yen",
        "series": "26",
        "number": 123,
        "document": "26-000123",
        "payment_id": UUID(int=2),
        "reader_id": UUID(int=3),
        "issued_at": datetime(2026, 11, 23, 3, tzinfo=UTC),
        "issued_on": date(2026, 11, 23),
        "paid_on": date(2026, 11, 22),
        "seller_name": "Báo và Phát thanh, Truyền hình Hưng Yên",
        "buyer_name": "Nguyễn Thị Ngọc Ánh",
        "buyer_email": "anh@example.vn",
        "language": "vi",
        "currency": "VND",
        "net_vnd": 59_000,
        "vat_vnd": 0,
        "gross_vnd": 59_000,
    }
    return Invoice(**values | other)


def line(number=1, **other) -> InvoiceLine:
    values = {
        "invoice_id": UUID(int=1),
        "line_no": number,
        "description_vi": "Đọc báo không giới hạn (1 tháng)",
        "description_en": "Unlimited reading (1 month)",
        "quantity": 1,
        "unit_gross_vnd": 59_000,
        "net_vnd": 59_000,
        "vat_vnd": 0,
        "gross_vnd": 59_000,
        "vat_treatment": "exempt",
        "vat_basis_points": None,
        "period_from": date(2026, 11, 22),
        "period_until": date(2026, 12, 22),
    }
    return InvoiceLine(**values | other)


def drawn(invoice: Invoice, lines, language="vi") -> bytes:
    return pdf.draw(invoice, lines, language, translator(WORDS, language))


def texts(file: bytes) -> list[str]:
    """The words of each page, blanks as single spaces."""
    assert file.startswith(b"%PDF-")
    pages = pypdf.PdfReader(io.BytesIO(file)).pages
    return [" ".join(page.extract_text().split()) for page in pages]


def test_the_paper_says_who_what_and_how_much_in_vietnamese():
    (words,) = texts(drawn(invoice(), [line()]))
    for expected in (
        "Báo và Phát thanh, Truyền hình Hưng Yên",
        "Biên nhận Số: 26-000123",
        "Ngày 23/11/2026",
        "Ngày thanh toán 22/11/2026",
        "Người mua Nguyễn Thị Ngọc Ánh",
        "anh@example.vn",
        "Đọc báo không giới hạn (1 tháng) 22/11/2026 – 21/12/2026",
        "Không chịu thuế GTGT 59.000 ₫",
        "Tiền chưa thuế 59.000 ₫ Thuế GTGT Không chịu thuế GTGT Tổng cộng 59.000 ₫",
        "Bằng chữ: Năm mươi chín nghìn đồng",
        "không phải hóa đơn điện tử",
    ):
        assert expected in words
    assert "0 ₫ Tổng" not in words, "exempt is not 0"


def test_the_paper_speaks_english_as_well():
    (words,) = texts(drawn(invoice(language="en"), [line()], "en"))
    for expected in (
        "Receipt No. 26-000123",
        "Date 23 Nov 2026",
        "Unlimited reading (1 month) 22 Nov 2026 – 21 Dec 2026",
        "Not subject to VAT ₫59,000",
        "Total ₫59,000",
        "it is not the electronic invoice",
    ):
        assert expected in words
    assert "Bằng chữ" not in words and "GTGT" not in words


def test_a_rate_is_shown_beside_what_is_exempt_and_the_tax_is_a_sum():
    taxed = line(2, unit_gross_vnd=108, gross_vnd=324, quantity=3, net_vnd=300, vat_vnd=24,
                 vat_treatment="rate", vat_basis_points=800, period_from=None, period_until=None)  # fmt: skip
    whole = invoice(net_vnd=59_300, vat_vnd=24, gross_vnd=59_324)
    (words,) = texts(drawn(whole, [line(), taxed]))
    assert "3 108 ₫ 8% 324 ₫" in words
    assert "Tiền chưa thuế 59.300 ₫ Thuế GTGT 24 ₫ Tổng cộng 59.324 ₫" in words
    zero = line(vat_treatment="rate", vat_basis_points=0)
    (words,) = texts(drawn(invoice(), [zero]))
    assert "0% 59.000 ₫" in words and "Thuế GTGT 0 ₫" in words and "Không chịu thuế" not in words


@pytest.mark.parametrize(
    ("basis_points", "language", "words"),
    [(None, "vi", "Không chịu thuế GTGT"), (None, "en", "Not subject to VAT"), (0, "vi", "0%"), (800, "vi", "8%"),
     (1000, "en", "10%"), (750, "vi", "7,5%"), (750, "en", "7.5%")],
)  # fmt: skip
def test_a_rate_in_words(basis_points, language, words):
    assert pdf.vat_words(basis_points, translator(WORDS, language), language) == words


def test_another_currency_is_named_and_not_said_in_words_of_dong():
    (words,) = texts(drawn(invoice(currency="USD"), [line()]))
    assert "Tổng cộng 59000 USD" in words and "Bằng chữ" not in words and "₫" not in words


def test_a_day_is_one_day_and_a_reader_without_a_name_is_named_by_the_address():
    day = line(period_from=date(2026, 11, 22), period_until=date(2026, 11, 23))
    (words,) = texts(drawn(invoice(buyer_name="", paid_on=date(2026, 11, 23)), [day]))
    assert "Người mua anh@example.vn" in words and words.count("anh@example.vn") == 1
    assert "(1 tháng) 22/11/2026 1 59.000" in words
    assert "Ngày thanh toán" not in words, "on the day it was issued"


def test_many_lines_go_on_with_their_heading_and_the_sums_stand_together():
    for count in range(20, 40):
        pages = texts(drawn(invoice(), [line(number) for number in range(1, count + 1)]))
        assert all("Nội dung" in page or page is pages[-1] for page in pages)
        assert "Tiền chưa thuế" in pages[-1] and "hóa đơn điện tử" in pages[-1], count
        assert " ".join(pages).count("Đọc báo không giới hạn") == count


def test_the_font_has_every_vietnamese_letter_and_the_sign_of_the_dong():
    vowels, marks = "aăâeêioôơuưy", ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
    letters = {unicodedata.normalize("NFC", vowel + mark) for vowel, mark in product(vowels, marks)}
    letters |= {chr(code) for code in range(ord("a"), ord("z") + 1)} | {"đ"}
    letters |= {letter.upper() for letter in letters}
    letters |= set("0123456789₫–—…“”‘’.,:;()%/@+-_&'\"#\u00a0")
    assert all(len(letter) == 1 for letter in letters)
    assert {letter for letter in letters if ord(letter) not in pdf._letters()} == set()


def test_what_the_font_lacks_is_a_question_mark_and_never_a_failure():
    assert pdf.printable(" A\u0300n  中\x00\n文 🎉") == "Àn ?? ? ?"
    (words,) = texts(drawn(invoice(buyer_name="Anna 中文 Ngo\u0323c"), [line()]))
    assert "Người mua Anna ?? Ngọc" in words


def test_the_same_invoice_is_the_same_file_whenever_it_is_drawn():
    first = drawn(invoice(), [line()])
    second = int(time.time())  # a file's date is in seconds
    sync_eventually(lambda: int(time.time()) > second, "another second")
    assert drawn(invoice(), [line()]) == first
    assert len(first) < 40_000


async def test_drawing_leaves_the_event_loop_to_others_and_too_many_are_sent_away(monkeypatch):
    running, most = 0, 0

    def slow(*_: object) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.05)
        running -= 1
        return b"%PDF-"

    monkeypatch.setattr(pdf, "draw", slow)
    monkeypatch.setattr(pdf, "MOST_WAITING", 3)
    printer = pdf.InvoicePrinter(WORDS)
    drawing = [asyncio.ensure_future(printer.answer(invoice(), [line()], "vi")) for _ in range(6)]
    ticks = 0
    while not all(one.done() for one in drawing):
        await asyncio.sleep(0.005)
        ticks += 1
    done = await asyncio.gather(*drawing, return_exceptions=True)
    refused = [one for one in done if isinstance(one, UnavailableError)]
    assert len(refused) == 2 and refused[0].headers == {"Retry-After": "5"}
    assert most == 1, "one at a time"
    assert ticks > 10, "the loop went on meanwhile"
    answer = await printer.answer(invoice(), [line()], "vi")
    assert answer.headers["content-disposition"] == 'inline; filename="bao-hung-yen-26-000123.pdf"'
    assert answer.headers["cache-control"] == "private, no-store"
