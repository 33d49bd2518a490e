"""The events list: what a sweep reads to find what never arrived."""

from .errors import invalid
from .listing import listing
from .params import Params
from .scope import Scope
from .store import Doc, Filter

URL = "/v1/events"
# https://docs.stripe.com/api/events/list#list_events-types
MOST_TYPES = 20


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/events, by time and by type (``charge.*`` stands for all of a noun)."""
    filters: list[Filter] = []
    one, several = params.text("type"), params.texts("types")
    if one and several:
        raise invalid("You may not specify both type and types.", param="type")
    if several and len(several) > MOST_TYPES:
        raise invalid(f"You may specify at most {MOST_TYPES} types.", param="types")
    if one and one.endswith(".*"):
        filters += [("type", ">=", one[:-1]), ("type", "<", one[:-2] + "/")]
    elif one:
        filters.append(("type", "=", one))
    if several:
        filters.append(("type", "in", several))
    return listing(scope, "event", URL, params, filters)
