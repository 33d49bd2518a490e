"""``make bench``: every row, a table, and the figures in ``benchmarks/results/``."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.harness import Result, require_wrk
from benchmarks.rows import ROWS

RESULTS = Path(__file__).with_name("results")
console = Console(width=150 if not os.isatty(1) else None)


def show(results: list[Result]) -> None:
    table = Table(title="Ours beside the floor, medians of three runs", header_style="bold")
    table.add_column("row", max_width=38)
    table.add_column("what", max_width=40)
    for name in ("load", "/s", "p50 ms", "p99 ms", "CPU µs", "MiB", "refused", "× floor"):
        table.add_column(name, justify="right")
    for result in results:
        table.add_row(
            result.row,
            result.target,
            str(result.connections),
            f"{result.per_second:,.0f}",
            f"{result.p50_ms:.2f}",
            f"{result.p99_ms:.2f}",
            f"{result.cpu_us:.0f}",
            f"{result.peak_mib:.0f}",
            str(result.refused),
            "" if result.ratio is None else f"{result.ratio:.2f}",
        )
    console.print(table)
    for note in dict.fromkeys(f"{r.row}: {r.note}" for r in results if r.note):
        console.print(f"verified  {note}")


def save(name: str, results: list[Result], load_before: float) -> None:
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processors": psutil.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30),
            "system": platform.platform(aliased=True, terse=True),
            "python": platform.python_version(),
            "load_before": round(load_before, 2),
        },
        "results": [asdict(result) for result in results],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main(
    row: Annotated[list[str] | None, typer.Option(help=f"Only this row: {', '.join(ROWS)}")] = None,
    seconds: Annotated[int, typer.Option(help="Length of one run")] = 1,
    markdown: Annotated[
        Path | None, typer.Option(help="Measure nothing: write the last results to this file")
    ] = None,
) -> None:
    """Measure. Each row starts its own PostgreSQL and NATS with durable commits, in a temporary folder."""
    if markdown is not None:
        markdown.write_text(report.markdown(report.read(RESULTS, ROWS)), encoding="utf-8")
        return
    require_wrk()
    load_before = os.getloadavg()[0]  # others' work: our own begins now
    results: list[Result] = []
    say: Callable[[str], None] = lambda line: console.print(f"[dim]{line}[/dim]")  # noqa: E731
    for name in row or list(ROWS):
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            found = ROWS[name](folder, say, seconds=seconds)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        save(name, found, load_before)
        results += found
    show(results)


if __name__ == "__main__":
    typer.run(main)
