"""What waits for a date: renewals, further tries, ends, session expiry, and what pends."""

from heapq import heapify, heappop, heappush

from . import disputes, dues, invoices, payments, payouts, refunds, subscriptions
from .checkout import expire_session
from .checkout_flow import bank_answers
from .periods import next_boundary
from .scope import Scope
from .store import Doc


def due_at(scope: Scope, subscription: Doc) -> int:
    """When a living subscription next has something to do."""
    until = subscriptions.period_of(subscription)[1]
    retry = _retry(scope, subscription)
    return min(until, retry["next_payment_attempt"]) if retry else until


def _retry(scope: Scope, subscription: Doc) -> Doc | None:
    """The oldest open invoice that is to be tried again."""
    waiting = scope.all(
        "invoice",
        ("parent.subscription_details.subscription", "=", subscription["id"]),
        ("status", "=", "open"),
        ("next_payment_attempt", ">", 0),
    )
    return min(waiting, key=lambda one: int(one["next_payment_attempt"]), default=None)


def step(scope: Scope, subscription: Doc) -> Doc:
    """Do the next thing that waits for a date, as if that date were now."""
    at = due_at(scope, subscription)
    retry = _retry(scope, subscription)
    if retry is not None and retry["next_payment_attempt"] == at:
        return _collect(scope, subscription, retry, at)
    if subscription["cancel_at_period_end"]:
        return subscriptions.end(scope, subscription, at=at, reason="cancellation_requested")
    return _renew(scope, subscription, at)


def _renew(scope: Scope, subscription: Doc, at: int) -> Doc:
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
    moved["latest_invoice"] = invoice["id"]
    scope.update("customer.subscription.updated", subscription, moved)
    return _collect(scope, moved, invoices.finalize(scope, invoice, at), at)


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


def run_due(scope: Scope, *, until: int, clock: str | None) -> None:
    """Everything due up to a moment, in the order of its dates, on one clock (None: the wall's)."""
    # A step touches its own subscription only, so the others' places in the queue stay right.
    queue = [(due_at(scope, one), one["id"]) for one in _due(scope, until, clock)]
    heapify(queue)
    while queue:
        _, identifier = heappop(queue)
        after = step(scope, scope.fetch("subscription", identifier))
        if after["status"] != "canceled" and (again := due_at(scope, after)) <= until:
            heappush(queue, (again, identifier))
    for due in dues.take(scope, until=until, clock=clock):
        _play(scope, due)
    if clock is None:
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


def _due(scope: Scope, until: int, clock: str | None) -> list[Doc]:
    """Living subscriptions with a period or a further try that ends by then."""
    living = (("status", "!=", "canceled"), ("test_clock", "is", clock))
    retried = [
        invoices.subscription_of(invoice)
        for invoice in scope.all(
            "invoice",
            ("status", "=", "open"),
            ("test_clock", "is", clock),
            ("next_payment_attempt", "<=", until),
        )
    ]
    ended = scope.all("subscription", *living, ("items.data[0].current_period_end", "<=", until))
    waiting = scope.all("subscription", *living, ("id", "in", retried))
    found = {one["id"]: one for one in (*ended, *waiting)}
    return list(found.values())
