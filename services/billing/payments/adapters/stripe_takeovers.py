"""Subscriptions of Stripe Billing, read and told to end, so that they can be taken over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from services.billing.payments.adapters.port import (
    MalformedNotificationError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from services.billing.payments.adapters.stripe_shapes import method_or_none
from services.billing.payments.adapters.stripe_values import (
    amount,
    currency,
    identifier,
    instant,
    read,
    signed,
)
from services.billing.payments.running import Hindrance, Running, RunState

Doc = dict[str, Any]

SUBSCRIPTIONS = "/v1/subscriptions"
PARTS = (
    "customer.invoice_settings.default_payment_method",
    "default_payment_method",
    "latest_invoice",
)
#: https://docs.stripe.com/api/subscriptions/object#subscription_object-status
STATES = {
    "active": RunState.ACTIVE,
    "trialing": RunState.TRIALING,
    "past_due": RunState.OWING,
    "unpaid": RunState.OWING,
    "incomplete": RunState.BEGUN,
    "incomplete_expired": RunState.ENDED,
    "paused": RunState.PAUSED,
    "canceled": RunState.ENDED,
}
PERIODS = {
    ("week", 1): "week",
    ("month", 1): "month",
    ("month", 3): "quarter",
    ("month", 6): "half_year",
    ("month", 12): "year",
    ("year", 1): "year",
}


def running(doc: Doc) -> Running:
    """A subscription, fetched with :data:`PARTS`."""
    items, customer, invoice = doc["items"]["data"], doc["customer"], doc["latest_invoice"]
    item = items[0]
    price, recurring = item["price"], item["price"]["recurring"]
    chosen = doc["default_payment_method"]
    gone = customer.get("deleted") is True
    if chosen is None and not gone:
        chosen = customer["invoice_settings"]["default_payment_method"]
    locales = customer.get("preferred_locales") or ["vi"]
    return Running(
        id=identifier(doc["id"]),
        customer=identifier(customer),
        email=customer.get("email") or "",
        name=customer.get("name") or "",
        language="vi" if str(locales[0]).startswith("vi") else "en",
        state=STATES[doc["status"]],
        hindrances=tuple(_hindrances(doc, customer)),
        price=identifier(price["id"]),
        amount=amount(price["unit_amount"]) if price["unit_amount"] is not None else 0,
        currency=currency(doc["currency"]),
        period=PERIODS.get((recurring["interval"], recurring["interval_count"]), ""),
        starts_at=instant(item["current_period_start"]),
        ends_at=instant(item["current_period_end"]),
        anchor_at=instant(doc["billing_cycle_anchor"]),
        began_at=instant(doc["start_date"]),
        ends=bool(doc["cancel_at_period_end"]) or doc["cancel_at"] is not None,
        ended_at=instant(doc["ended_at"]) if doc["ended_at"] is not None else None,
        paid=invoice is not None and invoice["status"] == "paid",
        asked=signed(invoice["total"]) if invoice is not None else 0,
        method=method_or_none(chosen) if isinstance(chosen, dict) else None,
    )


def _hindrances(doc: Doc, customer: Doc) -> list[Hindrance]:
    items = doc["items"]["data"]
    price, end = items[0]["price"], items[0]["current_period_end"]
    taxed = doc["automatic_tax"]["enabled"] or doc["default_tax_rates"] or items[0]["tax_rates"]
    credit = customer.get("balance") or customer.get("discount")
    plain = price["billing_scheme"] == "per_unit" and price["transform_quantity"] is None
    metered = price["recurring"]["usage_type"] != "licensed"
    one = len(items) == 1 and not doc["items"]["has_more"] and items[0].get("quantity") == 1
    found = {
        Hindrance.MANY_ITEMS: not (one and plain) or metered,
        Hindrance.SCHEDULED: doc["schedule"] is not None or doc["pending_update"] is not None,
        Hindrance.NOT_COLLECTED: doc["pause_collection"] is not None,
        Hindrance.OTHER_SUM: bool(doc["discounts"] or items[0]["discounts"] or taxed or credit),
        Hindrance.BY_INVOICE: doc["collection_method"] != "charge_automatically",
        Hindrance.NEEDS_HOLDER: doc["pending_setup_intent"] is not None,
        Hindrance.OTHER_END: doc["cancel_at"] not in (None, end) and doc["ended_at"] is None,
    }
    return [hindrance for hindrance, holds in found.items() if holds]


class StripeTakeovers(ABC):
    """The capability ``Takeovers`` on top of Stripe's calls."""

    @abstractmethod
    async def _call(
        self, method: str, path: str, params: Doc | None = None, key: str = ""
    ) -> Doc: ...

    @abstractmethod
    def _listed(self, path: str, params: Doc) -> AsyncIterator[Doc]: ...

    async def running(self) -> AsyncIterator[Running]:
        async for doc in self._listed(
            SUBSCRIPTIONS, {"expand": [f"data.{part}" for part in PARTS]}
        ):
            yield _answered(doc)

    async def running_one(self, id_: str) -> Running:
        path = f"{SUBSCRIPTIONS}/{_segment(id_)}"
        return _answered(await self._call("get", path, {"expand": list(PARTS)}))

    async def let_end(self, id_: str) -> Running:
        """Without a key: it is the same however often it is asked, and a kept answer would be an old one."""
        said = {"cancel_at_period_end": True, "expand": list(PARTS)}
        try:
            return _answered(await self._call("post", f"{SUBSCRIPTIONS}/{_segment(id_)}", said))
        except ProviderRefusedError:
            found = await self.running_one(id_)  # one that is over cannot be told anything
            if found.state is not RunState.ENDED:
                raise
            return found


def _answered(doc: Doc) -> Running:
    try:
        return read(running, doc)
    except MalformedNotificationError as error:
        raise ProviderUnavailableError(f"an answer that cannot be read: {error}") from error


def _segment(id_: str) -> str:
    if not id_.replace("_", "").isalnum() or not id_.isascii():
        raise ProviderRefusedError(f"{id_!r} is not an id")
    return id_
