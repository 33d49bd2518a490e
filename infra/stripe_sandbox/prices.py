"""Prices: in đồng, once or every so often. A price is never edited, only superseded."""

from . import currencies, products
from .errors import invalid
from .listing import listing
from .params import Params
from .periods import INTERVALS, LONGEST
from .scope import Scope
from .store import Doc, Filter

URL = "/v1/prices"
# Stripe's ceiling: eight digits for most currencies, more for small units; ours is generous.
LARGEST = 99_999_999_999


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/prices"""
    product_data = params.child("product_data")
    if product_data is not None:
        product = products.build(scope, product_data)
        scope.emit("product.created", product)
    else:
        product = scope.fetch("product", params.need("product"), "product")
    active = params.boolean("active")
    price = build(scope, params, product["id"], active=active is not False)
    params.finish()
    scope.emit("price.created", price)
    return price


def inline(scope: Scope, params: Params) -> Doc:
    """``price_data`` of a line: a price that is used once, so it is saved inactive."""
    product_data = params.child("product_data")
    if product_data is not None:
        product = products.build(scope, product_data, active=False)
    else:
        product = scope.fetch("product", params.need("product"), params.path("product"))
    return build(scope, params, product["id"], active=False)


def build(scope: Scope, params: Params, product: str, *, active: bool) -> Doc:
    """A price of a product; saved, no event yet."""
    currency = currencies.asked(params, scope)
    amount = _amount(params)
    recurring = _recurring(params)
    lookup_key = _lookup_key(scope, params)
    return scope.save(
        {
            "id": scope.new_id("price"),
            "object": "price",
            "active": active,
            "billing_scheme": params.text("billing_scheme", choices=["per_unit"]) or "per_unit",
            "created": scope.now(),
            "currency": currency,
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": lookup_key,
            "metadata": params.metadata(),
            "nickname": params.text("nickname"),
            "product": product,
            "recurring": recurring,
            "tax_behavior": params.text(
                "tax_behavior", choices=["exclusive", "inclusive", "unspecified"]
            )
            or "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "recurring" if recurring else "one_time",
            "unit_amount": amount,
            "unit_amount_decimal": str(amount),
        }
    )


def _amount(params: Params) -> int:
    if "unit_amount_decimal" in params and "unit_amount" not in params:
        # The đồng has no smaller unit, so a decimal amount is a whole one.
        amount = params.integer("unit_amount_decimal", least=0, most=LARGEST)
    else:
        amount = params.integer("unit_amount", least=0, most=LARGEST)
    if amount is None:
        raise invalid(
            "Missing required param: unit_amount.",
            param=params.path("unit_amount"),
            code="parameter_missing",
        )
    return amount


def _recurring(params: Params) -> Doc | None:
    recurring = params.child("recurring")
    if recurring is None:
        return None
    interval = recurring.need("interval", choices=INTERVALS)
    count = recurring.integer("interval_count", least=1, most=LONGEST[interval]) or 1
    recurring.text("usage_type", choices=["licensed"])
    return {
        "interval": interval,
        "interval_count": count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _lookup_key(scope: Scope, params: Params) -> str | None:
    key = params.text("lookup_key", longest=200)
    transfer = params.boolean("transfer_lookup_key")
    if key is None:
        return None
    for holder in scope.all("price", ("lookup_key", "=", key)):
        if not transfer:
            raise invalid(
                f"A price ({holder['id']}) already uses that lookup key.",
                param=params.path("lookup_key"),
            )
        scope.update("price.updated", holder, {**holder, "lookup_key": None})
    return key


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/prices/:id"""
    return scope.fetch("price", identifier)


def update(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/prices/:id: its name tags and whether it is on sale, never its amount."""
    before = scope.fetch("price", identifier)
    after = {**before, "metadata": params.metadata(before["metadata"])}
    active = params.boolean("active")
    if active is not None:
        after["active"] = active
    if "nickname" in params:
        after["nickname"] = params.text("nickname")
    if "lookup_key" in params and params.peek("lookup_key") != before["lookup_key"]:
        after["lookup_key"] = _lookup_key(scope, params)
    else:
        params.text("lookup_key")
        params.boolean("transfer_lookup_key")
    params.finish()
    return scope.update("price.updated", before, after)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/prices"""
    filters: list[Filter] = []
    active = params.boolean("active")
    if active is not None:
        filters.append(("active", "=", int(active)))
    for name in ("product", "currency", "type"):
        if value := params.text(name):
            filters.append((name, "=", value))
    if keys := params.texts("lookup_keys"):
        filters.append(("lookup_key", "in", keys))
    return listing(scope, "price", URL, params, filters)


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
