"""Payment methods: a test card that somebody typed."""

import hashlib

from .cards import TEST_CARDS, TestCard
from .customers import blank_address
from .errors import invalid
from .listing import listing
from .params import Params
from .scope import Scope
from .store import Doc, Filter

URL = "/v1/payment_methods"


def from_card(
    scope: Scope,
    card: TestCard,
    *,
    month: int,
    year: int,
    email: str | None,
    name: str | None,
    at: int,
) -> Doc:
    """A card payment method; which test card it was stays beside the document."""
    return scope.save(
        {
            "id": scope.new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "limited",
            "billing_details": billing_details(email, name),
            "card": {
                "brand": card.brand,
                "checks": {
                    "address_line1_check": None,
                    "address_postal_code_check": None,
                    "cvc_check": "pass",
                },
                "country": "US",
                "display_brand": card.brand,
                "exp_month": month,
                "exp_year": year,
                "fingerprint": hashlib.sha256(card.number.encode()).hexdigest()[:16],
                "funding": "credit",
                "generated_from": None,
                "last4": card.number[-4:],
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
            "created": at,
            "customer": None,
            "livemode": False,
            "metadata": {},
            "type": "card",
        },
        hidden={"test_card": card.number},
    )


def billing_details(email: str | None, name: str | None) -> Doc:
    """Who pays."""
    return {
        "address": blank_address(),
        "email": email,
        "name": name,
        "phone": None,
        "tax_id": None,
    }


def card_of(scope: Scope, method: Doc) -> TestCard:
    """The test card behind a payment method."""
    return TEST_CARDS[scope.hidden(method["id"])["test_card"]]


def bind(scope: Scope, method: Doc, customer: str) -> Doc:
    """Attach to a customer; an attached one stays where it is."""
    if method["customer"] == customer:
        return method
    attached = scope.save({**method, "customer": customer})
    scope.emit("payment_method.attached", attached)
    return attached


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/payment_methods/:id"""
    return scope.fetch("payment_method", identifier)


def list_(scope: Scope, params: Params, customer: str | None = None) -> Doc:
    """GET /v1/payment_methods and GET /v1/customers/:id/payment_methods"""
    params.text("type", choices=["card"])
    owner = customer or params.text("customer")
    if owner is None:
        raise invalid("Missing required param: customer.", param="customer")
    scope.fetch("customer", owner, "customer")
    filters: list[Filter] = [("customer", "=", owner)]
    url = f"/v1/customers/{customer}/payment_methods" if customer else URL
    return listing(scope, "payment_method", url, params, filters)
