"""Subscriptions that begin, with their first invoice."""

from . import invoices, subscriptions
from .params import Params
from .people import living
from .scope import Scope
from .store import Doc


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/subscriptions: what is due first is collected at once, its payer away."""
    customer = living(scope, params.need("customer"), "customer")
    prices = [
        scope.fetch("price", item.need("price"), item.path("price"))
        for item in params.children("items")
    ]
    chosen = params.text("default_payment_method")
    if chosen:
        scope.fetch("payment_method", chosen, "default_payment_method")
    params.finish()
    at = scope.now()
    begun = subscriptions.begin(
        scope,
        customer=customer["id"],
        prices=prices,
        method=chosen,
        at=at,
    )
    invoice = invoices.draft(scope, begun, reason="subscription_create", period=(at, at), at=at)
    begun = scope.save({**begun, "latest_invoice": invoice["id"]})
    final = invoices.finalize(scope, invoice, at)
    after, _ = invoices.attempt(scope, final, invoices.card_for(scope, begun), at=at)
    if after["status"] != "paid":
        begun = scope.save({**begun, "status": "incomplete"})
    scope.emit("customer.subscription.created", begun)
    return begun
