"""Products: what is sold, without its price."""

from .errors import invalid
from .listing import listing
from .params import Params
from .scope import Scope
from .store import Doc, Filter

URL = "/v1/products"


def build(scope: Scope, params: Params, *, active: bool = True) -> Doc:
    """A product from ``name`` and its companions; saved, no event yet."""
    now = scope.now()
    return scope.save(
        {
            "id": params.text("id", longest=200) or scope.new_id("prod"),
            "object": "product",
            "active": active,
            "created": now,
            "default_price": None,
            "description": params.text("description"),
            "images": params.texts("images") or [],
            "livemode": False,
            "marketing_features": [],
            "metadata": params.metadata(),
            "name": params.need("name"),
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": params.text("statement_descriptor", longest=22),
            "tax_code": params.text("tax_code"),
            "type": "service",
            "unit_label": params.text("unit_label"),
            "updated": now,
            "url": params.text("url"),
        }
    )


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/products"""
    identifier = params.peek("id")
    if identifier and scope.store.owner(str(identifier)) is not None:
        raise invalid("Product already exists.", param="id", code="resource_already_exists")
    active = params.boolean("active")
    product = build(scope, params, active=active is not False)
    params.finish()
    scope.emit("product.created", product)
    return product


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/products/:id"""
    return scope.fetch("product", identifier)


def update(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/products/:id"""
    before = scope.fetch("product", identifier)
    after = {**before, "metadata": params.metadata(before["metadata"])}
    for name in ("name", "description", "statement_descriptor", "unit_label", "url"):
        if name in params:
            after[name] = params.text(name)
    active = params.boolean("active")
    if active is not None:
        after["active"] = active
    default_price = params.text("default_price")
    if default_price:
        after["default_price"] = scope.fetch("price", default_price, "default_price")["id"]
    params.finish()
    if after != before:
        after["updated"] = scope.now()
    return scope.update("product.updated", before, after)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/products"""
    filters: list[Filter] = []
    active = params.boolean("active")
    if active is not None:
        filters.append(("active", "=", int(active)))
    if ids := params.texts("ids"):
        filters.append(("id", "in", ids))
    return listing(scope, "product", URL, params, filters)
