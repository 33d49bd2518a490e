"""docs/metrics.md: every Prometheus metric, read from where it is defined (without running anything)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.docs.source import cell, module_name, python_files

KINDS = {
    "Counter": "counter",
    "Gauge": "gauge",
    "Measured": "gauge",
    "Histogram": "histogram",
    "Summary": "summary",
    "Info": "info",
    "GaugeMetricFamily": "gauge",
    "CounterMetricFamily": "counter",
}
PREFIX = "press_"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: where it is defined, and what its help says."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]
    module: str


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _labels(call: ast.Call) -> tuple[str, ...]:
    candidates = [
        *call.args[2:3],
        *(k.value for k in call.keywords if k.arg in ("labelnames", "labels")),
    ]
    for node in candidates:
        if isinstance(node, ast.List | ast.Tuple):
            return tuple(_text(item) for item in node.elts)
    return ()


def metrics_in(parsed: ast.Module, module: str) -> Iterator[Metric]:
    """Metrics made by prometheus-client's classes, and tables ``{"press_…": "help"}`` of an exporter."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            name = _text(node.args[0])
            if called in KINDS and name:
                meaning = _text(node.args[1]) if len(node.args) > 1 else ""
                yield Metric(name, KINDS[called], meaning, _labels(node), module)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if _text(key).startswith(PREFIX) and " " in _text(value):
                    yield Metric(_text(key), "gauge", _text(value), (), module)


def all_metrics(paths: list[Path] | None = None) -> list[Metric]:
    """By module, then in the order of their definition."""
    found: dict[str, Metric] = {}
    for path in paths or list(python_files()):
        for metric in metrics_in(ast.parse(path.read_text(encoding="utf-8")), module_name(path)):
            found.setdefault(metric.name, metric)
    return list(found.values())


def metrics_page() -> str:
    """The whole document."""
    lines = [
        "<!-- Generated: python -m infra.docs -->",
        "# Metrics",
        "",
        "Each process serves its own at `/metrics` (bearer token `SCRAPE_TOKEN`); the money series come from the "
        "metrics layer's exporter only.",
        "",
    ]
    module = ""
    for metric in all_metrics():
        if metric.module != module:
            module = metric.module
            lines += [
                "",
                f"## {module}",
                "",
                "| metric | type | labels | meaning |",
                "|---|---|---|---|",
            ]
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {cell(metric.meaning)} |")
    return "\n".join(lines) + "\n"
