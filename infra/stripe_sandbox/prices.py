"""Prices, with the product that each is of: in đồng, once or every so often."""

from . import currencies
from .errors import missing
from .params import Params
from .periods import INTERVALS, LONGEST
from .scope import Scope
from .store import Doc

URL = "/v1/prices"
# Stripe's ceiling: eight digits for most currencies, more for small units; ours is generous.
LARGEST = 99_999_999_999


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/prices, of a product that is made with it."""
    price = _build(scope, params, recurring=_recurring(params), active=True)
    params.finish()
    scope.emit("product.created", scope.fetch("product", price["product"]))
    scope.emit("price.created", price)
    return price


def inline(scope: Scope, params: Params) -> Doc:
    """``price_data`` of a line: a price that is used once, so it is saved inactive."""
    return _build(scope, params, recurring=None, active=False)


def _build(scope: Scope, params: Params, *, recurring: Doc | None, active: bool) -> Doc:
    """A price and its product; saved, no event yet."""
    currency = currencies.asked(params, scope)
    amount = params.integer("unit_amount", least=0, most=LARGEST)
    if amount is None:
        raise missing(params.path("unit_amount"))
    return scope.save(
        {
            "id": scope.new_id("price"),
            "object": "price",
            "active": active,
            "billing_scheme": "per_unit",
            "created": scope.now(),
            "currency": currency,
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": _product(scope, params, active=active)["id"],
            "recurring": recurring,
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "recurring" if recurring else "one_time",
            "unit_amount": amount,
            "unit_amount_decimal": str(amount),
        }
    )


def _product(scope: Scope, params: Params, *, active: bool) -> Doc:
    """What is sold: a name, nothing else."""
    data = params.child("product_data")
    if data is None:
        raise missing(params.path("product_data"))
    now = scope.now()
    return scope.save(
        {
            "id": scope.new_id("prod"),
            "object": "product",
            "active": active,
            "created": now,
            "default_price": None,
            "description": None,
            "images": [],
            "livemode": False,
            "marketing_features": [],
            "metadata": {},
            "name": data.need("name"),
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": None,
            "tax_code": None,
            "type": "service",
            "unit_label": None,
            "updated": now,
            "url": None,
        }
    )


def _recurring(params: Params) -> Doc | None:
    recurring = params.child("recurring")
    if recurring is None:
        return None
    interval = recurring.need("interval", choices=INTERVALS)
    count = recurring.integer("interval_count", least=1, most=LONGEST[interval]) or 1
    return {
        "interval": interval,
        "interval_count": count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def plan_of(price: Doc) -> Doc:
    """The older ``plan`` face of a recurring price, which subscription items still carry."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
