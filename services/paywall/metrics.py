"""Operational metrics of the paywall. Names and meanings are in ``README.md``."""

from __future__ import annotations

from shared.telemetry.families import Counter, Gauge, Histogram
from shared.telemetry.metrics import LATENCY_BUCKETS

DECISIONS = Counter(
    "press_paywall_decisions_total",
    "Decisions by reason and whether the article was granted",
    ["reason", "granted"],
)
DECISION_SECONDS = Histogram(
    "press_paywall_decision_seconds", "Time to answer a decision", buckets=LATENCY_BUCKETS
)
METER_BATCH = Histogram(
    "press_paywall_meter_batch_size",
    "Views counted by one commit",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
REFUSED_REQUESTS = Counter(
    "press_paywall_refused_requests_total",
    "Decision requests answered with a problem, by status",
    ["status"],
)
FALLBACKS = Counter(
    "press_paywall_fallbacks_total",
    "Decisions answered by the declared failure mode, by mode",
    ["mode"],
)
LATE_WAITING = Gauge(
    "press_paywall_late_views_waiting",
    "Views granted while the database was away and not yet counted",
    across="sum",
)
LATE_DROPPED = Counter(
    "press_paywall_late_views_dropped_total",
    "Views granted while the database was away that will not be counted: the queue was full",
)
MEMORY = Gauge(
    "press_paywall_memory_entries",
    "Entries a process keeps in memory (the largest of several), by kind",
    ["kind"],
)
