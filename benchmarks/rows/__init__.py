"""One module a row of the table: ``run(folder, say, seconds=…)`` measures and gives its results."""

from __future__ import annotations

from benchmarks.rows import ads, billing, books, exporter, group_commit, paywall, pipeline, stack

ROWS = {
    "paywall": paywall.run,
    "ads": ads.run,
    "billing": billing.run,
    "books": books.run,
    "pipeline": pipeline.run,
    "exporter": exporter.run,
    "group-commit": group_commit.run,
    "stack": stack.run,
}
