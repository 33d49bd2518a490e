"""Operational metrics of ads. Money is never in here: see ``shared.metrics``."""

from __future__ import annotations

from shared.telemetry.families import Counter, Gauge

DECISIONS = Counter(
    "press_ads_decisions_total",
    "Placements decided, by outcome: guaranteed, house, empty",
    ["outcome"],
)
COUNTED = Counter(
    "press_ads_counted_total",
    "Impressions, viewable pings and clicks by outcome: counted, duplicate, forged, expired, bot, shed",
    ["kind", "outcome"],
)
LEASES = Counter("press_ads_leases_total", "Leases granted to this process")
LEASED_UNITS = Counter("press_ads_leased_units_total", "Impressions leased by this process")
PLAN_LINES = Gauge(
    "press_ads_plan_lines",
    "Lines in the delivery plan (of the process with the fewest)",
    across="min",
)
PLAN_AGE = Gauge(
    "press_ads_plan_read_timestamp_seconds",
    "When the delivery plan was last read (by the process for which that is longest ago)",
    across="min",
)
LINES_EXPIRED = Counter("press_ads_holds_expired_total", "Holds that ran out")
REVENUE_POSTED = Counter("press_ads_revenue_postings_total", "Revenue postings recorded")
