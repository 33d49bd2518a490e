"""Operational metrics every process has. Money is never in here: see ``shared.metrics``.

Names and meanings are in ``docs/metrics.md``; a test fails when one is missing there.
"""

from __future__ import annotations

from shared.telemetry.families import Counter, Gauge, Histogram, Measured

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

HTTP_REQUESTS = Counter(
    "press_http_requests_total",
    "HTTP requests; a method of no route here is other",
    ["service", "route", "method", "status"],
)
HTTP_SECONDS = Histogram(
    "press_http_request_seconds", "Time to answer", ["service", "route"], buckets=LATENCY_BUCKETS
)
SECURITY_EVENTS = Counter(
    "press_security_events_total",
    "What was tried and refused, by event (docs/security/events.md)",
    ["event", "service"],
)
OUTBOX_PUBLISHED = Counter("press_outbox_published_total", "Events published", ["service"])
OUTBOX_WAITING = Measured("press_outbox_waiting", "Events not yet published", ["service"])
OUTBOX_AGE = Measured(
    "press_outbox_age_seconds", "Age of the oldest unpublished event", ["service"]
)
OUTBOX_REFUSED = Measured(
    "press_outbox_refused", "Events the bus refuses, set aside and offered again", ["service"]
)
OUTBOX_REPUBLISHING = Measured(
    "press_outbox_republishing", "Published events that wait to be published once more", ["service"]
)
STREAM_PRESENT = Measured(
    "press_stream_present", "1 when the stream exists, else 0", ["service", "stream"]
)
STREAM_FORGOT = Counter(
    "press_stream_forgot_total",
    "Times a stream was found without events it had confirmed",
    ["service", "stream"],
)
OUTBOX_REPUBLISHED = Counter(
    "press_outbox_republished_total",
    "Events taken for another publication because their stream had lost them",
    ["service", "stream"],
)
CONSUMED = Counter(
    "press_consumer_messages_total",
    "Messages by outcome: ok, duplicate, retried, dead_letter",
    ["consumer", "outcome"],
)
CONSUMER_PRESENT = Measured(
    "press_consumer_present", "1 when the consumer and its stream exist, else 0", ["consumer"]
)
CONSUMER_LAG = Measured("press_consumer_lag", "Messages not yet handled", ["consumer"])
CONSUMER_STALLED = Measured(
    "press_consumer_stalled_seconds",
    "How long messages have waited without the oldest being handled; 0 when none waits",
    ["consumer"],
)
DEAD_LETTERS = Measured("press_dead_letters", "Dead letters not yet replayed", ["consumer"])
INVARIANT_VIOLATIONS = Measured(
    "press_invariant_violations",
    "Things that must never be and are, by invariant; 0 is right",
    ["service", "invariant"],
)
LOOP_FAILURES = Counter("press_loop_failures_total", "Rounds of a loop that failed", ["loop"])
LOOP_SUCCESS = Gauge(
    "press_loop_last_success_timestamp_seconds",
    "When a loop last did its work, or was first started",
    ["loop"],
    across="min",
)
LOOP_LIMIT = Gauge(
    "press_loop_limit_seconds", "The age of the last success from which a loop is failing", ["loop"]
)
DEPENDENCY_UP = Gauge(
    "press_dependency_up",
    "Whether a process's readiness check of a dependency (database, bus) passed at this very scrape",
    ["service", "dependency"],
    across="mostrecent",
)
