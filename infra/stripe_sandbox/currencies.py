"""Currencies: đồng, unless the control page says that payments come in another."""

from .errors import invalid
from .params import Params
from .scope import Scope


def asked(params: Params, scope: Scope) -> str:
    """The currency a payment will be in. Asked for is always vnd."""
    given = params.need("currency").lower()
    if given != "vnd":
        raise invalid(
            f"Invalid currency: {given}. The sandbox only knows vnd.",
            param=params.path("currency"),
        )
    return scope.switches.currency or given
