"""What happens when somebody pays, or leaves a card, on the hosted page.

https://docs.stripe.com/payments/checkout/how-checkout-works
"""

from dataclasses import dataclass
from typing import Literal

from . import customers, payment_methods, payments, setups
from .cards import AUTHENTICATION, SETUP_AUTHENTICATION, TEST_CARDS, decide
from .debits import TEST_ACCOUNTS
from .scope import Scope
from .session_shapes import details
from .store import Doc

Outcome = Literal["complete", "challenge", "declined"]


@dataclass(frozen=True)
class Entry:
    """The form, already checked. One of ``number`` and ``iban``, or neither where all is free."""

    number: str
    month: int
    year: int
    email: str
    name: str
    iban: str = ""


def submit(scope: Scope, session: Doc, entry: Entry) -> Outcome:
    """Try the card, or the bank account, that was typed."""
    at = scope.now()
    if session["mode"] == "payment" and session["amount_total"] == 0:
        return _give(scope, session, entry, at)
    method = _method(scope, entry, at)
    challenge = payments.redirect(f"{scope.settings.public_url}/c/pay/{session['id']}/3ds", None)
    if session["mode"] == "setup":
        return _set_up(scope, session, method, at, challenge=challenge)
    intent = _intent(scope, session, at)
    _remember(scope, session, intent=intent["id"], method=method["id"])
    if entry.iban or _passes(entry.number):
        intent = _with_customer(scope, session, intent, method, at)
    intent = payments.confirm(scope, intent, method, at=at, off_session=False, challenge=challenge)
    return _finish(scope, session, intent)


def _method(scope: Scope, entry: Entry, at: int) -> Doc:
    if entry.iban:
        account = TEST_ACCOUNTS[entry.iban]
        return payment_methods.from_account(
            scope, account, email=entry.email, name=entry.name, at=at
        )
    return payment_methods.from_card(
        scope,
        TEST_CARDS[entry.number],
        month=entry.month,
        year=entry.year,
        email=entry.email,
        name=entry.name,
        at=at,
    )


def _passes(number: str) -> bool:
    return decide(TEST_CARDS[number], off_session=False, authenticated=False)[0] == "succeed"


def _give(scope: Scope, session: Doc, entry: Entry, at: int) -> Outcome:
    """Nothing is due: no intent, no charge; a customer where one is wanted."""
    owner = session["customer"]
    if owner is None and session["customer_creation"] == "always":
        owner = _new_customer(scope, entry.email, entry.name, at)
    done = {**session, "customer": owner}
    _close(scope, done, details(entry.email, entry.name), status="no_payment_required")
    return "complete"


def _set_up(
    scope: Scope,
    session: Doc,
    method: Doc,
    at: int,
    *,
    challenge: Doc | None = None,
    authenticated: bool = False,
) -> Outcome:
    """Nothing is charged: the card is saved once its bank, and its holder, agree."""
    intent = scope.fetch(setups.KIND, session["setup_intent"])
    _remember(scope, session, intent=intent["id"], method=method["id"])
    payer = method["billing_details"]
    if authenticated or _passes(payment_methods.card_of(scope, method).number):
        owner = session["customer"]
        if owner is None and session["customer_creation"] == "always":
            owner = _new_customer(scope, payer["email"], payer["name"], at)
        intent = scope.save({**intent, "customer": owner})
    intent = setups.confirm(scope, intent, method, challenge=challenge, authenticated=authenticated)
    if intent["status"] == "requires_action":
        return "challenge"
    if intent["status"] != "succeeded":
        return "declined"
    done = {**session, "customer": intent["customer"]}
    _close(scope, done, details(payer["email"], payer["name"]), status="no_payment_required")
    return "complete"


def answer(scope: Scope, session: Doc, *, approved: bool) -> Outcome:
    """The holder approved or refused at the (pretended) bank."""
    at = scope.now()
    hidden = scope.hidden(session["id"])
    method = scope.fetch("payment_method", hidden["method"])
    if session["mode"] == "setup":
        if approved:
            return _set_up(scope, session, method, at, authenticated=True)
        intent = scope.fetch(setups.KIND, hidden["intent"])
        setups.fail(scope, intent, method, SETUP_AUTHENTICATION)
        return "declined"
    intent = scope.fetch("payment_intent", hidden["intent"])
    if not approved:
        payments.fail(scope, intent, method, AUTHENTICATION)
        return "declined"
    intent = _with_customer(scope, session, intent, method, at)
    intent = payments.confirm(scope, intent, method, at=at, off_session=False, authenticated=True)
    return _finish(scope, session, intent)


