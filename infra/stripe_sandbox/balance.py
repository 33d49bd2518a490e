"""Balance transactions: what a charge, a refund, a dispute or a payout does to the money at Stripe.

The balance is nothing but their sum: https://docs.stripe.com/reports/balance-transaction-types
"""

from .listing import listing
from .params import Params
from .scope import Scope
from .store import Doc, Filter

URL = "/v1/balance_transactions"
BALANCE_URL = "/v1/balance"
KIND = "balance_transaction"
# Card money becomes available after some days; two is Stripe's shortest.
AVAILABLE_AFTER = 2 * 86_400
# What is paid in has to wait; what goes out or comes back counts at once.
WAITING = {"charge", "payment"}


def fee_of(amount: int, basis_points: int) -> int:
    """Stripe's fee on a charge, rounded half up to the smallest unit."""
    return (amount * basis_points + 5_000) // 10_000


def record(
    scope: Scope,
    *,
    kind: str,
    amount: int,
    currency: str,
    source: str,
    at: int,
    fee: int | None = None,
    category: str | None = None,
    description: str | None = None,
) -> Doc:
    """One movement, saved.

    ``charge`` and ``payment`` take a fee unless told another; a refund (a negative amount) gives
    none back. ``category``: the reporting category, where it is not the type's own name.
    """
    waits = kind in WAITING
    if fee is None:
        fee = fee_of(amount, scope.settings.fee_basis_points) if waits else 0
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Dispute fee" if category == "dispute" else "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    return scope.save(
        {
            "id": scope.new_id("txn"),
            "object": KIND,
            "amount": amount,
            "available_on": at + AVAILABLE_AFTER if waits else at,
            "balance_type": "payments",
            "created": at,
            "currency": currency,
            "description": description,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": details if fee else [],
            "net": amount - fee,
            "reporting_category": category or CATEGORIES.get(kind, kind),
            "source": source,
            "status": "pending" if waits else "available",
            "type": kind,
        }
    )


# https://docs.stripe.com/reports/reporting-categories
CATEGORIES = {
    "payment": "charge",
    "payment_refund": "refund",
    "payout_failure": "payout_reversal",
}


def mature(scope: Scope, until: int) -> None:
    """Money whose days have passed becomes available."""
    for entry in scope.all(KIND, ("status", "=", "pending"), ("available_on", "<=", until)):
        scope.save({**entry, "status": "available"})


def of_account(scope: Scope, params: Params) -> Doc:
    """GET /v1/balance"""
    params.finish()
    mature(scope, scope.now())
    sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
    for entry in scope.all(KIND):
        for status, column in sums.items():
            column.setdefault(entry["currency"], 0)
            if entry["status"] == status:
                column[entry["currency"]] += entry["net"]
    return {
        "object": "balance",
        "livemode": False,
        **{
            status: [
                {"amount": total, "currency": currency, "source_types": {"card": total}}
                for currency, total in sorted((column or {"vnd": 0}).items())
            ]
            for status, column in sums.items()
        },
    }


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/balance_transactions; ``payout=``: what it consists of, and the payout's own."""
    mature(scope, scope.now())
    filters: list[Filter] = []
    if payout := params.text("payout"):
        scope.fetch("payout", payout, "payout")
        filters.append(("~payout", "=", payout))
    return listing(scope, KIND, URL, params, filters)
