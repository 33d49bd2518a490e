"""Stripe events as large as life: ``invoice.paid`` of a renewal, with the fields of the API of 2025 and later."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

PRICE_VND = 59_000
_AMOUNTS = (
    "amount_due", "amount_paid", "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax",
)  # fmt: skip
_EMPTY = (
    "account_tax_ids", "application", "automatically_finalizes_at", "confirmation_secret",
    "custom_fields", "customer_address", "customer_name", "customer_phone", "customer_shipping",
    "default_payment_method", "default_source", "description", "due_date", "ending_balance",
    "footer", "from_invoice", "last_finalization_error", "latest_revision", "next_payment_attempt",
    "on_behalf_of", "rendering", "shipping_cost", "shipping_details", "statement_descriptor",
    "test_clock", "webhooks_delivered_at",
)  # fmt: skip


def invoice_paid(number: str, subscription: str, start: datetime, end: datetime) -> bytes:
    """The event's bytes. ``number`` makes the event and its invoice; the subscription is ``sub_<subscription>``."""
    invoice = _invoice(number, subscription, int(start.timestamp()), int(end.timestamp()))
    return msgspec.json.encode(
        {
            "id": f"evt_{number}",
            "object": "event",
            "api_version": "2026-06-24",
            "created": int(start.timestamp()),
            "data": {"object": invoice},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": "invoice.paid",
        }
    )


def _invoice(number: str, subscription: str, start: int, end: int) -> dict[str, Any]:
    return {
        "id": f"in_{number}",
        "object": "invoice",
        **dict.fromkeys(_AMOUNTS, PRICE_VND),
        **dict.fromkeys(_EMPTY),
        "account_country": "VN",
        "account_name": "Báo Đo Tốc",
        "amount_overpaid": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "attempt_count": 1,
        "attempted": True,
        "auto_advance": False,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "status": None},
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": start,
        "currency": "vnd",
        "customer": f"cus_sub_{subscription}",
        "customer_email": f"{subscription}@example.vn",
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "discounts": [],
        "effective_at": start,
        "hosted_invoice_url": f"https://invoice.example/i/{number}",
        "invoice_pdf": f"https://invoice.example/i/{number}/pdf",
        "issuer": {"type": "self"},
        "lines": {
            "object": "list",
            "data": [_line(number, subscription, start, end)],
            "has_more": False,
            "total_count": 1,
            "url": f"/v1/invoices/in_{number}/lines",
        },
        "livemode": False,
        "metadata": {},
        "number": f"{number[:8].upper()}-0002",
        "parent": _parent(subscription),
        "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": ["card"],
        },
        "period_end": end,
        "period_start": start,
        "starting_balance": 0,
        "status": "paid",
        "status_transitions": {
            "finalized_at": start, "marked_uncollectible_at": None, "paid_at": start, "voided_at": None,
        },
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    }  # fmt: skip


def _parent(subscription: str) -> dict[str, Any]:
    details = {"metadata": {}, "subscription": f"sub_{subscription}"}
    return {
        "quote_details": None,
        "subscription_details": details,
        "type": "subscription_details",
    }


def _line(number: str, subscription: str, start: int, end: int) -> dict[str, Any]:
    item = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": f"sub_{subscription}",
        "subscription_item": f"si_{subscription}",
    }
    return {
        "id": f"il_{number}",
        "object": "line_item",
        "amount": PRICE_VND,
        "currency": "vnd",
        "description": f"1 × Đọc báo không giới hạn (at {PRICE_VND} ₫ / month)",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": f"in_{number}",
        "livemode": False,
        "metadata": {},
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": item,
            "type": "subscription_item_details",
        },
        "period": {"end": end, "start": start},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": "price_month", "product": "prod_doc_bao"},
            "type": "price_details",
            "unit_amount_decimal": str(PRICE_VND),
        },
        "quantity": 1,
        "subtotal": PRICE_VND,
        "taxes": [],
    }
