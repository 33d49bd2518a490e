"""A program of its own (:mod:`shared.apart`): an uploaded file on the standard input, what it says on the output.

``revenue TODAY IMPORT_ID`` or ``baseline``. See ``imports.rules`` for the answer.
"""

from __future__ import annotations

import sys
from datetime import date
from uuid import UUID

from shared.metrics.baseline import rules as baseline
from shared.metrics.entries import rules as revenue
from shared.metrics.imports import rules


def main(kind: str, *arguments: str) -> None:
    content = sys.stdin.buffer.read()
    if kind == "revenue":
        today, import_id = arguments
        parsed = revenue.parse(content, date.fromisoformat(today))
        answer = rules.write_revenue(rules.revenue_file(parsed, UUID(import_id)))
    else:
        answer = rules.write_baseline(baseline.parse(content))
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
