"""What waits for a date: renewals, further tries, ends, session expiry, and what pends."""

from heapq import heapify, heappop, heappush

from . import disputes, dues, invoices, payments, payouts, refunds, subscriptions
from .checkout import expire_session
from .checkout_flow import bank_answers
from .periods import next_boundary
from .scope import Scope
from .store import Doc

# For how long the invoice of a new period is a draft.
DRAFT_SECONDS = 3_600


def due_at(scope: Scope, subscription: Doc) -> int:
    """When a living subscription next has something to do."""
    until = subscriptions.period_of(subscription)[1]
    waiting = _waiting(scope, subscription)
    return min(until, waiting[0]) if waiting else until


def _waiting(scope: Scope, subscription: Doc) -> tuple[int, Doc] | None:
    """The invoice that is next to be collected, and when: a draft, or an open one that is to be tried again."""
    own = ("parent.subscription_details.subscription", "=", subscription["id"])
    again = scope.all("invoice", own, ("status", "=", "open"), ("next_payment_attempt", ">", 0))
    found = [(int(one["next_payment_attempt"]), one) for one in again]
    found += [
        (int(one["automatically_finalizes_at"]), one)
        for one in scope.all("invoice", own, ("status", "=", "draft"))
    ]
    return min(found, key=lambda one: one[0], default=None)


def step(scope: Scope, subscription: Doc) -> Doc:
    """Do the next thing that waits for a date, as if that date were now."""
    at = due_at(scope, subscription)
    waiting = _waiting(scope, subscription)
    if waiting is not None and waiting[0] == at:
        invoice = waiting[1]
        if invoice["status"] == "draft":
            invoice = invoices.finalize(scope, invoice, at)
        return _collect(scope, subscription, invoice, at)
    if subscription["cancel_at_period_end"]:
        return subscriptions.end(scope, subscription, at=at, reason="cancellation_requested")
    return _renew(scope, subscription, at)


def _renew(scope: Scope, subscription: Doc, at: int) -> Doc:
    """The next period begins; its invoice stays a draft for a while before it is collected.

    https://docs.stripe.com/billing/invoices/subscription#subscription-lifecycle-events
    """
    old = subscriptions.period_of(subscription)
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    until = next_boundary(
        subscription["billing_cycle_anchor"],
        recurring["interval"],
        recurring["interval_count"],
        old[1],
    )
    items = [
        {**item, "current_period_start": old[1], "current_period_end": until}
        for item in subscription["items"]["data"]
    ]
    moved = {**subscription, "items": {**subscription["items"], "data": items}}
    invoice = invoices.draft(scope, moved, reason="subscription_cycle", period=old, at=at)
    invoice = scope.save({**invoice, "automatically_finalizes_at": at + DRAFT_SECONDS})
    moved["latest_invoice"] = invoice["id"]
    return scope.update("customer.subscription.updated", subscription, moved)


def _collect(scope: Scope, subscription: Doc, invoice: Doc, at: int) -> Doc:
    method = invoices.card_for(scope, subscription)
    after, _ = invoices.attempt(scope, invoice, method, at=at)
    if after["status"] == "paid":
        return subscriptions.recover(scope, subscription)
    if after["next_payment_attempt"] is None:
        return subscriptions.end(scope, subscription, at=at, reason="payment_failed")
    return scope.update(
        "customer.subscription.updated", subscription, {**subscription, "status": "past_due"}
    )


def run_due(scope: Scope, *, until: int) -> None:
    """Everything due up to a moment, in the order of its dates."""
    # A step touches its own subscription only, so the others' places in the queue stay right.
    queue = [(due_at(scope, one), one["id"]) for one in _due(scope, until)]
    heapify(queue)
    while queue:
        _, identifier = heappop(queue)
        after = step(scope, scope.fetch("subscription", identifier))
        if after["status"] != "canceled" and (again := due_at(scope, after)) <= until:
            heappush(queue, (again, identifier))
    for due in dues.take(scope, until=until):
        _play(scope, due)
    for session in scope.all(
        "checkout.session", ("status", "=", "open"), ("expires_at", "<=", until)
    ):
        expire_session(scope, session)


def _play(scope: Scope, due: Doc) -> None:
    """What was noted for this date, unless somebody has made something else of it."""
    target = scope.find(due["target"])
    if target is None:
        return
    succeeded, at = due["outcome"] == "succeed", due["at"]
    match due["job"], target["status"]:
        case "debit", "processing":
            bank_answers(scope, target, succeeded=succeeded, at=at)
        case "capture", _:
            payments.capture(scope, target, at)
        case "refund", "pending" | "succeeded":
            refunds.settle(scope, target, succeeded=succeeded, at=at)
        case "payout", "in_transit":
            payouts.settle(scope, target, succeeded=succeeded, at=at)
        case "dispute", "succeeded" if not scope.all("dispute", ("charge", "=", target["id"])):
            disputes.open_(scope, target, reason=due["outcome"], amount=None, at=at)


def _due(scope: Scope, until: int) -> list[Doc]:
    """Living subscriptions with a period or a further try that ends by then."""
    living = ("status", "!=", "canceled")
    retried = [
        invoices.subscription_of(invoice)
        for status, moment in (
            ("open", "next_payment_attempt"),
            ("draft", "automatically_finalizes_at"),
        )
        for invoice in scope.all("invoice", ("status", "=", status), (moment, "<=", until))
    ]
    ended = scope.all("subscription", living, ("items.data[0].current_period_end", "<=", until))
    waiting = scope.all("subscription", living, ("id", "in", retried))
    found = {one["id"]: one for one in (*ended, *waiting)}
    return list(found.values())
