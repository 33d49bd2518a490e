"""The report: figures from ``benchmarks/results/*.json`` beside their goals, as Markdown. No figure is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Document = dict[str, Any]
Measure = Literal["per_second", "p50_ms", "p99_ms", "ratio", "peak_mib"]
HIGHER_IS_BETTER: frozenset[Measure] = frozenset({"per_second", "ratio"})
LOAD = 32  # where a target was loaded in several ways, this one is held against the goal


@dataclass(frozen=True, slots=True)
class Goal:
    """What a target's figure must reach. ``compared``: the figure is another target's by this one's."""

    row: str
    target: str
    measure: Measure
    value: float
    compared: str = ""


_MIX, _COUNTS = "mix, {}", "counts (100 %), {}"
_ADS = "ad decision, one placement"
GOALS = (
    Goal("paywall decision, 2 processes", _MIX.format("2 processes"), "per_second", 15_000),
    Goal("paywall decision, 2 processes", _MIX.format("2 processes"), "p99_ms", 16),
    Goal("paywall decision, 1 process", _MIX.format("1 process"), "ratio", 0.5),
    Goal("paywall decision, 2 processes", _COUNTS.format("2 processes"), "per_second", 6_000),
    Goal("paywall decision, 2 processes", _COUNTS.format("2 processes"), "p99_ms", 10),
    Goal(_ADS, "100 live lines", "per_second", 10_000),
    Goal(_ADS, "10,000 live lines", "per_second", 1.3, compared="10 live lines"),
    Goal("impression, counted at most once", "impression counted once", "per_second", 6_000),
    Goal("Stripe webhook", "verified, stored, answered", "per_second", 7_000),
    Goal(
        "captured renewal applied in full",
        "books, subscription, right, invoice, receipt, outbox",
        "per_second",
        1_000,
    ),
    Goal("recognition of a day, 1,000,000 open schedules", "one day, booked", "p50_ms", 60_000),
    Goal("recognition of a day, 1,000,000 open schedules", "one day, booked", "peak_mib", 512),
    Goal("trial balance, journal of 10,000,000 lines", "a month", "p99_ms", 50),
    Goal("trial balance, journal of 10,000,000 lines", "from the beginning", "p99_ms", 50),
    Goal(
        "event: outbox commit → effect committed elsewhere",
        "sustained; p50/p99 when idle",
        "per_second",
        5_000,
    ),
    Goal(
        "event: outbox commit → effect committed elsewhere",
        "sustained; p50/p99 when idle",
        "p99_ms",
        50,
    ),
    Goal("exporter scrape, 1,000 agencies", "nothing changed", "p99_ms", 50),
    Goal("exporter scrape, 1,000 agencies", "20 agencies changed", "p99_ms", 50),
    Goal("whole local stack", "second start", "p50_ms", 4_000),
    Goal("whole local stack", "second start", "peak_mib", 550),
)
QUIET_LOAD = 1.0
DISTURBED = """**Disturbed**: the machine was doing other work during this run, or it is not known that it was not. Figures, and
to a lesser degree ratios, are worse than they would be; measure again on a quiet machine."""
_UNITS = {
    "per_second": "/s",
    "p50_ms": " ms",
    "p99_ms": " ms p99",
    "ratio": " × floor",
    "peak_mib": " MiB",
}


def figure(goal: Goal, results: Sequence[Document]) -> float | None:
    """The measured figure, or None where the row was not run."""
    found = _of(goal.target, goal, results)
    if found is None or not goal.compared:
        return None if found is None else float(found[goal.measure])
    other = _of(goal.compared, goal, results)
    return None if other is None else float(other[goal.measure]) / float(found[goal.measure])


def _of(target: str, goal: Goal, results: Sequence[Document]) -> Document | None:
    rows = [one for one in results if one["row"] == goal.row and one["target"] == target]
    return next((one for one in rows if one["connections"] == LOAD), rows[-1] if rows else None)


def verdict(goal: Goal, measured: float) -> str:
    """``reached``, or by how much it was missed."""
    more_is_better = goal.measure in HIGHER_IS_BETTER and not goal.compared
    if measured >= goal.value if more_is_better else measured <= goal.value:
        return "reached"
    share = measured / goal.value
    return f"**missed**: {share:.0%} of it" if more_is_better else f"**missed**: {share:.1f} × it"


