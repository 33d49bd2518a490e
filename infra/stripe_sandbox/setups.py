"""Setup intents: saving a card that is charged later, with its holder there.

https://docs.stripe.com/payments/setupintents/lifecycle
"""

from . import cards, payments
from .cards import SETUP_AUTHENTICATION, Decline
from .payment_methods import card_of, save_for_later
from .scope import Scope
from .shapes import SETUP_INTENT, template
from .store import Doc

KIND = "setup_intent"


def build(
    scope: Scope,
    *,
    customer: str | None,
    metadata: dict[str, str],
    description: str | None,
    at: int,
) -> Doc:
    """The intention to save a card, still without one."""
    identifier = scope.new_id("seti")
    intent = scope.save(
        {
            **template(SETUP_INTENT),
            "id": identifier,
            "client_secret": f"{identifier}_secret_{scope.new_id('s')[2:]}",
            "created": at,
            "customer": customer,
            "description": description,
            "metadata": metadata,
        }
    )
    scope.emit("setup_intent.created", intent)
    return intent


def confirm(
    scope: Scope,
    intent: Doc,
    method: Doc,
    *,
    challenge: Doc | None = None,
    authenticated: bool = False,
) -> Doc:
    """Ask the card's bank. The status says how it went, as with a payment; nothing is charged."""
    verdict, decline = cards.decide(
        card_of(scope, method), off_session=False, authenticated=authenticated
    )
    if verdict == "decline":
        return fail(scope, intent, method, decline)
    if verdict == "challenge":
        waiting = {
            **intent,
            "last_setup_error": None,
            "next_action": challenge,
            "payment_method": method["id"],
            "status": "requires_action",
        }
        scope.save(waiting)
        scope.emit("setup_intent.requires_action", waiting)
        return waiting
    save_for_later(scope, method, intent["customer"])
    done = scope.save(
        {
            **intent,
            "last_setup_error": None,
            "next_action": None,
            "payment_method": method["id"],
            "status": "succeeded",
        }
    )
    scope.emit("setup_intent.succeeded", done)
    return done


def fail(scope: Scope, intent: Doc, method: Doc, decline: Decline = SETUP_AUTHENTICATION) -> Doc:
    """The bank or the holder said no: the intent waits for another card."""
    failed = scope.save(
        {
            **intent,
            "last_setup_error": payments.failure(decline, method),
            "next_action": None,
            "payment_method": None,
            "status": "requires_payment_method",
        }
    )
    scope.emit("setup_intent.setup_failed", failed)
    return failed


def cancelled(scope: Scope, intent: Doc) -> Doc:
    """It saves no card any more."""
    after = scope.save({**intent, "next_action": None, "status": "canceled"})
    scope.emit("setup_intent.canceled", after)
    return after
