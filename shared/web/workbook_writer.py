"""The program that writes a workbook: JSON on standard input, an XLSX file on standard output (``shared.web.workbook``)."""

from __future__ import annotations

import io
import json
import sys
from datetime import date
from typing import Any

import xlsxwriter

#: A text stays a text: nothing a stranger wrote becomes a formula, a link or a number.
OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


def write(content: dict[str, Any]) -> bytes:
    """``sheet``, ``columns`` (title, kind ``text``, ``amount`` or ``day``, width in characters) and ``rows``."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, OPTIONS) as book:
        sheet = book.add_worksheet(content["sheet"])
        bold = book.add_format({"bold": True, "bottom": 1})
        formats = {
            "text": None,
            "amount": book.add_format({"num_format": "#,##0"}),
            "day": book.add_format({"num_format": "dd/mm/yyyy", "align": "left"}),
        }
        kinds = [kind for _, kind, _ in content["columns"]]
        for column, (title, kind, width) in enumerate(content["columns"]):
            sheet.set_column(column, column, width, formats[kind])
            sheet.write_string(0, column, title, bold)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, max(len(content["rows"]), 1), len(kinds) - 1)
        for number, row in enumerate(content["rows"], start=1):
            for column, (kind, value) in enumerate(zip(kinds, row, strict=True)):
                if kind == "amount":
                    sheet.write_number(number, column, value)
                elif kind == "day":
                    sheet.write_datetime(number, column, date.fromisoformat(value), formats["day"])
                else:
                    sheet.write_string(number, column, value)
    return out.getvalue()


if __name__ == "__main__":
    sys.stdout.buffer.write(write(json.load(sys.stdin.buffer)))
