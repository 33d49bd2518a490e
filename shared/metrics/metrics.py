"""The layer's own operational metrics (money is in ``exporter``)."""

from __future__ import annotations

from shared.telemetry.families import Gauge, Histogram

SNAPSHOT_UP = Gauge(
    "press_revenue_snapshot_up",
    "1 when the last scrape could read the figures, else 0",
    across="mostrecent",
)
SNAPSHOT_SECONDS = Histogram(
    "press_revenue_snapshot_seconds",
    "Time to read and render the money series",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
