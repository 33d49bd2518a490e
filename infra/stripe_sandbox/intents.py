"""The PaymentIntents API: charge a saved card, with its holder there or not.

https://docs.stripe.com/api/payment_intents
"""

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from . import currencies, payments
from .cards import AUTHENTICATION, NEEDS_HOLDER
from .errors import StripeError, invalid
from .listing import listing
from .params import Params
from .payment_methods import named, refuse_spent, save_for_later
from .people import living
from .scope import Scope
from .store import Doc, Filter

URL = "/v1/payment_intents"
KIND = "payment_intent"
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
LARGEST = 99_999_999
CAPTURES = ("automatic", "automatic_async")
USAGES = ("off_session", "on_session")


@dataclass(frozen=True)
class Wish:
    """How an intent is to be confirmed."""

    off_session: bool
    return_url: str | None
    error_on_action: bool


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/payment_intents"""
    amount = params.integer("amount", least=1, most=LARGEST)
    if amount is None:
        raise invalid("Missing required param: amount.", param="amount", code="parameter_missing")
    currency = currencies.asked(params, scope)
    customer = params.text("customer")
    if customer:
        living(scope, customer, "customer")
    chosen = params.text("payment_method")
    method = _method(scope, chosen, customer) if chosen else None
    asks = params.boolean("confirm") is True
    wish = _wish(params)
    if not asks and (wish.off_session or wish.return_url or wish.error_on_action):
        name = "off_session" if wish.off_session else "return_url"
        raise invalid(f"`{name}` can only be used with `confirm=true`.", param=name)
    types = _types(scope, params)
    intent = payments.create_intent(
        scope,
        amount=amount,
        currency=currency,
        customer=customer,
        at=scope.now(),
        description=params.text("description", longest=1000),
        metadata=params.metadata(),
        setup_future_usage=params.text("setup_future_usage", choices=USAGES),
        automatic_payment_methods=_automatic(params),
        capture_method=params.text("capture_method", choices=CAPTURES) or CAPTURES[1],
        payment_method=method["id"] if method else None,
        payment_method_types=types,
        receipt_email=params.text("receipt_email", longest=800),
        statement_descriptor_suffix=params.text("statement_descriptor_suffix", longest=22),
        status="requires_confirmation" if method else "requires_payment_method",
    )
    params.text("confirmation_method", choices=("automatic",))
    return _confirm(scope, intent, method, wish) if asks else intent


def _wish(params: Params) -> Wish:
    off = params.text("off_session", choices=("true", "false", "one_off", "recurring"))
    return Wish(
        off_session=off not in {None, "false"},
        return_url=params.address("return_url"),
        error_on_action=params.boolean("error_on_requires_action") is True,
    )


def _types(scope: Scope, params: Params) -> list[str]:
    offered = ["card", *(["sepa_debit"] if scope.switches.bank_debits else [])]
    allowed = params.texts("allowed_payment_method_types")
    found = offered if allowed is None else [one for one in offered if one in allowed]
    if not found:
        raise invalid(
            "No valid payment method types for this Payment Intent.",
            param="allowed_payment_method_types",
        )
    return found


def _automatic(params: Params) -> Doc:
    given = params.child("automatic_payment_methods")
    redirects = given.text("allow_redirects", choices=("always", "never")) if given else None
    if given is not None and given.boolean("enabled") is False:
        raise invalid(
            "The sandbox does not support automatic_payment_methods[enabled]=false.",
            param="automatic_payment_methods[enabled]",
        )
    return {"allow_redirects": redirects or "always", "enabled": True}


def _method(scope: Scope, identifier: str, customer: str | None) -> Doc:
    """A payment method that this customer may use."""
    method = named(scope, identifier, "payment_method")
    refuse_spent(scope, method)
    owner = method["customer"]
    if owner == customer or owner is None:
        return method
    if customer is None:
        raise invalid(
            f"The PaymentMethod {identifier} belongs to a Customer. Please include the Customer "
            "in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    raise invalid(
        f"The customer does not have a payment method with the ID {identifier}. The payment "
        "method must be attached to the customer.",
        param="payment_method",
        code="resource_missing",
    )


def confirm(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/payment_intents/:id/confirm"""
    intent = scope.fetch(KIND, identifier)
    if intent["status"] not in CONFIRMABLE:
        raise _unexpected("confirm", intent, CONFIRMABLE)
    if intent["customer"]:
        living(scope, intent["customer"], "customer")
    chosen = params.text("payment_method") or intent["payment_method"]
    method = _method(scope, chosen, intent["customer"]) if chosen else None
    usage = params.text("setup_future_usage", choices=USAGES)
    if usage:
        intent = {**intent, "setup_future_usage": usage}
    if email := params.text("receipt_email", longest=800):
        intent = {**intent, "receipt_email": email}
    return _confirm(scope, intent, method, _wish(params))


