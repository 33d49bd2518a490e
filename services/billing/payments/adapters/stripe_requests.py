"""What we ask of Stripe, in its parameters. Pure.

Đồng is counted without decimals: https://docs.stripe.com/currencies#zero-decimal
"""

from __future__ import annotations

from typing import Any

from services.billing.payments.adapters.port import MandateCharge, PageSpec
from services.billing.payments.adapters.stripe_shapes import MANDATE, PAYMENT_PARTS

CHARGED_IN = "vnd"


def page(spec: PageSpec) -> dict[str, Any]:
    """A Checkout Session (https://docs.stripe.com/api/checkout/sessions/create). ``expires_at`` must be 30 minutes to 24 hours
    away. Where the means is kept, it is kept with a customer: the known one, else a new one."""
    metadata = {"agency": spec.agency, "charge": str(spec.charge_id)}
    payer: dict[str, Any] = {"customer_email": spec.email} if spec.email else {}
    if spec.customer:
        payer = {"customer": spec.customer}
    elif spec.keeps or spec.amount_vnd == 0:
        payer["customer_creation"] = "always"
    return {
        "client_reference_id": str(spec.charge_id),
        "metadata": metadata,
        "success_url": spec.success_url,
        "cancel_url": spec.cancel_url,
        "locale": spec.language,
        "expires_at": int(spec.expires_at.timestamp()),
        **payer,
        **_purpose(spec, {"metadata": metadata, "description": spec.description}),
    }


def _purpose(spec: PageSpec, intent: dict[str, Any]) -> dict[str, Any]:
    """To pay, to pay and keep the means, or only to keep it."""
    if spec.amount_vnd == 0:
        return {"mode": "setup", "currency": CHARGED_IN, "setup_intent_data": intent}
    keeps = {"setup_future_usage": "off_session"} if spec.keeps else {}
    price = {
        "currency": CHARGED_IN,
        "unit_amount": spec.amount_vnd,
        "product_data": {"name": spec.description},
    }
    return {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "payment_intent_data": {**intent, **keeps},
    }


def charge(spec: MandateCharge) -> dict[str, Any]:
    """A payment intent that is confirmed at once, its holder away (https://docs.stripe.com/api/payment_intents/create)."""
    return {
        "amount": spec.amount_vnd,
        "currency": CHARGED_IN,
        "customer": spec.customer,
        "payment_method": spec.method,
        "description": spec.description,
        "metadata": {"agency": spec.agency, "charge": str(spec.charge_id), "kind": MANDATE},
        "confirm": True,
        "off_session": True,
        # Otherwise a return address is asked for, though nobody is there to return.
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "expand": list(PAYMENT_PARTS),
    }
