"""Every route of the /v1 API that the sandbox plays."""

import re
from collections.abc import Callable

from . import (
    balance,
    beginnings,
    charges,
    checkout,
    customers,
    disputes,
    events,
    intents,
    payment_methods,
    payouts,
    prices,
    refunds,
    subscriptions,
    webhook_endpoints,
)
from .store import Doc

Handler = Callable[..., Doc]

TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("POST", prices.URL, prices.create),
    ("POST", customers.URL, customers.create),
    ("GET", customers.URL, customers.list_),
    ("GET", f"{customers.URL}/:id", customers.retrieve),
    ("POST", f"{customers.URL}/:id", customers.update),
    ("DELETE", f"{customers.URL}/:id", customers.delete),
    ("GET", f"{payment_methods.URL}/:id", payment_methods.retrieve),
    ("POST", f"{payment_methods.URL}/:id/attach", payment_methods.attach),
    ("POST", f"{payment_methods.URL}/:id/detach", payment_methods.detach),
    ("POST", checkout.URL, checkout.create),
    ("GET", f"{checkout.URL}/:id", checkout.retrieve),
    ("POST", f"{checkout.URL}/:id/expire", checkout.expire),
    ("POST", subscriptions.URL, beginnings.create),
    ("GET", subscriptions.URL, subscriptions.list_),
    ("GET", f"{subscriptions.URL}/:id", subscriptions.retrieve),
    ("POST", f"{subscriptions.URL}/:id", subscriptions.update),
    ("DELETE", f"{subscriptions.URL}/:id", subscriptions.cancel),
    ("POST", intents.URL, intents.create),
    ("GET", intents.URL, intents.list_),
    ("GET", f"{intents.URL}/:id", intents.retrieve),
    ("GET", charges.URL, charges.list_),
    ("GET", f"{charges.URL}/:id", charges.retrieve),
    ("POST", refunds.URL, refunds.create),
    ("GET", refunds.URL, refunds.list_),
    ("GET", f"{refunds.URL}/:id", refunds.retrieve),
    ("GET", f"{disputes.URL}/:id", disputes.retrieve),
    ("GET", payouts.URL, payouts.list_),
    ("GET", f"{payouts.URL}/:id", payouts.retrieve),
    ("GET", balance.BALANCE_URL, balance.of_account),
    ("GET", balance.URL, balance.list_),
    ("GET", events.URL, events.list_),
    ("GET", webhook_endpoints.URL, webhook_endpoints.list_),
)

COMPILED = [
    (method, re.compile(re.escape(path).replace(":id", "([A-Za-z0-9_.-]+)")), handler)
    for method, path, handler in TABLE
]


def find(method: str, path: str) -> tuple[Handler, tuple[str, ...]] | None:
    """The handler of a request and the ids in its path."""
    for verb, pattern, handler in COMPILED:
        if verb == method and (match := pattern.fullmatch(path)):
            return handler, match.groups()
    return None
