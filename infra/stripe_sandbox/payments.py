"""Payment intents and charges: asking a test card for money."""

from . import cards
from .balance import record as record_balance
from .cards import Decline
from .listing import listing
from .params import Params
from .payment_methods import card_of
from .scope import Scope
from .shapes import CHARGE, PAYMENT_INTENT, template
from .store import Doc, Filter

# How a charge says that its holder proved to be who they are.
AUTHENTICATED = {
    "authentication_flow": "challenge",
    "electronic_commerce_indicator": "05",
    "exemption_indicator": None,
    "result": "authenticated",
    "result_reason": None,
    "version": "2.2.0",
}
INTENTS_URL, CHARGES_URL = "/v1/payment_intents", "/v1/charges"


def create_intent(
    scope: Scope,
    *,
    amount: int,
    currency: str,
    customer: str | None,
    at: int,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
    setup_future_usage: str | None = None,
) -> Doc:
    """The intention to take an amount, still without a card."""
    identifier = scope.new_id("pi")
    intent = scope.save(
        {
            **template(PAYMENT_INTENT),
            "id": identifier,
            "amount": amount,
            "client_secret": f"{identifier}_secret_{scope.new_id('s')[2:]}",
            "created": at,
            "currency": currency,
            "customer": customer,
            "description": description,
            "metadata": metadata or {},
            "setup_future_usage": setup_future_usage,
        }
    )
    scope.emit("payment_intent.created", intent)
    return intent


def confirm(
    scope: Scope,
    intent: Doc,
    method: Doc,
    *,
    at: int,
    off_session: bool,
    authenticated: bool = False,
    challenge_url: str | None = None,
) -> Doc:
    """Try a card. The intent's new status says how it went.

    ``succeeded``; ``requires_action`` (its ``next_action`` leads to the 3-D Secure page);
    ``requires_payment_method`` (declined: see ``last_payment_error``).
    """
    verdict, decline = cards.decide(
        card_of(scope, method), off_session=off_session, authenticated=authenticated
    )
    if verdict == "challenge":
        return _challenge(scope, intent, method, challenge_url)
    charge = _charge(scope, intent, method, decline if verdict == "decline" else None, at)
    if authenticated:
        charge["payment_method_details"]["card"]["three_d_secure"] = {
            **AUTHENTICATED,
            "transaction_id": scope.new_id("dst"),
        }
    if verdict == "decline":
        scope.save(charge)
        scope.emit("charge.failed", charge)
        return fail(scope, intent, method, decline, charge=charge["id"])
    entry = record_balance(
        scope, kind="charge", amount=intent["amount"], source=charge["id"], at=at
    )
    charge["balance_transaction"] = entry["id"]
    scope.save(charge)
    scope.emit("charge.succeeded", charge)
    paid = scope.save(
        {
            **intent,
            "amount_received": intent["amount"],
            "last_payment_error": None,
            "latest_charge": charge["id"],
            "next_action": None,
            "payment_method": method["id"],
            "status": "succeeded",
        }
    )
    scope.emit("payment_intent.succeeded", paid)
    return paid


def _challenge(scope: Scope, intent: Doc, method: Doc, url: str | None) -> Doc:
    """The bank wants to ask its customer first."""
    waiting = scope.save(
        {
            **intent,
            "payment_method": method["id"],
            "status": "requires_action",
            "last_payment_error": None,
            "next_action": {
                "type": "redirect_to_url",
                "redirect_to_url": {"url": url, "return_url": None},
            },
        }
    )
    scope.emit("payment_intent.requires_action", waiting)
    return waiting


def fail(
    scope: Scope, intent: Doc, method: Doc, decline: Decline, *, charge: str | None = None
) -> Doc:
    """The card said no, or its holder did: the intent waits for another card."""
    error: Doc = {
        "code": decline.code,
        "doc_url": f"https://docs.stripe.com/error-codes/{decline.code.replace('_', '-')}",
        "message": decline.message,
        "payment_method": method,
        "type": "card_error",
    }
    if decline.decline_code:
        error["decline_code"] = decline.decline_code
    if charge:
        error["charge"] = charge
    failed = scope.save(
        {
            **intent,
            "last_payment_error": error,
            "latest_charge": charge or intent["latest_charge"],
            "next_action": None,
            "payment_method": None,
            "status": "requires_payment_method",
        }
    )
    scope.emit("payment_intent.payment_failed", failed)
    return failed


def _charge(scope: Scope, intent: Doc, method: Doc, decline: Decline | None, at: int) -> Doc:
    amount, card = intent["amount"], method["card"]
    return {
        **template(CHARGE),
        "id": scope.new_id("ch"),
        "amount": amount,
        "amount_captured": 0 if decline else amount,
        "billing_details": method["billing_details"],
        "captured": decline is None,
        "created": at,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "metadata": intent["metadata"],
        "outcome": _outcome(decline),
        "paid": decline is None,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
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
                "three_d_secure": None,
                "wallet": None,
            },
        },
        "status": "failed" if decline else "succeeded",
    }


def _outcome(decline: Decline | None) -> Doc:
    return {
        "advice_code": "try_again_later" if decline else None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": decline.decline_code if decline else None,
        "risk_level": "normal",
        "risk_score": 10,
        "seller_message": decline.message if decline else "Payment complete.",
        "type": "issuer_declined" if decline else "authorized",
    }


def _filters(params: Params, *names: str) -> list[Filter]:
    return [(name, "=", value) for name in names if (value := params.text(name))]


def retrieve_intent(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/payment_intents/:id"""
    return scope.fetch("payment_intent", identifier)


def list_intents(scope: Scope, params: Params) -> Doc:
    """GET /v1/payment_intents"""
    return listing(scope, "payment_intent", INTENTS_URL, params, _filters(params, "customer"))


def retrieve_charge(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/charges/:id"""
    return scope.fetch("charge", identifier)


def list_charges(scope: Scope, params: Params) -> Doc:
    """GET /v1/charges"""
    return listing(
        scope, "charge", CHARGES_URL, params, _filters(params, "customer", "payment_intent")
    )
