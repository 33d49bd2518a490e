"""Asking a card or a bank for money: what becomes of a payment intent.

States: https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from . import cards, charges, debits, dues
from .balance import record as record_balance
from .cards import Decline
from .errors import StripeError, card_error, doc_url
from .payment_methods import account_of, card_of, settled_for_later
from .scope import Scope
from .shapes import PAYMENT_INTENT, template
from .store import Doc


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
    **further: object,
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
            **further,
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
    challenge: Doc | None = None,
) -> Doc:
    """Try a card, or tell a bank to pay. The intent's new status says how it went.

    ``succeeded``; ``processing`` (a bank will answer); ``requires_action`` (its ``next_action``
    is the given challenge); ``requires_payment_method`` (declined: see ``last_payment_error``).
    """
    if method["type"] == debits.TYPE:
        return _process(scope, intent, method, at)
    verdict, decline = cards.decide(
        card_of(scope, method),
        off_session=off_session,
        authenticated=authenticated,
        set_up=settled_for_later(scope, method),
    )
    if verdict == "challenge":
        return _challenge(scope, intent, method, challenge)
    declined = decline if verdict == "decline" else None
    charge = charges.of_card(scope, intent, method, declined, at, secure=authenticated)
    if declined is not None:
        scope.save(charge)
        scope.emit("charge.failed", charge)
        return fail(scope, intent, method, declined, charge=charge["id"])
    late = scope.switches.late_fees
    charge = scope.save(charge) if late else _book(scope, charge, kind="charge", at=at)
    scope.emit("charge.succeeded", charge)
    paid = _paid(scope, intent, method, charge)
    if late:
        dues.later(scope, "capture", charge["id"], outcome="succeed", at=at)
    if card_of(scope, method).is_disputed:
        dues.plan(scope, "dispute", charge["id"], outcome="fraudulent", at=at)
    return paid


def _book(scope: Scope, charge: Doc, *, kind: str, at: int) -> Doc:
    entry = record_balance(
        scope,
        kind=kind,
        amount=charge["amount"],
        currency=charge["currency"],
        source=charge["id"],
        at=at,
    )
    return scope.save({**charge, "balance_transaction": entry["id"]})


def capture(scope: Scope, charge: Doc, at: int) -> Doc:
    """A card's money, and the fee on it, reach the balance: with the charge, or some time later.

    https://docs.stripe.com/payments/payment-intents/asynchronous-capture
    """
    if charge["status"] != "succeeded" or charge["balance_transaction"]:
        return charge
    booked = _book(scope, charge, kind="charge", at=at)
    scope.emit("charge.updated", booked, charge)
    return booked


def _paid(scope: Scope, intent: Doc, method: Doc, charge: Doc) -> Doc:
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
    if scope.fetch("payment_method", method["id"])["customer"] is None:
        scope.keep_hidden(method, spent=True)
    return paid


def _process(scope: Scope, intent: Doc, method: Doc, at: int) -> Doc:
    """The bank was told; its answer comes later, or by the control page."""
    charge = scope.save(charges.of_debit(scope, intent, method, at))
    scope.emit("charge.pending", charge)
    waiting = scope.save(
        {
            **intent,
            "last_payment_error": None,
            "latest_charge": charge["id"],
            "next_action": None,
            "payment_method": method["id"],
            "status": "processing",
        }
    )
    scope.emit("payment_intent.processing", waiting)
    outcome = account_of(scope, method).outcome
    dues.later(scope, "debit", intent["id"], outcome=outcome, at=at)
    return waiting


def settle(scope: Scope, intent: Doc, *, succeeded: bool, at: int) -> Doc:
    """The bank answers for an intent that is processing."""
    charge = scope.fetch("charge", intent["latest_charge"])
    method = scope.fetch("payment_method", intent["payment_method"])
    if succeeded:
        charge = _book(
            scope, {**charge, "paid": True, "status": "succeeded"}, kind="payment", at=at
        )
        scope.emit("charge.succeeded", charge)
        return _paid(scope, intent, method, charge)
    charge = {
        **charge,
        "amount_captured": 0,
        "captured": False,
        "failure_code": "insufficient_funds",
        "failure_message": "The customer's account has insufficient funds to cover this payment.",
        "status": "failed",
    }
    scope.save(charge)
    scope.emit("charge.failed", charge)
    failure = Decline("payment_intent_payment_attempt_failed", None, charge["failure_message"])
    return fail(scope, intent, method, failure, charge=charge["id"])


def _challenge(scope: Scope, intent: Doc, method: Doc, challenge: Doc | None) -> Doc:
    """The bank wants to ask its customer first."""
    waiting = scope.save(
        {
            **intent,
            "payment_method": method["id"],
            "status": "requires_action",
            "last_payment_error": None,
            "next_action": challenge,
        }
    )
    scope.emit("payment_intent.requires_action", waiting)
    return waiting


def redirect(url: str, return_url: str | None) -> Doc:
    """The ``next_action`` that sends the holder to their bank."""
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": url, "return_url": return_url},
    }


def failure(decline: Decline, method: Doc, charge: str | None = None) -> Doc:
    """The error that an intent keeps of its last try."""
    error: Doc = {
        "code": decline.code,
        "doc_url": doc_url(decline.code),
        "message": decline.message,
        "payment_method": method,
        "type": "card_error",
    }
    if decline.decline_code:
        error["decline_code"] = decline.decline_code
    if decline.param:
        error["param"] = decline.param
    if charge:
        error["charge"] = charge
    return error


def fail(
    scope: Scope, intent: Doc, method: Doc, decline: Decline, *, charge: str | None = None
) -> Doc:
    """The card said no, or its holder did: the intent waits for another card."""
    failed = scope.save(
        {
            **intent,
            "last_payment_error": failure(decline, method, charge),
            "latest_charge": charge or intent["latest_charge"],
            "next_action": None,
            "payment_method": None,
            "status": "requires_payment_method",
        }
    )
    scope.emit("payment_intent.payment_failed", failed)
    return failed


def declined(intent: Doc) -> StripeError:
    """The 402 that tells of an intent's last try: https://docs.stripe.com/declines"""
    error = intent["last_payment_error"]
    return card_error(
        error["message"],
        error["code"],
        error.get("decline_code"),
        param=error.get("param"),
        charge=error.get("charge"),
        doc_url=error["doc_url"],
        payment_intent=intent,
        payment_method=error["payment_method"],
    )
