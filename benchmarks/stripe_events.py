"""Stripe events as large as life: ``payment_intent.succeeded`` of a card that was charged for a renewal, with all the fields such an
event has."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.billing.payments.adapters.stripe_shapes import API_VERSION

PRICE_VND = 59_000
TYPE = "payment_intent.succeeded"
_EMPTY = (
    "application", "application_fee_amount", "automatic_payment_methods", "canceled_at", "cancellation_reason",
    "excluded_payment_method_types", "last_payment_error", "next_action", "on_behalf_of", "payment_details",
    "payment_method_configuration_details", "processing", "receipt_email", "review", "setup_future_usage", "shipping",
    "source", "statement_descriptor", "statement_descriptor_suffix", "transfer_data", "transfer_group",
)  # fmt: skip


def renewal_paid(
    number: str, charge: UUID, customer: str, method: str, at: datetime, **changes: Any
) -> bytes:
    """The event's bytes: ``evt_<number>`` says that ``pi_<number>`` went through for our ``charge``. ``changes``: of the intent."""
    second = int(at.timestamp())
    intent = {
        "id": f"pi_{number}",
        "object": "payment_intent",
        **dict.fromkeys(_EMPTY),
        "amount": PRICE_VND,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": PRICE_VND,
        "capture_method": "automatic_async",
        "client_secret": f"pi_{number}_secret_0123456789abcdefghijklmno",
        "confirmation_method": "automatic",
        "created": second,
        "currency": "vnd",
        "customer": customer,
        "customer_account": None,
        "description": "Đọc báo không giới hạn",
        "latest_charge": f"ch_{number}",
        "livemode": False,
        "metadata": {"agency": "bao-do-toc", "charge": str(charge), "kind": "mandate"},
        "payment_method": method,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "status": "succeeded",
        **changes,
    }
    return msgspec.json.encode(
        {
            "id": f"evt_{number}",
            "object": "event",
            "api_version": API_VERSION,
            "created": second,
            "data": {"object": intent},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": f"req_{number[:14]}", "idempotency_key": f"charge:{charge}:0"},
            "type": TYPE,
        }
    )
