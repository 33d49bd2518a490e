"""Subscriptions: begin, change, end. What waits for a date is in renewals.py."""

from .errors import invalid
from .listing import listing
from .params import Params
from .periods import boundary
from .prices import plan_of
from .scope import Scope, page
from .shapes import SUBSCRIPTION, template
from .store import Doc

URL = "/v1/subscriptions"
SAID_NOTHING: Doc = {"comment": None, "feedback": None, "reason": None}


def begin(
    scope: Scope,
    *,
    customer: str,
    prices: list[Doc],
    method: str | None,
    at: int,
) -> Doc:
    """A subscription whose first period is paid for; saved, no event yet."""
    identifier = scope.new_id("sub")
    recurring = prices[0]["recurring"]
    until = boundary(at, recurring["interval"], recurring["interval_count"], 1)
    items = [_item(scope, identifier, price, (at, until)) for price in prices]
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
            "currency": prices[0]["currency"],
            "customer": customer,
            "default_payment_method": method,
            "description": None,
            "items": page(f"/v1/subscription_items?subscription={identifier}", items),
            "metadata": {},
            "start_date": at,
            "test_clock": None,
        }
    )


def _item(scope: Scope, subscription: str, price: Doc, period: tuple[int, int]) -> Doc:
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
        "quantity": 1,
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


def end(scope: Scope, subscription: Doc, *, at: int, reason: str) -> Doc:
    """Over, now."""
    ended = {
        **subscription,
        "status": "canceled",
        "canceled_at": subscription["canceled_at"] or at,
        "ended_at": at,
        "cancel_at_period_end": False,
        "cancellation_details": {**SAID_NOTHING, "reason": reason},
    }
    scope.save(ended)
    scope.emit("customer.subscription.deleted", ended)
    return ended


def _living(scope: Scope, identifier: str) -> Doc:
    subscription = scope.fetch("subscription", identifier)
    if subscription["status"] == "canceled":
        raise invalid(
            f"No such subscription: '{identifier}'", param="id", code="resource_missing", status=404
        )
    return subscription


def update(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/subscriptions/:id: whether it ends with its period."""
    before = _living(scope, identifier)
    after = {**before}
    stop = params.boolean("cancel_at_period_end")
    params.finish()
    if stop is True and not before["cancel_at_period_end"]:
        after["cancel_at_period_end"] = True
        after["cancel_at"] = period_of(before)[1]
        after["canceled_at"] = scope.now()
        after["cancellation_details"] = {**SAID_NOTHING, "reason": "cancellation_requested"}
    elif stop is False and before["cancel_at_period_end"]:
        after["cancel_at_period_end"] = False
        after["cancel_at"] = after["canceled_at"] = None
        after["cancellation_details"] = SAID_NOTHING
    return scope.update("customer.subscription.updated", before, after)


def cancel(scope: Scope, params: Params, identifier: str) -> Doc:
    """DELETE /v1/subscriptions/:id"""
    subscription = _living(scope, identifier)
    params.finish()
    return end(scope, subscription, at=scope.now(), reason="cancellation_requested")


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/subscriptions/:id"""
    return scope.fetch("subscription", identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/subscriptions; without canceled ones, as at Stripe."""
    return listing(scope, "subscription", URL, params, [("status", "!=", "canceled")])
