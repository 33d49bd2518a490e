"""Payouts: the available balance goes to the bank, and sometimes comes back.

https://docs.stripe.com/payouts, https://docs.stripe.com/payouts/reconciliation
"""

from . import balance, dues
from .errors import invalid
from .listing import listing
from .params import Params
from .scope import Scope
from .shapes import PAYOUT, template
from .store import Doc, Filter

URL = "/v1/payouts"
KIND = "payout"
DAY = 86_400
UNPAID = ("in_transit", "pending")
ACCOUNT = "ba_sandbox"


def make(scope: Scope, *, currency: str, everything: bool, at: int) -> Doc:
    """An automatic payout of what is available; with ``everything``, of what still waits too.

    Raises:
        StripeError: there is nothing to pay out, or less than nothing.
    """
    balance.mature(scope, at)
    filters: list[Filter] = [("currency", "=", currency), ("~payout", "is", None)]
    if not everything:
        filters.append(("status", "=", "available"))
    entries = scope.all(balance.KIND, *filters)
    total = sum(entry["net"] for entry in entries)
    if total <= 0:
        raise invalid(
            "You have insufficient funds in your Stripe account for this payout.",
            code="balance_insufficient",
        )
    identifier = scope.new_id("po")
    own = _entry(scope, identifier, currency, -total, "payout", at)
    for entry in (*entries, own):
        scope.keep_hidden({**entry, "status": "available"}, payout=identifier)
    payout = scope.save(
        {
            **template(PAYOUT),
            "id": identifier,
            "amount": total,
            "arrival_date": at - at % DAY + DAY,
            "balance_transaction": own["id"],
            "created": at,
            "currency": currency,
            "destination": ACCOUNT,
        }
    )
    scope.emit("payout.created", payout)
    dues.later(scope, "payout", identifier, outcome="succeed", at=at)
    return payout


def _entry(scope: Scope, payout: str, currency: str, amount: int, kind: str, at: int) -> Doc:
    return balance.record(
        scope,
        kind=kind,
        amount=amount,
        currency=currency,
        source=payout,
        at=at,
        description="STRIPE PAYOUT",
    )


def settle(scope: Scope, payout: Doc, *, succeeded: bool, at: int) -> Doc:
    """It arrives, or the bank refuses it, which may also come after it was called paid.

    Raises:
        StripeError: it has failed, or has arrived already.
    """
    status = payout["status"]
    if not (status in UNPAID or (status == "paid" and not succeeded)):
        raise invalid(f"The payout {payout['id']} has a status of {status}.")
    if succeeded:
        paid = scope.update("payout.paid", payout, {**payout, "status": "paid"})
        after = {**paid, "reconciliation_status": "completed"}
        scope.update("payout.reconciliation_completed", paid, after)
        return after
    entry = _entry(scope, payout["id"], payout["currency"], payout["amount"], "payout_failure", at)
    after = {
        **payout,
        "failure_balance_transaction": entry["id"],
        "failure_code": "account_closed",
        "failure_message": "The bank account has been closed.",
        "status": "failed",
    }
    return scope.update("payout.failed", payout, after)


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/payouts/:id"""
    return scope.fetch(KIND, identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/payouts"""
    return listing(scope, KIND, URL, params)
