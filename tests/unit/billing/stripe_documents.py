"""Stripe's objects as its API shows them, and the facts they are."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from services.billing.payments.adapters.port import (
    Captured,
)
from services.billing.payments.method import Method

CHARGE = UUID(int=1)
METADATA = {"agency": "bao-thu", "charge": str(CHARGE)}
CREATED, ASKED, BOOKED = 1_790_000_000, 1_790_000_100, 1_790_400_000

CARD: dict[str, Any] = {
    "id": "pm_1",
    "type": "card",
    "customer": "cus_1",
    "card": {"brand": "visa", "last4": "4242", "exp_month": 2, "exp_year": 2028},
}
DEBIT: dict[str, Any] = {
    "id": "pm_2",
    "type": "sepa_debit",
    "customer": "cus_1",
    "sepa_debit": {"last4": "3204"},
}
VISA = Method("cus_1", "pm_1", "Visa •••• 4242", date(2028, 2, 29))
INTENT: dict[str, Any] = {
    "id": "pi_1",
    "status": "succeeded",
    "metadata": METADATA,
    "amount": 60_000,
    "amount_received": 59_000,
    "currency": "vnd",
    "created": CREATED,
    "customer": "cus_1",
    "payment_method": CARD,
    "setup_future_usage": "off_session",
    "last_payment_error": None,
    "latest_charge": {
        "id": "ch_1",
        "created": ASKED,
        "payment_method_details": {"type": "card"},
        "balance_transaction": {"id": "txn_1", "created": BOOKED},
    },
}
SESSION: dict[str, Any] = {
    "id": "cs_1",
    "mode": "payment",
    "metadata": METADATA,
    "status": "complete",
    "payment_status": "paid",
    "url": None,
    "payment_intent": INTENT,
    "setup_intent": None,
}
SETUP: dict[str, Any] = {"id": "seti_1", "status": "succeeded", "payment_method": CARD}
REFUND: dict[str, Any] = {
    "id": "re_1",
    "payment_intent": "pi_1",
    "charge": "ch_1",
    "amount": 19_000,
    "currency": "vnd",
    "status": "succeeded",
    "created": CREATED,
    "balance_transaction": {"id": "txn_2", "created": ASKED},
    "failure_balance_transaction": {"id": "txn_3", "created": BOOKED},
}
DISPUTE: dict[str, Any] = {
    "id": "du_1",
    "payment_intent": "pi_1",
    "charge": "ch_1",
    "amount": 59_000,
    "currency": "vnd",
    "status": "needs_response",
    "created": CREATED,
    "balance_transactions": [{"amount": -59_000, "fee": 350_000, "currency": "vnd"}],
}
PAYOUT: dict[str, Any] = {
    "id": "po_1",
    "amount": 57_289,
    "currency": "vnd",
    "status": "in_transit",
    "arrival_date": 1_790_035_200,
}


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


CAPTURED = Captured(CHARGE, "pi_1", 59_000, "VND", at(ASKED), VISA)


def without(document: dict[str, Any], *path: str) -> dict[str, Any]:
    changed = deepcopy(document)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return changed
