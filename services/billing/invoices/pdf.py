"""An invoice on paper: A4, in Vietnamese or English, with the letters of both.

Drawing takes some 25 ms of Python: it is done in a thread, one at a time in a process, so that the event loop goes on. The
library (a quarter of a second) is imported with the first one. The same invoice gives the same bytes, whenever it is drawn.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from services.billing.invoices.models import Invoice, InvoiceLine
from services.billing.invoices.rules import in_words
from shared.errors import UnavailableError
from shared.money import format_vnd
from shared.web.i18n import Translate, show_date, translator

if TYPE_CHECKING:
    from fpdf import FPDF

MEDIA_TYPE = "application/pdf"
FAMILY = "Be Vietnam Pro"
MARGIN, WIDTH = 18, 174  # millimetres of an A4 page
LINE = 5.5
SUMS = 55  # what stands below the table stands together
HEADINGS = ("Description", "Quantity", "Unit price", "VAT", "Amount")
#: Who comes when so many are waiting is asked to come back: a second of work is before them.
MOST_WAITING = 40


class InvoicePrinter:
    """Draws invoices for a process's pages. ``words``: English → Vietnamese (``shared.web.i18n``)."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self._turn = asyncio.Semaphore(1)
        self._inside = 0

    async def answer(
        self, invoice: Invoice, lines: Sequence[InvoiceLine], language: str
    ) -> Response:
        """The file, to be shown in the browser. Raises :class:`UnavailableError` when too many are waiting."""
        if self._inside > MOST_WAITING:
            raise UnavailableError(
                "Many invoices are being drawn", slug="busy", headers={"Retry-After": "5"}
            )
        self._inside += 1
        try:
            async with self._turn:
                body = await asyncio.to_thread(
                    draw, invoice, lines, language, translator(self._words, language)
                )
        finally:
            self._inside -= 1
        name = f"{invoice.agency}-{invoice.document}.pdf"
        return Response(
            body,
            media_type=MEDIA_TYPE,
            headers={
                "Content-Disposition": f'inline; filename="{name}"',
                "Cache-Control": "private, no-store",
            },
        )


def draw(invoice: Invoice, lines: Sequence[InvoiceLine], language: str, say: Translate) -> bytes:
    """The PDF file."""
    paper = _Paper(invoice, language, say)
    paper.head()
    paper.lines(lines)
    paper.sums(lines)
    paper.notice()
    return paper.file()


def vat_words(basis_points: int | None, say: Translate, language: str) -> str:
    """``8%``, ``0%`` or, without a rate, that it is exempt (which is not 0 %)."""
    if basis_points is None:
        return say("Not subject to VAT")
    percent = f"{basis_points / 100:g}"
    return f"{percent.replace('.', ',') if language == 'vi' else percent}%"


def money_words(amount: int, currency: str, language: str) -> str:
    """``59.000 ₫``; another currency in its smallest unit, with its code."""
    return format_vnd(amount, language) if currency == "VND" else f"{amount} {currency}"


@cache
def _font_files() -> tuple[Path, Path]:
    """Upright and semibold."""
    import fontpkg_be_vietnam_pro

    folder = Path(fontpkg_be_vietnam_pro.__file__).parent / "files"
    return folder / "BeVietnamPro-Regular.ttf", folder / "BeVietnamPro-SemiBold.ttf"


@cache
def _letters() -> frozenset[int]:
    """The characters that the font has."""
    from fontTools.ttLib import TTFont

    with TTFont(_font_files()[0], lazy=True) as font:
        return frozenset(font.getBestCmap())


def printable(words: str) -> str:
    """``words`` composed (NFC), with ``?`` for what the font has no letter for."""
    composed = unicodedata.normalize("NFC", " ".join(words.split()))
    return "".join(letter if ord(letter) in _letters() else "?" for letter in composed)


