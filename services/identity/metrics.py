"""Operational metrics of identity. Meanings are in ``docs/metrics.md``."""

from __future__ import annotations

from shared.telemetry.families import Counter

SIGN_INS = Counter(
    "press_identity_sign_ins_total",
    "Tries of passwords and codes by outcome: ok, refused, locked, network_limited",
    ["outcome"],
)
INTROSPECTIONS = Counter(
    "press_identity_introspections_total",
    "Introspections by kind (session, key) and outcome (active, inactive)",
    ["kind", "outcome"],
)
PROVIDER_ANSWERS = Counter(
    "press_identity_provider_answers_total",
    "Answers of the OpenID provider by outcome: ok, declined, unavailable, refused (they prove nothing), unexpected (no browser "
    "of ours was sent for them)",
    ["outcome"],
)
