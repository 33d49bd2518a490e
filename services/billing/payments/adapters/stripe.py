"""Stripe behind the port. The only file that imports its SDK.

The API version is pinned to the one the shapes were written for. Every creating call carries an idempotency key; the
SDK repeats a call of unknown outcome under that same key, and so do we.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import stripe

from services.billing.payments.adapters import stripe_shapes as shapes
from services.billing.payments.adapters.port import (
    CheckoutFacts,
    CheckoutSpec,
    Fact,
    HostedCheckout,
    MalformedNotificationError,
    Notification,
    PaidInvoice,
    PriceSpec,
    ProviderRefusedError,
    ProviderUnavailableError,
    RefundFacts,
    SubscriptionFacts,
)

API_VERSION = "2026-10-28.endive"
LIVE_KEYS = ("sk_live_", "rk_live_")
INTERVALS: dict[str, tuple[str, int]] = {
    "week": ("week", 1),
    "month": ("month", 1),
    "quarter": ("month", 3),
    "half_year": ("month", 6),
    "year": ("year", 1),
}


class StripeProvider:
    """One account at Stripe (or the sandbox)."""

    name = "stripe"

    def __init__(
        self,
        secret_key: str,
        *,
        api_base: str = "",
        timeout_seconds: float = 10.0,
        max_retries: int = 2,
        http_client: stripe.HTTPClient | None = None,
    ) -> None:
        if secret_key.startswith(LIVE_KEYS) and (api_base or http_client is not None):
            raise ValueError("a live Stripe key is never sent to another address than Stripe's")
        base = api_base.rstrip("/")
        self._switched_off = not secret_key and http_client is None
        self._http = http_client or stripe.HTTPXClient(timeout=timeout_seconds)
        self._client = stripe.StripeClient(
            secret_key or "sk_test_not_set",
            stripe_version=API_VERSION,
            base_addresses=(
                {"api": base, "files": base, "connect": base, "meter_events": base} if base else {}
            ),
            max_network_retries=max_retries,
            http_client=self._http,
        )

    async def _call(
        self, method: str, path: str, params: dict[str, Any] | None = None, key: str = ""
    ) -> dict[str, Any]:
        """One call. What Stripe decided is ``Refused``; what nobody knows is ``Unavailable``."""
        options: dict[str, Any] = {"idempotency_key": key} if key else {}
        if self._switched_off:
            raise ProviderRefusedError("no card payments here: STRIPE_SECRET_KEY is empty")
        try:
            answer = await self._client.raw_request_async(method, path, **(params or {}), **options)
        except (stripe.APIConnectionError, stripe.RateLimitError) as error:
            raise ProviderUnavailableError(str(error)) from error
        except stripe.StripeError as error:
            if error.http_status is None or error.http_status >= 500 or error.http_status == 409:
                raise ProviderUnavailableError(str(error)) from error
            raise ProviderRefusedError(str(error)) from error
        body: dict[str, Any] = answer.data
        return body

    async def ensure_price(self, price: PriceSpec) -> str:
        interval, count = INTERVALS[price.period]
        body = await self._call(
            "post",
            "/v1/prices",
            {
                "currency": price.currency.lower(),
                "unit_amount": price.amount_vnd,
                "recurring": {"interval": interval, "interval_count": count},
                "product_data": {"name": price.product_name},
                "metadata": {"agency": price.agency, "price": str(price.price_id)},
            },
            key=f"price:{price.price_id}",
        )
        return shapes.identifier(body)

    async def create_checkout(self, spec: CheckoutSpec) -> HostedCheckout:
        metadata = {
            "agency": spec.origin.agency,
            "reader": str(spec.origin.reader_id),
            "price": str(spec.origin.price_id),
            "checkout": str(spec.checkout_id),
        }
        payer = {"customer": spec.customer} if spec.customer else {"customer_email": spec.email}
        body = await self._call(
            "post",
            "/v1/checkout/sessions",
            {
                "mode": "subscription",
                "line_items": [{"price": spec.external_price, "quantity": 1}],
                "client_reference_id": str(spec.checkout_id),
                "metadata": metadata,
                "subscription_data": {"metadata": metadata},
                "success_url": spec.success_url,
                "cancel_url": spec.cancel_url,
                "locale": spec.language,
                **payer,
            },
            key=spec.key,
        )
        return HostedCheckout(shapes.identifier(body), str(body["url"]))

    async def fetch_checkout(self, session_id: str) -> CheckoutFacts:
        body = await self._call(
            "get", f"/v1/checkout/sessions/{_segment(session_id)}", {"expand": ["invoice"]}
        )
        return shapes.checkout(body)

    async def close_checkout(self, session_id: str) -> CheckoutFacts:
        # Only an open one can be closed; what it is instead is asked below.
        with suppress(ProviderRefusedError):
            await self._call("post", f"/v1/checkout/sessions/{_segment(session_id)}/expire")
        return await self.fetch_checkout(session_id)

    async def fetch_subscription(self, subscription_id: str) -> SubscriptionFacts:
        return shapes.subscription(
            await self._call("get", f"/v1/subscriptions/{_segment(subscription_id)}")
        )

    async def invoice_of_payment(self, payment_reference: str) -> str | None:
        body = await self._call(
            "get",
            "/v1/invoice_payments",
            {"payment": {"type": "payment_intent", "payment_intent": payment_reference}},
        )
        return shapes.identifier(body["data"][0]["invoice"]) if body["data"] else None

    async def fetch_paid_invoice(self, invoice_id: str) -> PaidInvoice | None:
        return shapes.paid_invoice(await self._call("get", f"/v1/invoices/{_segment(invoice_id)}"))

    async def refunds_of(self, payment_reference: str) -> Sequence[RefundFacts]:
        body = await self._call(
            "get", "/v1/refunds", {"payment_intent": payment_reference, "limit": 100}
        )
        found = [shapes.refund(doc) for doc in body["data"] if doc["status"] == "succeeded"]
        return sorted(found, key=lambda refund: (refund.refunded_at, refund.id))

    async def set_cancel_at_period_end(
        self, subscription_id: str, *, cancel: bool, key: str
    ) -> None:
        await self._call(
            "post",
            f"/v1/subscriptions/{_segment(subscription_id)}",
            {"cancel_at_period_end": cancel},
            key=key,
        )

    def interpret(self, payload: bytes) -> Fact:
        try:
            event = json.loads(payload)
        except ValueError as error:
            raise MalformedNotificationError(str(error)) from error
        return shapes.interpret(event)

    async def notifications_since(
        self, since: datetime, types: Sequence[str]
    ) -> AsyncIterator[Notification]:
        cursor: dict[str, Any] = {}
        while True:
            body = await self._call(
                "get",
                "/v1/events",
                {
                    "created": {"gte": int(since.timestamp())},
                    "types": list(types),
                    "limit": 100,
                    **cursor,
                },
            )
            for event in body["data"]:
                yield Notification(
                    shapes.identifier(event),
                    str(event["type"]),
                    shapes.instant(event["created"]),
                    json.dumps(event, ensure_ascii=False).encode(),
                )
            if not body["has_more"]:
                return
            cursor = {"starting_after": shapes.identifier(body["data"][-1])}

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]


def _segment(identifier: str) -> str:
    """An id as a part of a path: anything else would be another address."""
    if not identifier.replace("_", "").isalnum() or not identifier.isascii():
        raise ProviderRefusedError(f"{identifier!r} is not an id")
    return identifier
