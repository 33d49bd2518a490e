"""What happens when somebody pays on the hosted page."""

from dataclasses import dataclass
from typing import Literal

from . import customers, invoices, payment_methods, payments, subscriptions
from .cards import AUTHENTICATION, TEST_CARDS, decide
from .scope import Scope
from .session_shapes import details
from .store import Doc

Outcome = Literal["complete", "challenge", "declined"]


@dataclass(frozen=True)
class Entry:
    """The form, already checked."""

    number: str
    month: int
    year: int
    email: str
    name: str


def submit(scope: Scope, session: Doc, entry: Entry) -> Outcome:
    """Try the card that was typed."""
    at = scope.time_of(session["customer"])
    card = TEST_CARDS[entry.number]
    method = payment_methods.from_card(
        scope,
        card,
        month=entry.month,
        year=entry.year,
        email=entry.email,
        name=entry.name,
        at=at,
    )
    intent = _intent(scope, session, at)
    _remember(scope, session, intent=intent["id"], method=method["id"])
    verdict, _ = decide(card, off_session=False, authenticated=False)
    if verdict == "succeed":
        intent = _with_customer(scope, session, intent, method, at)
    intent = payments.confirm(
        scope,
        intent,
        method,
        at=at,
        off_session=False,
        challenge_url=f"{scope.settings.public_url}/c/pay/{session['id']}/3ds",
    )
    return _finish(scope, session, intent, at)


def answer(scope: Scope, session: Doc, *, approved: bool) -> Outcome:
    """The holder approved or refused at the (pretended) bank."""
    at = scope.time_of(session["customer"])
    hidden = scope.hidden(session["id"])
    intent = scope.fetch("payment_intent", hidden["intent"])
    method = scope.fetch("payment_method", hidden["method"])
    if not approved:
        payments.fail(scope, intent, method, AUTHENTICATION)
        return "declined"
    intent = _with_customer(scope, session, intent, method, at)
    intent = payments.confirm(scope, intent, method, at=at, off_session=False, authenticated=True)
    return _finish(scope, session, intent, at)


def waits_for_answer(scope: Scope, session: Doc) -> bool:
    """Whether the bank's question is still open."""
    kept = scope.hidden(session["id"]).get("intent")
    intent = scope.find(kept) if kept else None
    return intent is not None and intent["status"] == "requires_action"


def last_decline(scope: Scope, session: Doc) -> str | None:
    """The decline code (else the error code) of the last try, or None."""
    kept = scope.hidden(session["id"]).get("intent")
    intent = scope.find(kept) if kept else None
    error = intent["last_payment_error"] if intent else None
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
    subscription = session["mode"] == "subscription"
    intent = payments.create_intent(
        scope,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        at=at,
        description="Subscription creation" if subscription else data.get("description"),
        metadata=data.get("metadata"),
        setup_future_usage="off_session" if subscription else data.get("setup_future_usage"),
    )
    if not subscription:
        scope.save({**session, "payment_intent": intent["id"]})
    return intent


def _remember(scope: Scope, session: Doc, **facts: str) -> None:
    current = scope.fetch("checkout.session", session["id"])
    scope.save(current, {**scope.hidden(session["id"]), **facts})


def _with_customer(scope: Scope, session: Doc, intent: Doc, method: Doc, at: int) -> Doc:
    """The money is about to move: make the customer where one is wanted, and keep the card."""
    owner = session["customer"]
    if owner is None:
        if session["customer_creation"] != "always":
            return intent
        payer = method["billing_details"]
        customer = customers.build(scope, email=payer["email"], name=payer["name"], at=at)
        scope.emit("customer.created", customer)
        owner = customer["id"]
    if intent["setup_future_usage"]:
        payment_methods.bind(scope, method, owner)
    return scope.save({**intent, "customer": owner})


def _finish(scope: Scope, session: Doc, intent: Doc, at: int) -> Outcome:
    if intent["status"] == "requires_action":
        return "challenge"
    if intent["status"] != "succeeded":
        return "declined"
    _complete(scope, session["id"], intent, at)
    return "complete"


def _complete(scope: Scope, identifier: str, intent: Doc, at: int) -> None:
    session = scope.fetch("checkout.session", identifier)
    method = scope.fetch("payment_method", intent["payment_method"])
    payer = method["billing_details"]
    done = {
        **session,
        "customer": intent["customer"],
        "customer_details": details(payer["email"], payer["name"]),
        "payment_status": "paid",
        "status": "complete",
        "url": None,
    }
    if session["mode"] == "subscription":
        subscription = _subscribe(scope, session, intent, at)
        done["subscription"] = subscription["id"]
        done["invoice"] = subscription["latest_invoice"]
    scope.save(done)
    scope.emit("checkout.session.completed", done)


def _subscribe(scope: Scope, session: Doc, intent: Doc, at: int) -> Doc:
    hidden = scope.hidden(session["id"])
    data = hidden["subscription_data"]
    subscription = subscriptions.begin(
        scope,
        customer=intent["customer"],
        lines=[(scope.fetch("price", price), count) for price, count in hidden["prices"]],
        method=intent["payment_method"],
        metadata=data.get("metadata", {}),
        description=data.get("description"),
        at=at,
    )
    invoice = invoices.draft(
        scope, subscription, reason="subscription_create", period=(at, at), at=at
    )
    subscription = scope.save({**subscription, "latest_invoice": invoice["id"]})
    scope.emit("customer.subscription.created", subscription)
    invoices.settle(scope, invoices.finalize(scope, invoice, at), intent, at)
    return subscription
