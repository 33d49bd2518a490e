"""One module a row of the table: ``run(folder, say, seconds=…)`` measures and gives its results."""

from __future__ import annotations

from benchmarks.rows import ads, paywall, pipeline

ROWS = {"paywall": paywall.run, "ads": ads.run, "pipeline": pipeline.run}
