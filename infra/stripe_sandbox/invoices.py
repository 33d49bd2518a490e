"""Invoices: what a subscription asks for, and whether it was paid."""

from . import payments
from .invoice_shapes import blank, line_of
from .scope import Scope, page
from .store import Doc

DAY = 86_400


def draft(scope: Scope, subscription: Doc, *, reason: str, period: tuple[int, int], at: int) -> Doc:
    """A draft for one period of a subscription."""
    identifier = scope.new_id("in")
    lines = [
        line_of(scope.new_id("il"), identifier, subscription, item)
        for item in subscription["items"]["data"]
    ]
    invoice = blank(
        identifier,
        subscription=subscription,
        customer=scope.fetch("customer", subscription["customer"]),
        reason=reason,
        period=period,
        at=at,
    )
    total = sum(line["amount"] for line in lines)
    invoice["lines"] = page(f"/v1/invoices/{identifier}/lines", lines)
    for name in (
        "amount_due",
        "amount_remaining",
        "subtotal",
        "subtotal_excluding_tax",
        "total",
        "total_excluding_tax",
    ):
        invoice[name] = total
    scope.save(invoice)
    scope.emit("invoice.created", invoice)
    return invoice


def finalize(scope: Scope, invoice: Doc, at: int) -> Doc:
    """Give it its number; from now on it does not change but by being paid."""
    customer = scope.fetch("customer", invoice["customer"])
    sequence = customer["next_invoice_sequence"]
    scope.save({**customer, "next_invoice_sequence": sequence + 1})
    final = {
        **invoice,
        "effective_at": at,
        "number": f"{customer['invoice_prefix']}-{sequence:04d}",
        "status": "open",
        "status_transitions": {**invoice["status_transitions"], "finalized_at": at},
        "ending_balance": 0,
    }
    scope.save(final)
    scope.emit("invoice.finalized", final)
    return final


def settle(scope: Scope, invoice: Doc, intent: Doc | None, at: int) -> Doc:
    """Paid, by this intent; or by nothing where nothing was due."""
    paid = {
        **invoice,
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "attempt_count": invoice["attempt_count"] + (1 if intent else 0),
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status": "paid",
        "status_transitions": {**invoice["status_transitions"], "paid_at": at},
    }
    scope.save(paid)
    scope.emit("invoice.paid", paid)
    scope.emit("invoice.payment_succeeded", paid)
    return paid


def attempt(scope: Scope, invoice: Doc, method: Doc | None, *, at: int) -> tuple[Doc, Doc | None]:
    """Try to collect an open invoice without its payer; returns the invoice and the intent.

    Without a card there is no intent: the invoice fails all the same.
    """
    if invoice["amount_due"] == 0:
        return settle(scope, invoice, None, at), None
    intent = None
    if method is not None:
        kept = scope.hidden(invoice["id"]).get("intent")
        intent = scope.find(kept) if kept else None
        if intent is None:
            intent = payments.create_intent(
                scope,
                amount=invoice["amount_due"],
                currency=invoice["currency"],
                customer=invoice["customer"],
                at=at,
                description="Subscription update",
            )
            scope.save(invoice, hidden={"intent": intent["id"]})
        intent = payments.confirm(scope, intent, method, at=at, off_session=True)
        if intent["status"] == "succeeded":
            return settle(scope, invoice, intent, at), intent
    count = invoice["attempt_count"] + 1
    days = scope.settings.retry_days
    again = at + days[count - 1] * DAY if count <= len(days) else None
    failed = {
        **invoice,
        "attempt_count": count,
        "attempted": True,
        "auto_advance": again is not None,
        "next_payment_attempt": again,
    }
    scope.save(failed)
    scope.emit("invoice.payment_failed", failed)
    return failed, intent


def subscription_of(invoice: Doc) -> str:
    """The subscription an invoice is of."""
    return str(invoice["parent"]["subscription_details"]["subscription"])


def card_for(scope: Scope, subscription: Doc) -> Doc | None:
    """The card a renewal asks: the subscription's own, else its customer's."""
    customer = scope.fetch("customer", subscription["customer"])
    chosen = (
        subscription["default_payment_method"]
        or customer["invoice_settings"]["default_payment_method"]
    )
    return scope.fetch("payment_method", chosen) if chosen else None
