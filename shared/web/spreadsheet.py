"""CSV files that a spreadsheet opens as they are meant: in columns, in Vietnamese, and without one formula of a stranger.

Excel with Vietnamese settings takes the semicolon as separator and UTF-8 only after a byte-order mark. Every cell is
quoted, so that no content ends a cell; a text that a spreadsheet would take for a formula gets an apostrophe before it
(OWASP, "CSV injection"; full-width signs count, since Excel folds them).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.responses import Response

BYTE_ORDER_MARK = "\ufeff"
MEDIA_TYPE = "text/csv; charset=utf-8"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "﹢", "﹣", "﹦", "﹫")


def safe_cell(value: object) -> str:
    """A cell's text; numbers stay numbers. Words that begin like a formula, also after blanks, begin with ``'``."""
    if isinstance(value, int):
        return str(value)
    words = str(value).replace("\x00", "")
    dangerous = words.startswith(_FORMULA) or words.lstrip().startswith(_FORMULA)
    return f"'{words}" if dangerous else words


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Rows as text, without the byte-order mark: a file begins with ``BYTE_ORDER_MARK`` once."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([[safe_cell(cell) for cell in row] for row in rows])
    return out.getvalue()


def download_headers(file_name: str) -> dict[str, str]:
    """``file_name``: plain ASCII of our own making."""
    return {
        "Content-Disposition": f'attachment; filename="{file_name}"',
        "Cache-Control": "private, no-store",
    }


def csv_answer(file_name: str, rows: Iterable[Sequence[object]]) -> Response:
    """A whole file as a download."""
    return Response(
        BYTE_ORDER_MARK + csv_lines(rows),
        media_type=MEDIA_TYPE,
        headers=download_headers(file_name),
    )
