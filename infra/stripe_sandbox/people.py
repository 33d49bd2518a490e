"""What others need of a customer: that it lives, and how an address begins."""

from .errors import no_such
from .scope import Scope
from .store import Doc

ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def blank_address() -> Doc:
    """An address of which nothing is known."""
    return dict.fromkeys(ADDRESS)


def living(scope: Scope, identifier: str, param: str = "id") -> Doc:
    """A customer that is not deleted.

    Raises:
        StripeError: ``resource_missing`` where there is none, or none any more.
    """
    customer = scope.fetch("customer", identifier, param)
    if customer.get("deleted"):
        raise no_such("customer", identifier, param)
    return customer
