"""Subscriptions: begin, change, end. What waits for a date is in renewals.py."""

from typing import Any

from .errors import invalid
from .listing import listing
from .params import Params
from .periods import boundary
from .prices import plan_of
from .scope import Scope, page
from .shapes import SUBSCRIPTION, template
from .store import Doc, Filter

URL = "/v1/subscriptions"
STATUSES = (
    "active",
    "all",
    "canceled",
    "ended",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
)
FEEDBACK = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)


def begin(
    scope: Scope,
    *,
    customer: str,
    lines: list[tuple[Doc, int]],
    method: str | None,
    metadata: dict[str, str],
    description: str | None,
    at: int,
) -> Doc:
    """A subscription whose first period is paid for; saved, no event yet."""
    identifier = scope.new_id("sub")
    recurring = lines[0][0]["recurring"]
    until = boundary(at, recurring["interval"], recurring["interval_count"], 1)
    items = [_item(scope, identifier, price, count, (at, until)) for price, count in lines]
    return scope.save(
        {
            **template(SUBSCRIPTION),
            "id": identifier,
            "billing_cycle_anchor": at,
            "billing_mode": {
                "flexible": {"proration_discounts": "included"},
                "type": "flexible",
                "updated_at": at,
            },
            "created": at,
            "currency": lines[0][0]["currency"],
            "customer": customer,
            "default_payment_method": method,
            "description": description,
            "items": page(f"/v1/subscription_items?subscription={identifier}", items),
            "metadata": metadata,
            "start_date": at,
            "test_clock": scope.fetch("customer", customer)["test_clock"],
        }
    )


def _item(
    scope: Scope, subscription: str, price: Doc, quantity: int, period: tuple[int, int]
) -> Doc:
    return {
        "id": scope.new_id("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": period[0],
        "current_period_start": period[0],
        "current_period_end": period[1],
        "discounts": [],
        "metadata": {},
        "plan": plan_of(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }


def period_of(subscription: Doc) -> tuple[int, int]:
    """The current period; the sandbox keeps all items of a subscription on one."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def recover(scope: Scope, subscription: Doc) -> Doc:
    """The open invoice was paid after all."""
    current = scope.fetch("subscription", subscription["id"])
    if current["status"] != "past_due":
        return current
    return scope.update("customer.subscription.updated", current, {**current, "status": "active"})


def end(
    scope: Scope,
    subscription: Doc,
    *,
    at: int,
    reason: str,
    details: dict[str, Any] | None = None,
) -> Doc:
    """Over, now."""
    before = subscription["cancellation_details"]
    ended = {
        **subscription,
        "status": "canceled",
        "canceled_at": subscription["canceled_at"] or at,
        "ended_at": at,
        "cancel_at_period_end": False,
        "cancellation_details": {**before, **(details or {}), "reason": reason},
    }
    scope.save(ended)
    scope.emit("customer.subscription.deleted", ended)
    return ended


def _said(params: Params) -> dict[str, Any]:
    details = params.child("cancellation_details")
    if details is None:
        return {}
    found: dict[str, Any] = {}
    if "comment" in details:
        found["comment"] = details.text("comment")
    if "feedback" in details:
        found["feedback"] = details.text("feedback", choices=FEEDBACK)
    return found


def _living(scope: Scope, identifier: str) -> Doc:
    subscription = scope.fetch("subscription", identifier)
    if subscription["status"] == "canceled":
        raise invalid(
            f"No such subscription: '{identifier}'", param="id", code="resource_missing", status=404
        )
    return subscription


def update(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/subscriptions/:id"""
    before = _living(scope, identifier)
    after = {**before, "metadata": params.metadata(before["metadata"])}
    if "description" in params:
        after["description"] = params.text("description")
    chosen = params.text("default_payment_method")
    if chosen:
        method = scope.fetch("payment_method", chosen, "default_payment_method")
        if method["customer"] != before["customer"]:
            raise invalid(
                "The customer does not have a payment method with the ID " + chosen,
                param="default_payment_method",
            )
        after["default_payment_method"] = chosen
    after["cancellation_details"] = {**before["cancellation_details"], **_said(params)}
    stop = params.boolean("cancel_at_period_end")
    params.finish()
    if stop is True and not before["cancel_at_period_end"]:
        after["cancel_at_period_end"] = True
        after["cancel_at"] = period_of(before)[1]
        after["canceled_at"] = scope.time_of(before["customer"])
        after["cancellation_details"]["reason"] = "cancellation_requested"
    elif stop is False and before["cancel_at_period_end"]:
        after["cancel_at_period_end"] = False
        after["cancel_at"] = after["canceled_at"] = None
        after["cancellation_details"] = {"comment": None, "feedback": None, "reason": None}
    return scope.update("customer.subscription.updated", before, after)


def cancel(scope: Scope, params: Params, identifier: str) -> Doc:
    """DELETE /v1/subscriptions/:id"""
    subscription = _living(scope, identifier)
    details = _said(params)
    for name in ("invoice_now", "prorate"):
        if params.boolean(name):
            raise invalid(f"The sandbox does not support {name}.", param=name)
    params.finish()
    return end(
        scope,
        subscription,
        at=scope.time_of(subscription["customer"]),
        reason="cancellation_requested",
        details=details,
    )


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/subscriptions/:id"""
    return scope.fetch("subscription", identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/subscriptions; canceled ones only where asked for, as at Stripe."""
    filters: list[Filter] = [
        (name, "=", value)
        for name in ("customer", "collection_method", "test_clock")
        if (value := params.text(name))
    ]
    status = params.text("status", choices=STATUSES)
    if status is None:
        filters.append(("status", "!=", "canceled"))
    elif status == "ended":
        filters.append(("status", "in", ["canceled", "incomplete_expired"]))
    elif status != "all":
        filters.append(("status", "=", status))
    if price := params.text("price"):
        filters.append(("items.data[0].price.id", "=", price))
    return listing(scope, "subscription", URL, params, filters)
