"""Refunds: whole or in parts, never more than is left of the charge; some wait, some fail later.

https://docs.stripe.com/refunds, test cards: https://docs.stripe.com/testing#refunds
"""

from . import dues, payments
from .balance import record as record_balance
from .errors import invalid, missing
from .listing import listing
from .params import Params
from .payment_methods import card_of
from .scope import Scope
from .shapes import REFUND, template
from .store import Doc, Filter

URL = "/v1/refunds"


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/refunds"""
    charge = _charge(scope, params)
    amount = params.integer("amount", least=1)
    metadata = params.metadata()
    params.finish()
    left = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        raise invalid(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    if amount is not None and amount > left:
        currency = charge["currency"].upper()
        raise invalid(
            f"Refund amount ({amount} {currency}) is greater than unrefunded amount on charge "
            f"({left} {currency})",
            param="amount",
        )
    at = scope.now()
    charge = payments.capture(scope, charge, at)
    taken = amount or left
    refund = scope.save(
        {
            **template(REFUND),
            "id": scope.new_id("re"),
            "amount": taken,
            "balance_transaction": None,
            "charge": charge["id"],
            "created": at,
            "currency": charge["currency"],
            "metadata": metadata,
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": None,
        }
    )
    waits, outcome = _course(scope, charge)
    if waits:
        refund = {**refund, "pending_reason": "processing", "status": "pending"}
    else:
        refund = _book(scope, refund, at)
    scope.save(refund)
    _count(scope, charge, taken, "charge.refunded")
    scope.emit("refund.created", refund)
    if outcome:
        dues.later(scope, "refund", refund["id"], outcome=outcome, at=at)
    return refund


def _course(scope: Scope, charge: Doc) -> tuple[bool, str]:
    """Whether a refund waits at first, and what becomes of it later (empty: nothing)."""
    courses = {
        "succeed": (False, ""),
        "wait": (True, "succeed"),
        "fail": (False, "fail"),
        "wait_then_fail": (True, "fail"),
    }
    switched = scope.switches.refunds
    if switched != "by_card":
        return courses[switched]
    method = scope.fetch("payment_method", charge["payment_method"])
    kind = card_of(scope, method).refund if method["type"] == "card" else "at_once"
    return courses[{"at_once": "succeed", "waits": "wait", "fails": "fail"}[kind]]


def _book(scope: Scope, refund: Doc, at: int) -> Doc:
    """The money leaves the balance."""
    kind = "payment_refund" if refund["charge"].startswith("py_") else "refund"
    entry = record_balance(
        scope,
        kind=kind,
        amount=-refund["amount"],
        currency=refund["currency"],
        source=refund["id"],
        at=at,
    )
    return {**refund, "balance_transaction": entry["id"]}


def _count(scope: Scope, charge: Doc, amount: int, event: str) -> None:
    refunded = charge["amount_refunded"] + amount
    after = {
        **charge,
        "amount_refunded": refunded,
        "refunded": refunded == charge["amount_captured"],
    }
    scope.update(event, charge, after)


def _charge(scope: Scope, params: Params) -> Doc:
    named, intent = params.text("charge"), params.text("payment_intent")
    if named is None and intent is None:
        raise missing("charge")
    if named is None and intent is not None:
        latest = scope.fetch("payment_intent", intent, "payment_intent")["latest_charge"]
        if latest is None:
            raise invalid(
                f"This PaymentIntent ({intent}) does not have a successful charge to refund.",
                param="payment_intent",
            )
        named = str(latest)
    charge = scope.fetch("charge", str(named), "charge")
    if intent is not None and charge["payment_intent"] != intent:
        raise invalid("The charge is not of that payment_intent.", param="payment_intent")
    if charge["status"] != "succeeded":
        raise invalid(
            f"This PaymentIntent ({intent}) does not have a successful charge to refund."
            if intent
            else f"Charge {charge['id']} is {charge['status']}, so there is nothing to refund.",
            param="payment_intent" if intent else "charge",
        )
    if charged_back(scope, charge):
        raise invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    return charge


def charged_back(scope: Scope, charge: Doc) -> bool:
    """Whether a dispute holds the money of a charge, or has taken it for good."""
    return bool(scope.all("dispute", ("charge", "=", charge["id"]), ("status", "!=", "won")))


def succeed(scope: Scope, refund: Doc, at: int) -> Doc:
    """One that waited goes through, unless the reader's bank has taken the money back meanwhile."""
    if charged_back(scope, scope.fetch("charge", refund["charge"])):
        return fail(scope, refund, at, "charge_for_pending_refund_disputed")
    booked = _book(scope, {**refund, "pending_reason": None, "status": "succeeded"}, at)
    return _moved(scope, refund, booked, "refund.updated")


def fail(scope: Scope, refund: Doc, at: int, reason: str = "lost_or_stolen_card") -> Doc:
    """The reader's bank sends it back: what had left the balance returns, the charge is owed again.

    https://docs.stripe.com/refunds#failed-refunds
    """
    after = {**refund, "failure_reason": reason, "pending_reason": None, "status": "failed"}
    if refund["balance_transaction"]:
        entry = record_balance(
            scope,
            kind="refund_failure",
            amount=refund["amount"],
            currency=refund["currency"],
            source=refund["id"],
            at=at,
        )
        after["failure_balance_transaction"] = entry["id"]
    charge = scope.fetch("charge", refund["charge"])
    _count(scope, charge, -refund["amount"], "charge.updated")
    return _moved(scope, refund, after, "refund.failed", "refund.updated")


def _moved(scope: Scope, before: Doc, after: Doc, *events: str) -> Doc:
    scope.save(after)
    for event in (*events, "charge.refund.updated"):
        scope.emit(event, after, before)
    return after


def settle(scope: Scope, refund: Doc, *, succeeded: bool, at: int) -> Doc:
    """What a date or the control page makes of it.

    Raises:
        StripeError: it has failed already, or has nothing to wait for.
    """
    possible = refund["status"] == "pending" or (refund["status"] == "succeeded" and not succeeded)
    if not possible:
        raise invalid(f"The refund {refund['id']} has a status of {refund['status']}.")
    return succeed(scope, refund, at) if succeeded else fail(scope, refund, at)


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/refunds/:id"""
    return scope.fetch("refund", identifier)


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/refunds"""
    filters: list[Filter] = [
        (name, "=", value) for name in ("charge", "payment_intent") if (value := params.text(name))
    ]
    return listing(scope, "refund", URL, params, filters)
