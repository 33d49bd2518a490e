"""Balance transactions: what a charge or a refund does to the money at Stripe."""

from .listing import listing
from .params import Params
from .scope import Scope
from .store import Doc, Filter

URL = "/v1/balance_transactions"
# Card money becomes available after some days; two is Stripe's shortest.
AVAILABLE_AFTER = 2 * 86_400


def fee_of(amount: int, basis_points: int) -> int:
    """Stripe's fee on a charge, rounded half up to the đồng."""
    return (amount * basis_points + 5_000) // 10_000


def record(scope: Scope, *, kind: str, amount: int, source: str, at: int) -> Doc:
    """One movement: ``charge`` takes a fee, ``refund`` (a negative amount) gives none back."""
    fee = fee_of(amount, scope.settings.fee_basis_points) if kind == "charge" else 0
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": "vnd",
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    return scope.save(
        {
            "id": scope.new_id("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": at + AVAILABLE_AFTER,
            "balance_type": "payments",
            "created": at,
            "currency": "vnd",
            "description": None,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": details if fee else [],
            "net": amount - fee,
            "reporting_category": kind,
            "source": source,
            "status": "pending",
            "type": kind,
        }
    )


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/balance_transactions/:id"""
    return scope.fetch("balance_transaction", identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/balance_transactions"""
    filters: list[Filter] = [
        (name, "=", value)
        for name in ("type", "source", "currency")
        if (value := params.text(name))
    ]
    return listing(scope, "balance_transaction", URL, params, filters)