class _Paper:
    """One invoice being drawn, from the top down."""

    def __init__(self, invoice: Invoice, language: str, say: Translate) -> None:
        from fpdf import FPDF

        self._invoice, self._language, self._say = invoice, language, say
        self._pdf: FPDF = FPDF(format="A4")
        regular, semibold = _font_files()
        self._pdf.add_font(FAMILY, "", regular)
        self._pdf.add_font(FAMILY, "B", semibold)
        self._pdf.set_margins(MARGIN, MARGIN)
        self._pdf.set_auto_page_break(True, MARGIN)
        self._pdf.set_title(f"{say('Receipt')} {invoice.document}")
        self._pdf.set_author(printable(invoice.seller_name))
        self._pdf.set_lang(language)
        self._pdf.set_creation_date(invoice.issued_at)
        self._pdf.add_page()

    def _font(self, size: float, *, bold: bool = False, muted: bool = False) -> None:
        self._pdf.set_font(FAMILY, "B" if bold else "", size)
        self._pdf.set_text_color(91 if muted else 20)

    def _text(
        self, words: str, *, align: str = "L", width: float = WIDTH, high: float = LINE
    ) -> None:
        self._pdf.multi_cell(
            width, high, printable(words), align=align, new_x="LMARGIN", new_y="NEXT"
        )

    def _fact(self, name: str, value: str) -> None:
        """A name and, beside it, its value, which may take several lines."""
        self._font(10, muted=True)
        self._pdf.cell(40, LINE, printable(name))
        self._font(10)
        self._pdf.multi_cell(
            WIDTH - 40, LINE, printable(value), align="L", new_x="LMARGIN", new_y="NEXT"
        )

    def head(self) -> None:
        """Seller, title, number, dates, buyer."""
        invoice, say = self._invoice, self._say
        self._font(13, bold=True)
        self._text(invoice.seller_name, high=7)
        self._pdf.ln(6)
        self._font(20, bold=True)
        self._text(say("Receipt"), align="C", high=10)
        self._font(11)
        self._text(say("No. {number}", number=invoice.document), align="C")
        self._pdf.ln(6)
        self._fact(say("Date"), show_date(invoice.issued_on, self._language))
        if invoice.paid_on != invoice.issued_on:
            self._fact(say("Paid on"), show_date(invoice.paid_on, self._language))
        self._fact(say("Buyer"), invoice.buyer_name or invoice.buyer_email)
        if invoice.buyer_name:
            self._fact(say("E-mail address"), invoice.buyer_email)
        self._pdf.ln(5)

    def lines(self, lines: Sequence[InvoiceLine]) -> None:
        """The table of what was sold; its heading comes again on every page."""
        from fpdf.fonts import FontFace

        say = self._say
        self._font(9)
        self._pdf.set_draw_color(200)
        with self._pdf.table(
            width=WIDTH,
            col_widths=(56, 18, 30, 40, 30),
            text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT", "RIGHT"),
            borders_layout="HORIZONTAL_LINES",
            headings_style=FontFace(emphasis="BOLD"),
            line_height=LINE,
            padding=(1.2, 1),
        ) as table:
            table.row([say(title) for title in HEADINGS])
            for line in lines:
                table.row(
                    [
                        self._described(line),
                        str(line.quantity),
                        self._money(line.unit_gross_vnd),
                        vat_words(line.vat_basis_points, say, self._language),
                        self._money(line.gross_vnd),
                    ]
                )
        self._pdf.ln(4)

    def _described(self, line: InvoiceLine) -> str:
        words = printable(line.description(self._language))
        if line.period_from is None or line.period_until is None:
            return words
        return f"{words}\n{self._period(line.period_from, line.period_until)}"

    def _period(self, first: date, until: date) -> str:
        last = until - timedelta(days=1)
        days = [show_date(day, self._language) for day in (first, last)]
        return " – ".join(dict.fromkeys(days))

    def _money(self, amount: int) -> str:
        return money_words(amount, self._invoice.currency, self._language)

    def sums(self, lines: Sequence[InvoiceLine]) -> None:
        """Net, tax, total, and the total in words where it is đồng and Vietnamese."""
        invoice, say = self._invoice, self._say
        if self._pdf.will_page_break(SUMS):
            self._pdf.add_page()
        exempt = all(line.vat_treatment == "exempt" for line in lines)
        vat = say("Not subject to VAT") if exempt else self._money(invoice.vat_vnd)
        self._sum(say("Before VAT"), self._money(invoice.net_vnd))
        self._sum(say("VAT"), vat)
        self._sum(say("Total"), self._money(invoice.gross_vnd), bold=True)
        if invoice.currency == "VND" and self._language == "vi":
            self._pdf.ln(2)
            self._font(10)
            self._text(say("In words: {amount}", amount=in_words(invoice.gross_vnd)))

    def _sum(self, name: str, value: str, *, bold: bool = False) -> None:
        self._font(11 if bold else 10, bold=bold)
        self._pdf.cell(WIDTH - 60, 6.5, printable(name), align="R")
        self._pdf.cell(60, 6.5, value, align="R", new_x="LMARGIN", new_y="NEXT")

    def notice(self) -> None:
        self._pdf.ln(8)
        self._font(9, muted=True)
        self._text(
            self._say(
                "Paid in full. This receipt confirms the payment; it is not the electronic invoice that the rules on invoices ask for."
            )
        )

    def file(self) -> bytes:
        return bytes(self._pdf.output())
