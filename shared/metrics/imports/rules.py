"""What the process that reads a file tells the one that asked, and how it is written: pure.

One line of JSON, and for a revenue file its rows after that, as PostgreSQL's COPY takes them (CSV, every cell quoted): whoever
asked hands them on and looks at none of them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from shared.metrics.baseline.rules import MonthAmount, ParsedBaseline
from shared.metrics.entries.rules import ParsedRevenue, RevenueRow
from shared.metrics.sheets import Problem, Words

#: The columns of ``import_row``, in the order in which rows are written.
COLUMNS = (
    *("import_id", "position", "number", "key", "first_on", "last_on", "segment", "stream"),
    *("payer", "law_source", "account", "amount", "document"),
)


@dataclass(frozen=True, slots=True)
class RevenueFile:
    """A revenue file that was read: how many rows, their sum, and the rows as COPY takes them."""

    rows: int
    total: int
    problems: tuple[Problem, ...]
    lines: bytes


def revenue_file(parsed: ParsedRevenue, import_id: UUID) -> RevenueFile:
    """Rows are kept only of a file without problems."""
    rows = () if parsed.problems else parsed.rows
    return RevenueFile(
        len(rows), sum(r.amount for r in rows), parsed.problems, _lines(rows, import_id)
    )


def _lines(rows: Iterable[RevenueRow], import_id: UUID) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
        (
            *(import_id, position, row.number, row.key, row.period.first, row.period.last),
            *(row.segment, row.stream, row.payer, row.law_source, row.account, row.amount),
            row.document,
        )
        for position, row in enumerate(rows, start=1)
    )
    return out.getvalue().encode()


def write_revenue(file: RevenueFile) -> bytes:
    head = {"rows": file.rows, "total": file.total, "problems": _plain(file.problems)}
    return json.dumps(head).encode() + b"\n" + file.lines


def read_revenue(answer: bytes) -> RevenueFile:
    head, _newline, lines = answer.partition(b"\n")
    told = json.loads(head)
    return RevenueFile(told["rows"], told["total"], _problems(told["problems"]), lines)


def write_baseline(parsed: ParsedBaseline) -> bytes:
    rows = [] if parsed.problems else [asdict(row) for row in parsed.rows]
    return json.dumps(
        {"year": parsed.year, "rows": rows, "problems": _plain(parsed.problems)}
    ).encode()


def read_baseline(answer: bytes) -> ParsedBaseline:
    told = json.loads(answer)
    rows = tuple(MonthAmount(**row) for row in told["rows"])
    return ParsedBaseline(told["year"], rows, _problems(told["problems"]))


def _plain(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    return [asdict(problem) | {"found": problem.found[:80]} for problem in problems]


def _problems(told: Sequence[dict[str, Any]]) -> tuple[Problem, ...]:
    return tuple(
        Problem(one["row"], one["column"], one["found"], Words(**one["expected"])) for one in told
    )
