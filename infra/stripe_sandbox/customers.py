"""Customers."""

import secrets

from . import payment_methods, subscriptions
from .errors import invalid
from .listing import listing
from .params import Params
from .people import living
from .scope import Scope
from .shapes import CUSTOMER, template
from .store import Doc

URL = "/v1/customers"


def build(
    scope: Scope,
    *,
    email: str | None = None,
    name: str | None = None,
    at: int,
) -> Doc:
    """A customer; saved, no event yet."""
    return scope.save(
        {
            **template(CUSTOMER),
            "id": scope.new_id("cus"),
            "created": at,
            "email": email,
            "invoice_prefix": secrets.token_hex(4).upper(),
            "metadata": {},
            "name": name,
            "phone": None,
        }
    )


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/customers"""
    customer = _apply(scope, build(scope, at=scope.now()), params)
    params.finish()
    scope.save(customer)
    scope.emit("customer.created", customer)
    return customer


def _apply(scope: Scope, customer: Doc, params: Params) -> Doc:
    changed = {**customer}
    for name in ("email", "name"):
        if name in params:
            changed[name] = params.text(name, longest=512)
    email = changed["email"]
    if email is not None and ("@" not in email or " " in email):
        raise invalid(f"Invalid email address: {email}", param="email", code="email_invalid")
    settings = params.child("invoice_settings")
    if settings is not None:
        chosen = settings.text("default_payment_method")
        if chosen:
            method = scope.fetch("payment_method", chosen, settings.path("default_payment_method"))
            if method["customer"] != customer["id"]:
                raise invalid(
                    "The customer does not have a payment method with the ID " + chosen,
                    param=settings.path("default_payment_method"),
                )
        changed["invoice_settings"] = {
            **customer["invoice_settings"],
            "default_payment_method": chosen,
        }
    return changed


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/customers/:id; of a deleted one only the stub is left, as at Stripe."""
    return scope.fetch("customer", identifier)


def update(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/customers/:id"""
    before = living(scope, identifier)
    after = _apply(scope, before, params)
    params.finish()
    return scope.update("customer.updated", before, after)


def delete(scope: Scope, params: Params, identifier: str) -> Doc:
    """DELETE /v1/customers/:id: ends the subscriptions, lets the cards go, forgets the person."""
    living(scope, identifier)
    params.finish()
    for subscription in scope.all(
        "subscription", ("customer", "=", identifier), ("status", "!=", "canceled")
    ):
        subscriptions.end(scope, subscription, at=scope.now(), reason="cancellation_requested")
    for method in scope.all("payment_method", ("customer", "=", identifier)):
        payment_methods.release(scope, method)
    scope.emit("customer.deleted", scope.fetch("customer", identifier))
    return scope.save({"id": identifier, "object": "customer", "deleted": True})


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/customers; deleted ones are not listed."""
    return listing(scope, "customer", URL, params, [("created", ">", 0)])
