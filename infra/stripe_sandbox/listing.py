"""Lists: filters and cursors, the same for every kind."""

from collections.abc import Sequence

from .errors import invalid, no_such
from .params import Params
from .scope import Scope, page
from .store import Doc, Filter

RANGE = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def moment_filters(params: Params, name: str) -> list[Filter]:
    """``created=…`` or ``created[gt]=…``."""
    raw = params.child(name) if _is_range(params, name) else None
    if raw is not None:
        found: list[Filter] = []
        for word, comparison in RANGE.items():
            value = raw.integer(word)
            if value is not None:
                found.append((name, comparison, value))
        return found
    exact = params.integer(name)
    return [] if exact is None else [(name, "=", exact)]


def _is_range(params: Params, name: str) -> bool:
    return isinstance(params.peek(name), dict)


def listing(
    scope: Scope, kind: str, url: str, params: Params, filters: Sequence[Filter] = ()
) -> Doc:
    """One page of documents, newest first, with Stripe's cursors."""
    limit = params.integer("limit", least=1, most=100) or 10
    starting, ending = params.text("starting_after"), params.text("ending_before")
    if starting and ending:
        raise invalid(
            "You can only pass one of starting_after and ending_before.", param="starting_after"
        )
    wanted = [*filters, *moment_filters(params, "created")]
    rows = scope.store.select(
        scope.account,
        kind,
        wanted,
        before=_place(scope, kind, starting, "starting_after"),
        after=_place(scope, kind, ending, "ending_before"),
        oldest_first=ending is not None,
        limit=limit + 1,
    )
    has_more = len(rows) > limit
    rows = rows[:limit]
    if ending is not None:
        rows.reverse()
    return page(url, rows, has_more)


def _place(scope: Scope, kind: str, cursor: str | None, param: str) -> int | None:
    if cursor is None:
        return None
    place = scope.store.position(scope.account, kind, cursor)
    if place is None:
        raise no_such(kind, cursor, param)
    return place
