"""Disputes: a reader's bank takes a payment back, until the dispute is won or lost.

https://docs.stripe.com/disputes/how-disputes-work, https://docs.stripe.com/testing#disputes
"""

from . import payments
from .balance import record as record_balance
from .errors import invalid
from .params import Params
from .scope import Scope
from .shapes import DISPUTE, template
from .store import Doc

URL = "/v1/disputes"
KIND = "dispute"
DAY = 86_400
ANSWER_WITHIN = 7 * DAY
OPEN = ("needs_response", "under_review")
# https://docs.stripe.com/api/disputes/object#dispute_object-reason
REASONS = (
    "bank_cannot_process",
    "check_returned",
    "credit_not_processed",
    "customer_initiated",
    "debit_not_authorized",
    "duplicate",
    "fraudulent",
    "general",
    "incorrect_account_details",
    "insufficient_funds",
    "noncompliant",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
)


def open_(scope: Scope, charge: Doc, *, reason: str, amount: int | None, at: int) -> Doc:
    """A bank disputes a charge (what is left of it): the money and a fee leave the balance at once.

    Raises:
        StripeError: the charge took no money, is disputed already, or took less.
    """
    if charge["status"] != "succeeded":
        raise invalid(f"Charge {charge['id']} is {charge['status']}: nothing to dispute.")
    if scope.all(KIND, ("charge", "=", charge["id"])):
        raise invalid(f"Charge {charge['id']} has been disputed already.")
    taken = amount or (charge["amount"] - charge["amount_refunded"]) or charge["amount"]
    if taken > charge["amount"]:
        raise invalid(f"Charge {charge['id']} took {charge['amount']} only.", param="amount")
    charge = payments.capture(scope, charge, at)
    identifier = scope.new_id("du")
    entry = _move(scope, identifier, charge["currency"], -taken, at)
    dispute = scope.save(
        {
            **template(DISPUTE),
            "id": identifier,
            "amount": taken,
            "balance_transactions": [entry],
            "charge": charge["id"],
            "created": at,
            "currency": charge["currency"],
            "evidence_details": {
                "due_by": at + ANSWER_WITHIN,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
                "submission_method": "not_submitted",
            },
            "payment_intent": charge["payment_intent"],
            "payment_method_details": _method(charge),
            "reason": reason,
        }
    )
    scope.emit("charge.dispute.created", dispute)
    scope.emit("charge.dispute.funds_withdrawn", dispute)
    scope.update("charge.updated", charge, {**charge, "disputed": True})
    return dispute


def _method(charge: Doc) -> Doc | None:
    card = charge["payment_method_details"].get("card")
    if card is None:
        return None
    return {
        "type": "card",
        "card": {
            "brand": card["brand"],
            "case_type": "chargeback",
            "network": card["network"],
            "network_reason_code": "10.4",
        },
    }


def _move(scope: Scope, dispute: str, currency: str, amount: int, at: int) -> Doc:
    """Out with a fee, or back without one: https://docs.stripe.com/disputes/how-disputes-work"""
    out = amount < 0
    return record_balance(
        scope,
        kind="adjustment",
        amount=amount,
        currency=currency,
        source=dispute,
        at=at,
        fee=scope.settings.dispute_fee if out and currency == "vnd" else 1_500 if out else 0,
        category="dispute" if out else "dispute_reversal",
        description=f"Chargeback {'withdrawal' if out else 'reversal'} for {dispute}",
    )


def close(scope: Scope, dispute: Doc, *, won: bool, at: int) -> Doc:
    """The bank decides. Lost: the money is gone. Won: it comes back, the fee does not.

    Raises:
        StripeError: it is decided already.
    """
    if dispute["status"] not in OPEN:
        raise invalid(
            f"This dispute is already closed (it has a status of {dispute['status']}).",
            code="dispute_already_closed",
        )
    after = {**dispute, "status": "won" if won else "lost"}
    if won:
        entry = _move(scope, dispute["id"], dispute["currency"], dispute["amount"], at)
        after["balance_transactions"] = [*dispute["balance_transactions"], entry]
        after["is_charge_refundable"] = True
    scope.save(after)
    scope.emit("charge.dispute.closed", after, dispute)
    if won:
        scope.emit("charge.dispute.funds_reinstated", after, dispute)
    return after


def review(scope: Scope, dispute: Doc) -> Doc:
    """Evidence was handed in: the bank looks at it.

    Raises:
        StripeError: it is decided already.
    """
    if dispute["status"] not in OPEN:
        raise invalid("This dispute is already closed.", code="dispute_already_closed")
    details = dispute["evidence_details"]
    after = {
        **dispute,
        "evidence_details": {
            **details,
            "has_evidence": True,
            "submission_count": details["submission_count"] + 1,
            "submission_method": "manual",
        },
        "status": "under_review",
    }
    return scope.update("charge.dispute.updated", dispute, after)


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/disputes/:id"""
    return scope.fetch(KIND, identifier)
