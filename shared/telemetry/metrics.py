"""Operational metrics every process has. Money is never in here: see ``shared.metrics``.

Names and meanings are in ``docs/metrics.md``; a test fails when one is missing there.
"""

from __future__ import annotations

from shared.telemetry.families import Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

HTTP_REQUESTS = Counter(
    "press_http_requests_total", "HTTP requests", ["service", "route", "method", "status"]
)
HTTP_SECONDS = Histogram(
    "press_http_request_seconds", "Time to answer", ["service", "route"], buckets=LATENCY_BUCKETS
)
OUTBOX_PUBLISHED = Counter("press_outbox_published_total", "Events published", ["service"])
OUTBOX_WAITING = Gauge("press_outbox_waiting", "Events not yet published", ["service"])
OUTBOX_AGE = Gauge("press_outbox_age_seconds", "Age of the oldest unpublished event", ["service"])
CONSUMED = Counter(
    "press_consumer_messages_total",
    "Messages by outcome: ok, duplicate, retried, dead_letter",
    ["consumer", "outcome"],
)
CONSUMER_LAG = Gauge("press_consumer_lag", "Messages not yet handled", ["consumer"])
DEAD_LETTERS = Gauge("press_dead_letters", "Dead letters not yet replayed", ["consumer"])
INVARIANT_VIOLATIONS = Gauge(
    "press_invariant_violations",
    "Things that must never be and are, by invariant; 0 is right",
    ["service", "invariant"],
)
LOOP_FAILURES = Counter("press_loop_failures_total", "Loops that failed and restarted", ["loop"])
