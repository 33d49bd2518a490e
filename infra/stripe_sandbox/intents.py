"""The PaymentIntents API: charge a saved card while its holder is away.

https://docs.stripe.com/api/payment_intents
"""

from . import currencies, payments
from .errors import invalid, missing
from .listing import listing
from .params import Params
from .payment_methods import named, refuse_spent
from .people import living
from .scope import Scope
from .store import Doc, Filter

URL = "/v1/payment_intents"
KIND = "payment_intent"
OPEN = ("requires_payment_method", "requires_action")
LARGEST = 99_999_999


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/payment_intents, confirmed at once and off-session: who is there pays by Checkout."""
    amount = params.integer("amount", least=1, most=LARGEST)
    if amount is None:
        raise missing("amount")
    currency = currencies.asked(params, scope)
    customer = params.need("customer")
    living(scope, customer, "customer")
    method = _method(scope, params.need("payment_method"), customer)
    for name in ("confirm", "off_session"):
        if params.boolean(name) is not True:
            raise invalid(
                f"The sandbox does not support a payment intent without {name}.", param=name
            )
    intent = payments.create_intent(
        scope,
        amount=amount,
        currency=currency,
        customer=customer,
        at=scope.now(),
        description=params.text("description", longest=1000),
        metadata=params.metadata(),
        automatic_payment_methods=_automatic(params),
        payment_method=method["id"],
        payment_method_types=["card", *(["sepa_debit"] if scope.switches.bank_debits else [])],
        status="requires_confirmation",
    )
    params.finish()
    after = payments.confirm(scope, intent, method, at=scope.now(), off_session=True)
    if after["status"] == "requires_payment_method":
        raise payments.declined(after)
    return after


def _automatic(params: Params) -> Doc:
    given = params.child("automatic_payment_methods")
    redirects = given.text("allow_redirects", choices=("always", "never")) if given else None
    if given is not None and given.boolean("enabled") is False:
        raise invalid(
            "The sandbox does not support automatic_payment_methods[enabled]=false.",
            param="automatic_payment_methods[enabled]",
        )
    return {"allow_redirects": redirects or "always", "enabled": True}


def _method(scope: Scope, identifier: str, customer: str) -> Doc:
    """A payment method that this customer may use."""
    method = named(scope, identifier, "payment_method")
    refuse_spent(scope, method)
    owner = method["customer"]
    if owner == customer or owner is None:
        return method
    raise invalid(
        f"The customer does not have a payment method with the ID {identifier}. The payment "
        "method must be attached to the customer.",
        param="payment_method",
        code="resource_missing",
    )


def cancelled(scope: Scope, intent: Doc) -> Doc:
    """It takes no money any more."""
    after = scope.save(
        {
            **intent,
            "canceled_at": scope.now(),
            "cancellation_reason": "automatic",
            "next_action": None,
            "status": "canceled",
        }
    )
    scope.emit("payment_intent.canceled", after)
    return after


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/payment_intents/:id"""
    return scope.fetch(KIND, identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/payment_intents"""
    customer = params.text("customer")
    filters: list[Filter] = [("customer", "=", customer)] if customer else []
    return listing(scope, KIND, URL, params, filters)