def _confirm(scope: Scope, intent: Doc, method: Doc | None, wish: Wish) -> Doc:
    if method is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    after = payments.confirm(
        scope,
        intent,
        method,
        at=scope.now(),
        off_session=wish.off_session,
        challenge=_challenge(scope, intent, wish.return_url),
    )
    if after["status"] == "requires_action" and wish.error_on_action:
        after = payments.fail(scope, after, method, NEEDS_HOLDER)
    if after["status"] == "requires_payment_method":
        raise payments.declined(after)
    keep(scope, after, method, off_session=wish.off_session)
    return after


def keep(scope: Scope, intent: Doc, method: Doc, *, off_session: bool) -> None:
    """Save the card where the intent says that it is charged again."""
    done = intent["status"] in {"succeeded", "processing"}
    if done and intent["setup_future_usage"] and not off_session and intent["customer"]:
        kept = save_for_later(scope, method, intent["customer"])
        scope.keep_hidden(kept, spent=False)


def _challenge(scope: Scope, intent: Doc, return_url: str | None) -> Doc:
    """Where the holder goes: a page of ours, or (without a return address) Stripe.js's business."""
    secret = urlencode({"payment_intent_client_secret": intent["client_secret"]})
    url = f"{scope.settings.public_url}/c/authorize/{quote(intent['id'])}?{secret}"
    if return_url:
        return payments.redirect(url, return_url)
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
    }


def authorize(scope: Scope, intent: Doc, *, approved: bool) -> Doc:
    """The holder approved or refused, at their bank, an intent that waits for it."""
    method = scope.fetch("payment_method", intent["payment_method"])
    if not approved:
        return payments.fail(scope, intent, method, AUTHENTICATION)
    after = payments.confirm(
        scope,
        intent,
        method,
        at=scope.now(),
        off_session=False,
        authenticated=True,
    )
    keep(scope, after, method, off_session=False)
    return after


def cancel(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/payment_intents/:id/cancel"""
    intent = scope.fetch(KIND, identifier)
    reason = params.text(
        "cancellation_reason",
        choices=("abandoned", "duplicate", "fraudulent", "requested_by_customer"),
    )
    params.finish()
    if intent["status"] not in CONFIRMABLE:
        raise _unexpected("cancel", intent, CONFIRMABLE)
    if scope.all("checkout.session", (KIND, "=", identifier), ("status", "=", "open")):
        raise invalid(
            "You cannot cancel the PaymentIntent for a Checkout Session. Expire the Checkout "
            "Session instead.",
            payment_intent=intent,
        )
    return cancelled(scope, intent, reason)


def cancelled(scope: Scope, intent: Doc, reason: str | None = "automatic") -> Doc:
    """It takes no money any more."""
    after = scope.save(
        {
            **intent,
            "canceled_at": scope.now(),
            "cancellation_reason": reason,
            "next_action": None,
            "status": "canceled",
        }
    )
    scope.emit("payment_intent.canceled", after)
    return after


def _unexpected(verb: str, intent: Doc, allowed: tuple[str, ...]) -> StripeError:
    """https://docs.stripe.com/error-codes#payment-intent-unexpected-state"""
    status, done = intent["status"], {"confirm": "confirmed", "cancel": "canceled"}[verb]
    if verb == "confirm" and status == "succeeded":
        why = "it has already succeeded after being previously confirmed."
    else:
        why = (
            f"it has a status of {status}. Only a PaymentIntent with one of the following "
            f"statuses may be {done}: {', '.join(allowed)}."
        )
    return invalid(
        f"You cannot {verb} this PaymentIntent because {why}",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


def update(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/payment_intents/:id: its metadata and description only."""
    intent = scope.fetch(KIND, identifier)
    after = {**intent, "metadata": params.metadata(intent["metadata"])}
    if "description" in params:
        after["description"] = params.text("description", longest=1000)
    return scope.save(after)


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/payment_intents/:id"""
    return scope.fetch(KIND, identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/payment_intents"""
    customer = params.text("customer")
    filters: list[Filter] = [("customer", "=", customer)] if customer else []
    return listing(scope, KIND, URL, params, filters)
