"""Charges: one try to take money each, whether it went well or not."""

from .cards import Decline
from .listing import listing
from .params import Params
from .scope import Scope
from .shapes import CHARGE, template
from .store import Doc, Filter

URL = "/v1/charges"
# How a charge says that its holder proved to be who they are.
AUTHENTICATED = {
    "authentication_flow": "challenge",
    "electronic_commerce_indicator": "05",
    "exemption_indicator": None,
    "result": "authenticated",
    "result_reason": None,
    "version": "2.2.0",
}


def of_card(
    scope: Scope, intent: Doc, method: Doc, decline: Decline | None, at: int, *, secure: bool
) -> Doc:
    """A card was asked; not saved yet. ``secure``: its holder was asked too, and approved."""
    amount, card = intent["amount"], method["card"]
    three_d_secure = {**AUTHENTICATED, "transaction_id": scope.new_id("dst")} if secure else None
    return {
        **_begun(scope.new_id("ch"), intent, method, at),
        "amount_captured": 0 if decline else amount,
        "captured": decline is None,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "outcome": _outcome(decline),
        "paid": decline is None,
        "payment_method_details": {
            "type": "card",
            "card": {
                "amount_authorized": None if decline else amount,
                "authorization_code": None,
                "brand": card["brand"],
                "checks": card["checks"],
                "country": card["country"],
                "exp_month": card["exp_month"],
                "exp_year": card["exp_year"],
                "fingerprint": card["fingerprint"],
                "funding": card["funding"],
                "installments": None,
                "last4": card["last4"],
                "mandate": None,
                "network": card["brand"],
                "network_token": {"used": False},
                "regulated_status": "unregulated",
                "three_d_secure": three_d_secure,
                "wallet": None,
            },
        },
        "status": "failed" if decline else "succeeded",
    }


def of_debit(scope: Scope, intent: Doc, method: Doc, at: int) -> Doc:
    """A bank was told to pay, and has not answered; not saved yet."""
    debit = method["sepa_debit"]
    return {
        **_begun(scope.new_id("py"), intent, method, at),
        "amount_captured": intent["amount"],
        "captured": True,
        "failure_code": None,
        "failure_message": None,
        "outcome": _outcome(None),
        "paid": False,
        "payment_method_details": {
            "type": "sepa_debit",
            "sepa_debit": {
                "bank_code": debit["bank_code"],
                "branch_code": debit["branch_code"],
                "country": debit["country"],
                "expected_debit_date": None,
                "fingerprint": debit["fingerprint"],
                "last4": debit["last4"],
                "mandate": None,
            },
        },
        "status": "pending",
    }


def _begun(identifier: str, intent: Doc, method: Doc, at: int) -> Doc:
    return {
        **template(CHARGE),
        "id": identifier,
        "amount": intent["amount"],
        "billing_details": method["billing_details"],
        "created": at,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "metadata": intent["metadata"],
        "payment_intent": intent["id"],
        "payment_method": method["id"],
    }


def _outcome(decline: Decline | None) -> Doc:
    if decline is None:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 10,
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        "advice_code": "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network",
        "reason": decline.decline_code,
        "risk_level": "normal",
        "risk_score": 10,
        "seller_message": decline.message,
        "type": "issuer_declined",
    }


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/charges/:id"""
    return scope.fetch("charge", identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/charges"""
    filters: list[Filter] = [
        (name, "=", value)
        for name in ("customer", "payment_intent")
        if (value := params.text(name))
    ]
    return listing(scope, "charge", URL, params, filters)