def _shown(value: float, goal: Goal) -> str:
    if goal.compared:
        return f"{value:.2f} × the cost at {goal.compared}"
    digits = 2 if goal.measure == "ratio" else 1 if value < 1_000 and value % 1 else 0
    return f"{value:,.{digits}f}{_UNITS[goal.measure]}"


def goal_lines(results: Sequence[Document]) -> list[str]:
    lines = ["| row | what | goal | measured | |", "|---|---|---:|---:|---|"]
    for goal in GOALS:
        measured = figure(goal, results)
        if measured is None:
            continue
        sign = "≥" if goal.measure in HIGHER_IS_BETTER and not goal.compared else "≤"
        lines.append(
            f"| {goal.row} | {goal.target} | {sign} {_shown(goal.value, goal)} "
            f"| {_shown(measured, goal)} | {verdict(goal, measured)} |"
        )
    return lines


def figure_lines(results: Sequence[Document]) -> list[str]:
    lines = [
        "| row | what | load | /s | p50 ms | p99 ms | CPU µs | MiB | refused | × floor |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in results:
        cells = [
            one["row"], one["target"], str(one["connections"]), f"{one['per_second']:,.0f}",
            f"{one['p50_ms']:.2f}", f"{one['p99_ms']:.2f}", f"{one['cpu_us']:.0f}",
            f"{one['peak_mib']:.0f}", str(one["refused"]),
            "" if one["ratio"] is None else f"{one['ratio']:.2f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def read(folder: Path, names: Iterable[str]) -> list[Document]:
    """The documents of these rows, those that are there."""
    files = [folder / f"{name}.json" for name in names]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


PREFACE = """# Benchmarks

`make bench` measures everything below and writes `benchmarks/results/*.json`;
`python -m benchmarks --row paywall` measures one row (several `--row` are possible),
`python -m benchmarks --markdown docs/benchmarks.md` writes this file from the results.

Each row starts its own PostgreSQL (durable commits) and what else it needs on the loopback of one machine. Load comes from
another process (`wrk`, closed loops at 1, 8 and 32 connections, each request used once), after a warm-up; floor and ours
alternate three times; shown is the median, and the ratio is the median of the pairs. CPU is that of the server's processes,
without PostgreSQL. The floor of HTTP is raw ASGI in the same server that parses the body, checks an HMAC and answers JSON.
Everything shares the machine's processors: load, servers, database."""

REMARKS = """## How to read it

* A floor is what the machine gives for nothing: a row can be compared with another machine's only by its ratio.
* With two server processes on two processors, load and database take their share of the same two: floors do not double.
* Every granted decision of a browser carries a signed grant. A reader who returns to an article gets the grant of a moment
  ago; everyone else's is an Ed25519 signature of its own, which the floor does not have.
* "Refused" counts answers of 4xx and 5xx and broken connections."""


def quiet(documents: Sequence[Document]) -> bool:
    """Whether nothing else was running when each row's run began, as far as is known."""
    loads = [document["machine"].get("load_before") for document in documents]
    return all(load is not None and load < QUIET_LOAD for load in loads)


def markdown(documents: Sequence[Document]) -> str:
    """The whole of ``docs/benchmarks.md``."""
    results = [result for document in documents for result in document["results"]]
    machines = {
        (d["machine"]["processors"], d["machine"]["memory_gib"], d["machine"]["python"])
        for d in documents
    }
    where = "; ".join(f"{c} processors, {m} GiB of memory, Python {p}" for c, m, p in machines)
    when = max((d["measured_at"][:10] for d in documents), default="")
    notes = dict.fromkeys(f"* {r['row']}: {r['note']}." for r in results if r["note"])
    parts = [
        PREFACE,
        f"Last run: {when}, on {where}.",
        *([] if quiet(documents) else [DISTURBED]),
        "## Goals\n\n" + "\n".join(goal_lines(results)),
        "## Figures\n\n" + "\n".join(figure_lines(results)),
        "## Verified\n\n" + "\n".join(notes),
        REMARKS,
    ]
    return "\n\n".join(parts) + "\n"