def _last_intent(scope: Scope, session: Doc) -> Doc | None:
    kept = scope.hidden(session["id"]).get("intent")
    return scope.find(kept) if kept else None


def waits_for_answer(scope: Scope, session: Doc) -> bool:
    """Whether the bank's question is still open."""
    intent = _last_intent(scope, session)
    return intent is not None and intent["status"] == "requires_action"


def last_decline(scope: Scope, session: Doc) -> str | None:
    """The decline code (else the error code) of the last try, or None."""
    intent = _last_intent(scope, session) or {}
    error = intent.get("last_payment_error") or intent.get("last_setup_error")
    return (error.get("decline_code") or error["code"]) if error else None


def last_payer(scope: Scope, session: Doc) -> Doc:
    """Who tried last, so that they need not type it again. Nothing of the card."""
    kept = scope.hidden(session["id"]).get("method")
    method = scope.find(kept) if kept else None
    return dict(method["billing_details"]) if method else {"email": None, "name": None}


def _intent(scope: Scope, session: Doc, at: int) -> Doc:
    """The session's intent: made at the first try, used again for the next card."""
    hidden = scope.hidden(session["id"])
    if kept := hidden.get("intent"):
        return scope.fetch("payment_intent", kept)
    data = hidden["intent_data"]
    intent = payments.create_intent(
        scope,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        at=at,
        description=data.get("description"),
        metadata=data.get("metadata"),
        setup_future_usage=data.get("setup_future_usage"),
        payment_method_types=session["payment_method_types"],
    )
    scope.save({**session, "payment_intent": intent["id"]})
    return intent


def _remember(scope: Scope, session: Doc, **facts: str) -> None:
    scope.keep_hidden(scope.fetch("checkout.session", session["id"]), **facts)


def _new_customer(scope: Scope, email: str | None, name: str | None, at: int) -> str:
    customer = customers.build(scope, email=email, name=name, at=at)
    scope.emit("customer.created", customer)
    return str(customer["id"])


def _with_customer(scope: Scope, session: Doc, intent: Doc, method: Doc, at: int) -> Doc:
    """The money is about to move: make the customer where one is wanted, and keep the card."""
    owner = session["customer"]
    if owner is None:
        if session["customer_creation"] != "always":
            return intent
        payer = method["billing_details"]
        owner = _new_customer(scope, payer["email"], payer["name"], at)
    if intent["setup_future_usage"]:
        payment_methods.save_for_later(scope, method, owner)
    return scope.save({**intent, "customer": owner})


def _finish(scope: Scope, session: Doc, intent: Doc) -> Outcome:
    if intent["status"] == "requires_action":
        return "challenge"
    if intent["status"] not in {"succeeded", "processing"}:
        return "declined"
    method = scope.fetch("payment_method", intent["payment_method"])
    payer = method["billing_details"]
    status = "paid" if intent["status"] == "succeeded" else "unpaid"
    done = {**session, "customer": intent["customer"]}
    _close(scope, done, details(payer["email"], payer["name"]), status=status)
    return "complete"


def _close(scope: Scope, session: Doc, payer: Doc, *, status: str) -> None:
    done = {
        **scope.fetch("checkout.session", session["id"]),
        "customer": session["customer"],
        "customer_details": payer,
        "payment_status": status,
        "status": "complete",
        "url": None,
    }
    scope.save(done)
    scope.emit("checkout.session.completed", done)


def bank_answers(scope: Scope, intent: Doc, *, succeeded: bool, at: int) -> Doc:
    """A bank says what became of a debit; a session that waited for it is told too.

    https://docs.stripe.com/payments/checkout/fulfill-orders
    """
    after = payments.settle(scope, intent, succeeded=succeeded, at=at)
    for session in scope.all("checkout.session", ("payment_intent", "=", intent["id"])):
        told = scope.save({**session, "payment_status": "paid" if succeeded else "unpaid"})
        outcome = "succeeded" if succeeded else "failed"
        scope.emit(f"checkout.session.async_payment_{outcome}", told)
    return after
