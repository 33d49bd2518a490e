"""Stripe's objects, read into the port's words. Pure: JSON in, values out; a missing field names itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.billing.payments.adapters.port import (
    CheckoutCompleted,
    CheckoutFacts,
    Fact,
    InvoicePaid,
    MalformedNotificationError,
    NotOurs,
    Origin,
    PaidInvoice,
    Refunded,
    RefundFacts,
    SubscriptionFacts,
    SubscriptionTouched,
)

Doc = dict[str, Any]


def instant(seconds: Any) -> datetime:
    """A moment from Stripe's whole seconds."""
    if type(seconds) is not int or not 0 <= seconds <= 253_402_300_799:
        raise MalformedNotificationError(f"{seconds!r} is not a time")
    return datetime.fromtimestamp(seconds, UTC)


def identifier(value: Any) -> str:
    """The id of a reference, expanded or not."""
    found = value.get("id") if isinstance(value, dict) else value
    if not isinstance(found, str) or not found or len(found) > 255:
        raise MalformedNotificationError(f"{found!r} is not an id")
    return found


def optional_identifier(value: Any) -> str:
    return identifier(value) if value is not None else ""


def amount(value: Any) -> int:
    """An amount of đồng: Stripe counts it without decimals."""
    if type(value) is not int or not 0 <= value <= 10**15:
        raise MalformedNotificationError(f"{value!r} is not an amount")
    return value


def origin(metadata: Any) -> Origin | None:
    """Whose it is, from what we wrote there; None when we did not."""
    try:
        return Origin(metadata["agency"], UUID(metadata["reader"]), UUID(metadata["price"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def subscription(doc: Doc) -> SubscriptionFacts:
    items = doc["items"]["data"]
    if not items:
        raise MalformedNotificationError("a subscription without items")
    return SubscriptionFacts(
        id=identifier(doc["id"]),
        status=str(doc["status"]) if not doc.get("pause_collection") else "paused",
        customer=identifier(doc["customer"]),
        origin=origin(doc.get("metadata")),
        cancel_at_period_end=bool(doc["cancel_at_period_end"]),
        ended_at=instant(doc["ended_at"]) if doc.get("ended_at") is not None else None,
        period_start=instant(items[0]["current_period_start"]),
        period_end=instant(items[0]["current_period_end"]),
        created_at=instant(doc["created"]),
    )


def subscription_of_invoice(doc: Doc) -> str:
    """The subscription behind an invoice, or empty for a single purchase."""
    details = (doc.get("parent") or {}).get("subscription_details") or {}
    return optional_identifier(details.get("subscription"))


def paid_invoice(doc: Doc) -> PaidInvoice | None:
    """A paid subscription invoice, or None when it is neither or nothing was paid."""
    subscription_id = subscription_of_invoice(doc)
    if not subscription_id or doc["status"] != "paid" or amount(doc["amount_paid"]) == 0:
        return None
    lines = doc["lines"]["data"]
    if not lines:
        raise MalformedNotificationError("a paid invoice without lines")
    return PaidInvoice(
        id=identifier(doc["id"]),
        subscription_id=subscription_id,
        amount_vnd=amount(doc["amount_paid"]),
        currency=str(doc["currency"]).upper(),
        period_start=min(instant(line["period"]["start"]) for line in lines),
        period_end=max(instant(line["period"]["end"]) for line in lines),
        paid_at=instant(doc["status_transitions"]["paid_at"]),
    )


def checkout(doc: Doc) -> CheckoutFacts:
    invoice = doc.get("invoice")
    return CheckoutFacts(
        session_id=identifier(doc["id"]),
        reference=str(doc.get("client_reference_id") or ""),
        open=doc["status"] == "open",
        paid=doc["status"] == "complete" and doc["payment_status"] == "paid",
        url=str(doc.get("url") or ""),
        subscription_id=optional_identifier(doc.get("subscription")),
        invoice=paid_invoice(invoice) if isinstance(invoice, dict) else None,
    )


def refund(doc: Doc) -> RefundFacts:
    return RefundFacts(
        id=identifier(doc["id"]),
        amount_vnd=amount(doc["amount"]),
        refunded_at=instant(doc["created"]),
    )


def interpret(event: Doc) -> Fact:
    """What an event says, by its type. Raises :class:`MalformedNotificationError`."""
    try:
        return _interpret(str(event["type"]), event["data"]["object"])
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise MalformedNotificationError(f"{type(error).__name__}: {error}") from error


def _interpret(kind: str, doc: Doc) -> Fact:
    if kind == "checkout.session.completed":
        ours = doc.get("mode") == "subscription" and origin(doc.get("metadata")) is not None
        return CheckoutCompleted(identifier(doc["id"])) if ours else NotOurs()
    if kind == "invoice.paid":
        paid = paid_invoice(doc)
        return InvoicePaid(paid) if paid else NotOurs()
    if kind == "invoice.payment_failed":
        failed = subscription_of_invoice(doc)
        return SubscriptionTouched(failed) if failed else NotOurs()
    if kind in ("customer.subscription.updated", "customer.subscription.deleted"):
        return SubscriptionTouched(identifier(doc["id"]))
    if kind in ("charge.refunded", "refund.created"):
        reference = optional_identifier(doc.get("payment_intent"))
        return Refunded(reference) if reference else NotOurs()
    return NotOurs()
