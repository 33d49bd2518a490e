"""What the control page, or a test, makes happen to an object: what a bank would do."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from . import disputes, payments, payouts, refunds
from .checkout_flow import bank_answers
from .errors import invalid
from .scope import Scope
from .store import Doc


class Wish(BaseModel):
    """The body of a control call; nothing that is not known."""

    model_config = ConfigDict(extra="forbid")


class Outcome(Wish):
    """How a payment, a refund or a payout ends."""

    outcome: Literal["succeed", "fail"]


class DisputeWish(Wish):
    """What a bank says when it disputes a charge; ``amount`` is what is left, where not given."""

    reason: str = "fraudulent"
    amount: int | None = Field(default=None, ge=1)


class Verdict(Wish):
    """What a bank decides about a dispute; ``review``: it has our evidence, and looks at it."""

    outcome: Literal["won", "lost", "review"]


class PayoutWish(Wish):
    """What to pay out: of which account and currency, and whether what still waits too."""

    account: str = ""
    currency: Literal["vnd", "usd", "eur"] = "vnd"
    everything: bool = False


def _settle_payment(scope: Scope, intent: Doc, wish: Outcome) -> Doc:
    if intent["status"] != "processing":
        raise invalid(f"The payment {intent['id']} has a status of {intent['status']}.")
    return bank_answers(scope, intent, succeeded=wish.outcome == "succeed", at=scope.now())


def _settle_refund(scope: Scope, refund: Doc, wish: Outcome) -> Doc:
    return refunds.settle(scope, refund, succeeded=wish.outcome == "succeed", at=scope.now())


def _capture(scope: Scope, charge: Doc, wish: Wish) -> Doc:
    if charge["status"] != "succeeded" or charge["balance_transaction"]:
        raise invalid(f"The charge {charge['id']} has nothing to wait for.")
    return payments.capture(scope, charge, scope.now())


def _dispute(scope: Scope, charge: Doc, wish: DisputeWish) -> Doc:
    if wish.reason not in disputes.REASONS:
        raise invalid(
            f"Invalid reason: must be one of {', '.join(disputes.REASONS)}", param="reason"
        )
    return disputes.open_(scope, charge, reason=wish.reason, amount=wish.amount, at=scope.now())


def _decide(scope: Scope, dispute: Doc, wish: Verdict) -> Doc:
    if wish.outcome == "review":
        return disputes.review(scope, dispute)
    return disputes.close(scope, dispute, won=wish.outcome == "won", at=scope.now())


def _settle_payout(scope: Scope, payout: Doc, wish: Outcome) -> Doc:
    return payouts.settle(scope, payout, succeeded=wish.outcome == "succeed", at=scope.now())


def pay_out(scope: Scope, wish: PayoutWish) -> Doc:
    """POST /sandbox/payouts"""
    return payouts.make(scope, currency=wish.currency, everything=wish.everything, at=scope.now())


Act = Callable[[Scope, Doc, Any], Doc]

# (kind in the address, act) → the kind of object, the body, what happens.
ACTS: dict[tuple[str, str], tuple[str, type[Wish], Act]] = {
    ("payment_intents", "settle"): ("payment_intent", Outcome, _settle_payment),
    ("refunds", "settle"): ("refund", Outcome, _settle_refund),
    ("charges", "capture"): ("charge", Wish, _capture),
    ("charges", "dispute"): ("charge", DisputeWish, _dispute),
    ("disputes", "close"): ("dispute", Verdict, _decide),
    ("payouts", "settle"): ("payout", Outcome, _settle_payout),
}
