"""What is read quickly is read as the same by who knows all of Stripe's shapes."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stripe_events import renewal_paid
from services.billing.payments.adapters.port import (
    Captured,
    MalformedNotificationError,
)
from services.billing.payments.adapters.stripe_quick import renewal_told
from services.billing.payments.adapters.stripe_shapes import interpret
from services.billing.payments.method import Method

CHARGE, AT = UUID(int=1), datetime(2026, 12, 1, 3, tzinfo=UTC)
EVENT = json.loads(renewal_paid("1", CHARGE, "cus_1", "pm_1", AT))
#: Where a change matters: the path to a value.
PATHS = (
    ("type",), ("api_version",), ("created",), ("data",), ("data", "object"), ("data", "object", "id"),
    ("data", "object", "status"), ("data", "object", "metadata"), ("data", "object", "metadata", "charge"),
    ("data", "object", "metadata", "kind"), ("data", "object", "customer"), ("data", "object", "payment_method"),
    ("data", "object", "amount_received"), ("data", "object", "currency"), ("data", "object", "setup_future_usage"),
)  # fmt: skip
VALUES = (
    None, True, 0, -1, 1, 59_000.0, 10**16, 253_402_300_800, "", "x", "vnd", "USD", "mandate", "page", "processing", "canceled",
    str(CHARGE).upper(), CHARGE.hex, "{" + str(CHARGE) + "}", "pi 1", "é", "x" * 256, [], {}, {"id": "pm_2"},
    {"charge": str(CHARGE)}, {"charge": str(CHARGE), "kind": "mandate"}, "payment_intent.processing", "payout.paid",
    "2020-08-27", "off_session",
)  # fmt: skip


def slowly(payload: bytes) -> object:
    try:
        return interpret(json.loads(payload))
    except (MalformedNotificationError, ValueError):
        return None


def test_the_plain_word_is_read() -> None:
    payload = renewal_paid("1", CHARGE, "cus_1", "pm_1", AT)
    expected = Captured(CHARGE, "pi_1", 59_000, "VND", AT, Method("cus_1", "pm_1"))
    assert renewal_told(payload) == slowly(payload) == expected


@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from([*VALUES, "away"])), max_size=3))
def test_what_is_read_quickly_is_read_the_same(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    event = deepcopy(EVENT)
    for path, value in changes:
        place = event
        for name in path[:-1]:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            continue
        if value == "away":
            place.pop(path[-1], None)
        else:
            place[path[-1]] = deepcopy(value)  # it may become part of itself
    payload = json.dumps(event).encode()
    found = renewal_told(payload)
    assert found is None or found == slowly(payload)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 5_000])
def test_what_is_no_event_is_left(payload: bytes) -> None:
    assert renewal_told(payload) is None
