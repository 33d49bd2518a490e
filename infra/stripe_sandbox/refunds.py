"""Refunds: whole or in parts, never more than is left of the charge."""

from .balance import record as record_balance
from .errors import invalid, missing
from .listing import listing
from .params import Params
from .scope import Scope
from .shapes import REFUND, template
from .store import Doc, Filter

URL = "/v1/refunds"
REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/refunds"""
    charge = _charge(scope, params)
    amount = params.integer("amount", least=1)
    reason = params.text("reason", choices=REASONS)
    metadata = params.metadata()
    params.finish()
    left = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        raise invalid(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    if amount is not None and amount > left:
        raise invalid(
            f"Refund amount ({amount} VND) is greater than unrefunded amount on charge "
            f"({left} VND)",
            param="amount",
        )
    at = scope.time_of(charge["customer"])
    taken = amount or left
    identifier = scope.new_id("re")
    entry = record_balance(scope, kind="refund", amount=-taken, source=identifier, at=at)
    refund = scope.save(
        {
            **template(REFUND),
            "id": identifier,
            "amount": taken,
            "balance_transaction": entry["id"],
            "charge": charge["id"],
            "created": at,
            "currency": charge["currency"],
            "metadata": metadata,
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": reason,
        }
    )
    refunded = charge["amount_refunded"] + taken
    after = {
        **charge,
        "amount_refunded": refunded,
        "refunded": refunded == charge["amount_captured"],
    }
    scope.update("charge.refunded", charge, after)
    scope.emit("refund.created", refund)
    return refund


def _charge(scope: Scope, params: Params) -> Doc:
    named, intent = params.text("charge"), params.text("payment_intent")
    if named is None and intent is None:
        raise missing("charge")
    if named is None and intent is not None:
        latest = scope.fetch("payment_intent", intent, "payment_intent")["latest_charge"]
        if latest is None:
            raise invalid(
                f"This PaymentIntent ({intent}) does not have a successful charge to refund.",
                param="payment_intent",
            )
        named = str(latest)
    charge = scope.fetch("charge", str(named), "charge")
    if intent is not None and charge["payment_intent"] != intent:
        raise invalid("The charge is not of that payment_intent.", param="payment_intent")
    if charge["status"] != "succeeded":
        raise invalid(
            f"Charge {charge['id']} has failed, so there is nothing to refund.", param="charge"
        )
    return charge


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/refunds/:id"""
    return scope.fetch("refund", identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/refunds"""
    filters: list[Filter] = [
        (name, "=", value) for name in ("charge", "payment_intent") if (value := params.text(name))
    ]
    return listing(scope, "refund", URL, params, filters)
