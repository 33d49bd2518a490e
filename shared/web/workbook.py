"""XLSX files, written by a process of their own: thousands of rows are seconds of work that no event loop has.

Excel computes with 15 significant digits; no amount of ours has more that are not zero (``shared.money.MAX_AMOUNT``).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

from starlette.responses import Response

from shared.apart import Apart, TooMuchWorkError
from shared.errors import UnavailableError
from shared.web.spreadsheet import download_headers

PROGRAM = Path(__file__).with_name("workbook_writer.py")
MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
#: Three seconds of work and some 70 MiB (``shared.apart`` ends what takes ten seconds or 512 MiB); a CSV file has no such limit.
MAX_ROWS = 20_000
MAX_CELL = 32_767  # Excel's own limit, in characters


class Column(NamedTuple):
    """A heading in the reader's language, what is below it, and how wide it is in characters."""

    title: str
    kind: Literal["text", "amount", "day"]
    width: int = 14


class Workbooks:
    """Writes workbooks of one sheet, two at a time and one for each agency."""

    def __init__(self) -> None:
        self._apart = Apart("-I", str(PROGRAM))

    async def answer(
        self,
        file_name: str,
        sheet: str,
        columns: Sequence[Column],
        rows: Sequence[Sequence[object]],
        *,
        agency: str,
    ) -> Response:
        """A whole file as a download: dates are dates, amounts numbers, everything else text.

        ``sheet``: at most 31 characters, none of ``[]:*?/\\``. Raises ``ValueError`` for more than :data:`MAX_ROWS` rows, and
        :class:`UnavailableError` when too many are being written.
        """
        if len(rows) > MAX_ROWS:
            raise ValueError(f"{len(rows)} rows are more than {MAX_ROWS}")
        kinds = [column.kind for column in columns]
        content = {
            "sheet": sheet,
            "columns": columns,
            "rows": [
                [_cell(kind, value) for kind, value in zip(kinds, row, strict=True)] for row in rows
            ],
        }
        try:
            encoded = await asyncio.to_thread(json.dumps, content)
            body = await self._apart.run(encoded.encode(), agency=agency)
        except TooMuchWorkError:
            raise UnavailableError("The workbook could not be written in time") from None
        return Response(body, media_type=MEDIA_TYPE, headers=download_headers(file_name))


def _cell(kind: str, value: object) -> str | int:
    if kind == "amount":
        assert isinstance(value, int)
        return value
    if kind == "day":
        assert isinstance(value, date)
        return value.isoformat()
    return str(value).replace("\x00", "")[:MAX_CELL]
