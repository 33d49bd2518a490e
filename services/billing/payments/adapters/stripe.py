"""Stripe behind the port. The only file that imports its SDK.

The API version is pinned to the one the shapes were written for. Every creating call carries an idempotency key; the
SDK repeats a call of unknown outcome under that same key, and so do we.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import stripe

from services.billing.payments.adapters import stripe_quick as quick
from services.billing.payments.adapters import stripe_requests as requests
from services.billing.payments.adapters import stripe_shapes as shapes
from services.billing.payments.adapters import stripe_values as values
from services.billing.payments.adapters.port import (
    Captured,
    Fact,
    Failed,
    GoneError,
    Look,
    MalformedNotificationError,
    MandateCharge,
    MethodGone,
    Notification,
    NotOurs,
    Page,
    PageSpec,
    PayoutMoved,
    Processing,
    ProviderFailedError,
    ProviderRefusedError,
    ProviderUnavailableError,
    RefundMoved,
)
from services.billing.payments.adapters.stripe_takeovers import StripeTakeovers
from services.billing.payments.method import Method

API_VERSION = shapes.API_VERSION
LIVE_KEYS = ("sk_live_", "rk_live_")
#: Nothing is known, or nothing was tried: no answer or none of Stripe's, too many requests at once or under one key, our own
#: key is wrong (https://docs.stripe.com/api/errors).
UNDECIDED = (
    stripe.APIConnectionError,
    stripe.APIError,
    stripe.RateLimitError,
    stripe.AuthenticationError,
    stripe.PermissionError,
)
SESSIONS, INTENTS, METHODS, CUSTOMERS, REFUNDS, DISPUTES, PAYOUTS = (
    "/v1/checkout/sessions",
    "/v1/payment_intents",
    "/v1/payment_methods",
    "/v1/customers",
    "/v1/refunds",
    "/v1/disputes",
    "/v1/payouts",
)
P = ParamSpec("P")
T = TypeVar("T")


class StripeProvider(StripeTakeovers):
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

    # -- calls ------------------------------------------------------------------------------

    async def _send(
        self, method: str, path: str, params: dict[str, Any] | None = None, key: str = ""
    ) -> dict[str, Any]:
        """One call; fails as the SDK does."""
        if self._switched_off:
            raise ProviderRefusedError("no card payments here: STRIPE_SECRET_KEY is empty")
        options: dict[str, Any] = {"idempotency_key": key} if key else {}
        answer = await self._client.raw_request_async(method, path, **(params or {}), **options)
        body: Any = answer.data
        if not isinstance(body, dict):
            raise ProviderUnavailableError("an answer that is no object")
        return body

    async def _call(
        self, method: str, path: str, params: dict[str, Any] | None = None, key: str = ""
    ) -> dict[str, Any]:
        """One call; fails in the port's words."""
        try:
            return await self._send(method, path, params, key)
        except stripe.StripeError as error:
            raise _meaning(error, path) from error

    async def _listed(self, path: str, params: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Every object of a list, newest first."""
        cursor: dict[str, Any] = {}
        while True:
            body = await self._call("get", path, {**params, "limit": 100, **cursor})
            rows = _answered(lambda found: list(found["data"]), body)
            for row in rows:
                yield row
            if not rows or not body.get("has_more"):
                return
            cursor = {"starting_after": _answered(values.identifier, rows[-1])}

    # -- charges ----------------------------------------------------------------------------

    async def open_page(self, spec: PageSpec) -> Page:
        body = await self._call("post", SESSIONS, requests.page(spec), key=spec.key)
        return _answered(shapes.opened, body)

    async def _session(self, page_id: str) -> dict[str, Any]:
        return await self._call(
            "get", f"{SESSIONS}/{_segment(page_id)}", {"expand": list(shapes.PAGE_PARTS)}
        )

    async def page_facts(self, page_id: str) -> Fact:
        return _answered(shapes.page, await self._session(page_id))

    async def close_page(self, page_id: str) -> Fact:
        # Only an open one can be closed; what it is instead is asked below.
        with suppress(ProviderRefusedError):
            await self._call("post", f"{SESSIONS}/{_segment(page_id)}/expire")
        return await self.page_facts(page_id)

    # -- mandates ---------------------------------------------------------------------------

    async def charge(self, spec: MandateCharge) -> Captured | Processing | Failed:
        try:
            body = await self._send("post", INTENTS, requests.charge(spec), spec.key)
        except stripe.CardError as error:
            return _answered(_declined, spec.charge_id, error)
        except stripe.StripeError as error:
            meaning = _meaning(error, INTENTS)
            # Of a means of payment that was detached, the refusal has no code.
            if isinstance(meaning, GoneError) or (
                isinstance(meaning, ProviderRefusedError)
                and await self._let_go(spec.method, spec.customer)
            ):
                return Failed(spec.charge_id, "", "resource_missing", method_gone=True)
            raise meaning from error
        return _answered(shapes.payment, body)

    async def find_charge(
        self, charge_id: UUID, customer: str
    ) -> Captured | Processing | Failed | None:
        """Of several under our id (one for each key), the one that took the money, or may still."""
        found: Captured | Processing | Failed | None = None
        params = {
            "customer": _segment(customer),
            "expand": [f"data.{part}" for part in shapes.PAYMENT_PARTS],
        }
        async for intent in self._listed(INTENTS, params):
            if _answered(shapes.charge_named, intent) != charge_id:
                continue
            fact = _answered(shapes.payment, intent)
            if isinstance(fact, Captured):
                return fact
            if found is None or isinstance(fact, Processing):
                found = fact
        return found

    async def _intent(self, reference: str) -> dict[str, Any]:
        return await self._call(
            "get", f"{INTENTS}/{_segment(reference)}", {"expand": list(shapes.PAYMENT_PARTS)}
        )

    async def charge_facts(self, reference: str) -> Captured | Processing | Failed:
        return _answered(shapes.payment, await self._intent(reference))

    async def method(self, method_id: str) -> Method:
        body = await self._call("get", f"{METHODS}/{_segment(method_id)}")
        found = _answered(shapes.method_or_none, body)
        if found is None:
            raise GoneError(f"{method_id} was let go")
        return found

    async def revoke(self, method_id: str) -> None:
        try:
            await self._call("post", f"{METHODS}/{_segment(method_id)}/detach")
        except ProviderRefusedError:
            if not await self._let_go(method_id):
                raise

    async def _let_go(self, method_id: str, customer: str = "") -> bool:
        """Whether a means of payment is nobody's any more, or not this customer's."""
        try:
            found = await self.method(method_id)
        except GoneError:
            return True
        return found.customer != (customer or found.customer)

    # -- notifications ----------------------------------------------------------------------

    def interpret(self, payload: bytes) -> Fact | Look:
        try:
            event = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise MalformedNotificationError(str(error)) from error
        return shapes.interpret(event)

    def renewal_told(self, payload: bytes) -> Captured | None:
        return quick.renewal_told(payload)

    async def look(self, look: Look) -> Fact:
        """Raises :class:`ProviderRefusedError` for what Stripe does not have; a method or a customer that it has not is gone."""
        looks = {
            "page": self._look_at_page,
            "payment": self._look_at_payment,
            "refund": self._look_at_refund,
            "dispute": self._look_at_dispute,
            "payout": self._look_at_payout,
            "method": self._look_at_method,
            "customer": self._look_at_customer,
        }
        if look.kind not in looks:
            raise ProviderRefusedError(f"{look.kind!r} is nothing to look at")
        return await looks[look.kind](look.id)

    async def _look_at_page(self, page_id: str) -> Fact:
        return _answered(shapes.page_of_ours, await self._session(page_id))

    async def _look_at_payment(self, reference: str) -> Fact:
        """A charge without an intent was made by another system."""
        if not reference.startswith("pi_"):
            return NotOurs()
        return _answered(shapes.payment_of_ours, await self._intent(reference))

    async def _look_at_refund(self, refund_id: str) -> Fact:
        parts = {"expand": list(shapes.REFUND_PARTS)}
        body = await self._call("get", f"{REFUNDS}/{_segment(refund_id)}", parts)
        return _answered(shapes.refund, body)

    async def _look_at_dispute(self, dispute_id: str) -> Fact:
        body = await self._call("get", f"{DISPUTES}/{_segment(dispute_id)}")
        return _answered(shapes.dispute, body)

    async def _look_at_payout(self, payout_id: str) -> Fact:
        return await self._payout(await self._call("get", f"{PAYOUTS}/{_segment(payout_id)}"))

    async def _look_at_method(self, method_id: str) -> Fact:
        return MethodGone(method=method_id) if await self._let_go(method_id) else NotOurs()

    async def _look_at_customer(self, customer: str) -> Fact:
        try:
            body = await self._call("get", f"{CUSTOMERS}/{_segment(customer)}")
        except GoneError:
            return MethodGone(customer=customer)
        deleted = _answered(shapes.is_deleted, body)
        return MethodGone(customer=customer) if deleted else NotOurs()

    async def notifications_since(
        self, since: datetime, types: Sequence[str]
    ) -> AsyncIterator[Notification]:
        params = {"created": {"gte": int(since.timestamp())}, "types": list(types)}
        async for event in self._listed("/v1/events", params):
            yield _answered(
                lambda doc: Notification(
                    values.identifier(doc),
                    str(doc["type"]),
                    values.instant(doc["created"]),
                    json.dumps(doc, ensure_ascii=False).encode(),
                ),
                event,
            )

    async def foreign_endpoints(self) -> list[str]:
        """One that follows the account's version may be told in any: it counts as another."""
        return [
            str(doc.get("url") or "")
            async for doc in self._listed("/v1/webhook_endpoints", {})
            if doc.get("api_version") != API_VERSION
        ]

    # -- refunds and settlements ------------------------------------------------------------

    async def refund(
        self, reference: str, amount_vnd: int, *, key: str, request_id: UUID | None = None
    ) -> RefundMoved:
        named = {"metadata": {"request": str(request_id)}} if request_id is not None else {}
        body = await self._call(
            "post",
            REFUNDS,
            {
                "payment_intent": reference,
                "amount": amount_vnd,
                "expand": list(shapes.REFUND_PARTS),
                **named,
            },
            key=key,
        )
        return _answered(shapes.refund, body)

    async def refunds_of(self, reference: str) -> Sequence[RefundMoved]:
        params = {
            "payment_intent": _segment(reference),
            "expand": [f"data.{part}" for part in shapes.REFUND_PARTS],
        }
        found = [_answered(shapes.refund, doc) async for doc in self._listed(REFUNDS, params)]
        return found[::-1]

    async def payouts_since(self, since: datetime) -> AsyncIterator[PayoutMoved]:
        async for doc in self._listed(PAYOUTS, {"created": {"gte": int(since.timestamp())}}):
            yield await self._payout(doc)

    async def _payout(self, doc: dict[str, Any]) -> PayoutMoved:
        """With its lines. Of one that was made by hand Stripe lists none
        (https://docs.stripe.com/payouts/reconciliation)."""
        entries: list[dict[str, Any]] = []
        if doc.get("automatic"):
            params = {"payout": _answered(values.identifier, doc), "expand": ["data.source"]}
            entries = [one async for one in self._listed("/v1/balance_transactions", params)]
        return _answered(shapes.payout, doc, entries)

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]


def _answered(reader: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What an answer says; one that cannot be read leaves the outcome unknown."""
    try:
        return values.read(reader, *args, **kwargs)
    except MalformedNotificationError as error:
        raise ProviderUnavailableError(f"an answer that cannot be read: {error}") from error


def _declined(charge_id: UUID, error: stripe.CardError) -> Failed:
    body: Any = error.json_body
    return shapes.declined(charge_id, body["error"])


def _meaning(error: stripe.StripeError, path: str) -> Exception:
    """An error of the SDK in the port's words."""
    status, text = error.http_status, str(error)
    if status is not None and status >= 500:
        return ProviderFailedError(text)
    if isinstance(error, UNDECIDED):
        return ProviderUnavailableError(text)
    if error.code == "resource_missing":
        named = getattr(error, "param", None) in ("customer", "payment_method")
        if named or path.startswith((f"{METHODS}/", f"{CUSTOMERS}/")):
            return GoneError(text)
    return ProviderRefusedError(text)


def _segment(identifier: str) -> str:
    """An id as a part of a path: anything else would be another address."""
    if not identifier.replace("_", "").isalnum() or not identifier.isascii():
        raise ProviderRefusedError(f"{identifier!r} is not an id")
    return identifier
