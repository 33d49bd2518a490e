"""The rows of a page as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal

from fastapi.responses import Response, StreamingResponse

from shared.web.spreadsheet import BYTE_ORDER_MARK, MEDIA_TYPE, csv_lines, download_headers
from shared.web.workbook import MAX_ROWS, Column, Workbooks

FileForm = Literal["csv", "xlsx"]
Chunks = AsyncIterator[list[Sequence[object]]]


class Downloads:
    """CSV as long as it takes, a chunk at a time; XLSX of up to ``most`` rows, made in a process of its own."""

    def __init__(self, most: int = MAX_ROWS) -> None:
        self.most = most
        self._workbooks = Workbooks()

    async def answer(
        self,
        form: FileForm,
        name: str,
        sheet: str,
        columns: Sequence[Column],
        chunks: Chunks,
        *,
        agency: str,
    ) -> Response | None:
        """The file ``name`` with its ending; None for a workbook of too many rows. Columns have their titles translated."""
        if form == "csv":
            return StreamingResponse(
                _as_csv(columns, chunks),
                media_type=MEDIA_TYPE,
                headers=download_headers(f"{name}.csv"),
            )
        rows: list[Sequence[object]] = []
        async for chunk in chunks:
            rows += chunk
            if len(rows) > self.most:
                return None
        return await self.workbook(name, sheet, columns, rows, agency=agency)

    async def workbook(
        self,
        name: str,
        sheet: str,
        columns: Sequence[Column],
        rows: Sequence[Sequence[object]],
        *,
        agency: str,
    ) -> Response:
        return await self._workbooks.answer(f"{name}.xlsx", sheet, columns, rows, agency=agency)


async def _as_csv(columns: Sequence[Column], chunks: Chunks) -> AsyncIterator[str]:
    yield BYTE_ORDER_MARK + csv_lines([[column.title for column in columns]])
    async for chunk in chunks:
        yield csv_lines(chunk)
