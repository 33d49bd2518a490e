"""Stripe's objects and events, read into the port's facts. Pure: JSON in, facts out; a missing field names itself.

What our own objects carry in ``metadata``: ``agency``, ``charge`` (our id of the charge), and ``kind`` = ``mandate`` where the
holder was not there; refunds ``request`` (our id of what was asked).
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.billing.payments.adapters.port import (
    Captured,
    DisputeMoved,
    DisputeState,
    Fact,
    Failed,
    Look,
    MalformedNotificationError,
    MethodGone,
    MethodSaved,
    NotOurs,
    Page,
    PageClosed,
    PageOpen,
    PayoutLine,
    PayoutMoved,
    Processing,
    RefundMoved,
    RefundState,
)
from services.billing.payments.adapters.stripe_values import (
    BRANDS,
    amount,
    currency,
    identifier,
    instant,
    optional_identifier,
    read,
    signed,
)
from services.billing.payments.method import Method

Doc = dict[str, Any]

#: The version of Stripe's API that these shapes are of.
API_VERSION = "2026-10-28.endive"

#: What is listened to, and which kind of :class:`Look` knows about it. At most 20: the list of events takes no more
#: (https://docs.stripe.com/api/events/list#list_events-types).
SUBJECTS = {
    "checkout.session.completed": "page",
    "checkout.session.async_payment_succeeded": "page",
    "checkout.session.async_payment_failed": "page",
    "checkout.session.expired": "page",
    "payment_intent.succeeded": "payment",
    "payment_intent.processing": "payment",
    "payment_intent.payment_failed": "payment",
    "refund.created": "refund",
    "refund.updated": "refund",
    "refund.failed": "refund",
    "charge.dispute.created": "dispute",
    "charge.dispute.updated": "dispute",
    "charge.dispute.funds_withdrawn": "dispute",
    "charge.dispute.funds_reinstated": "dispute",
    "charge.dispute.closed": "dispute",
    "payout.paid": "payout",
    "payout.failed": "payout",
    "payout.reconciliation_completed": "payout",
    "payment_method.detached": "method",
    "customer.deleted": "customer",
}
LISTENED = tuple(SUBJECTS)

#: What is asked for in full with a payment intent, a session and a refund.
PAYMENT_PARTS = ("latest_charge.balance_transaction", "payment_method")
PAGE_PARTS = (*(f"payment_intent.{part}" for part in PAYMENT_PARTS), "setup_intent.payment_method")
REFUND_PARTS = ("balance_transaction", "failure_balance_transaction")

MANDATE = "mandate"
AUTHENTICATION = "authentication_required"
#: https://docs.stripe.com/api/refunds/object#refund_object-status
REFUNDS = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}
PAYOUT = "payout"
#: https://docs.stripe.com/reports/reporting-categories
LINES = {
    "charge": "charge",
    "refund": "refund",
    "refund_failure": "refund",
    "dispute": "dispute",
    "dispute_reversal": "dispute",
    "payout_reversal": PAYOUT,
}


def charge_named(doc: Doc) -> UUID | None:
    """Which charge of ours an object is of, from what we wrote there; None when we did not."""
    return _named(doc, "charge")


def _named(doc: Doc, what: str) -> UUID | None:
    named = (doc.get("metadata") or {}).get(what)
    try:
        return UUID(named) if isinstance(named, str) else None
    except ValueError:
        return None


def _ours(doc: Doc) -> bool:
    return bool(identifier(doc["id"])) and charge_named(doc) is not None


def _by_mandate(doc: Doc) -> bool:
    return (doc.get("metadata") or {}).get("kind") == MANDATE


def method(doc: Doc) -> Method:
    """A means of payment that is kept with a customer."""
    kind = doc["type"]
    details = doc[kind]
    last4 = details.get("last4")
    expires_on: date | None = None
    name = "SEPA" if kind == "sepa_debit" else ""
    if kind == "card":
        name = BRANDS.get(details["brand"], "")
        year, month = details["exp_year"], details["exp_month"]
        expires_on = date(year, month, calendar.monthrange(year, month)[1])
    label = f"{name} •••• {identifier(last4)}".strip() if last4 is not None else name
    return Method(identifier(doc["customer"]), identifier(doc["id"]), label, expires_on)


def method_or_none(doc: Doc) -> Method | None:
    """A means of payment; None for one that was let go, and can never be charged again."""
    return method(doc) if doc["customer"] is not None else None


def is_deleted(customer: Doc) -> bool:
    """Of a customer who was deleted, Stripe still shows that."""
    return bool(identifier(customer["id"])) and customer.get("deleted") is True


def _kept(intent: Doc) -> Method | None:
    """What a payment intent charged, where it may be charged again and has not been let go since."""
    if intent.get("setup_future_usage") != "off_session" and not _by_mandate(intent):
        return None
    means, customer = intent.get("payment_method"), intent.get("customer")
    if means is None or customer is None:
        return None
    if isinstance(means, dict):
        return method_or_none(means)
    return Method(identifier(customer), identifier(means))


def _captured_at(intent: Doc) -> datetime:
    """When the money was taken. A card is charged when it is asked; a bank debit is asked first and paid days later, with its
    balance transaction (https://docs.stripe.com/payments/balances)."""
    charge = intent.get("latest_charge")
    if not isinstance(charge, dict):
        return instant(intent["created"])
    entry = charge.get("balance_transaction")
    by_card = (charge.get("payment_method_details") or {}).get("type") == "card"
    return instant((entry if isinstance(entry, dict) and not by_card else charge)["created"])


def payment(intent: Doc, at: datetime | None = None) -> Captured | Processing | Failed:
    """What became of a payment intent (https://docs.stripe.com/payments/paymentintents/lifecycle). ``at``: when it succeeded,
    where that is known."""
    charge, reference, status = charge_named(intent), identifier(intent["id"]), intent["status"]
    if status == "succeeded":
        return Captured(
            charge,
            reference,
            amount(intent["amount_received"]),
            currency(intent["currency"]),
            at or _captured_at(intent),
            _kept(intent),
        )
    if status == "processing":
        return Processing(charge, reference)
    if status == "requires_action":
        return Failed(charge, reference, AUTHENTICATION, needs_holder=True)
    if status == "canceled":
        return Failed(charge, reference, identifier(intent.get("cancellation_reason") or status))
    if status in ("requires_payment_method", "requires_confirmation"):
        return _failed(charge, reference, intent.get("last_payment_error") or {"code": status})
    raise MalformedNotificationError(f"{status!r} is not a status of a payment")


def _failed(charge: UUID | None, reference: str, error: Doc) -> Failed:
    code, declined = error.get("code"), error.get("decline_code")
    needs_holder = AUTHENTICATION in (code, declined)
    return Failed(charge, reference, identifier(declined or code), needs_holder=needs_holder)


def declined(charge: UUID, error: Doc) -> Failed:
    """The error of a charge that was declined (https://docs.stripe.com/declines)."""
    return _failed(charge, optional_identifier(error.get("payment_intent")), error)


def payment_of_ours(intent: Doc, at: datetime | None = None) -> Fact:
    """A payment as news: a decline on a page is none, for the page takes another card."""
    if not _ours(intent):
        return NotOurs()
    found = payment(intent, at)
    return NotOurs() if isinstance(found, Failed) and not _by_mandate(intent) else found


def opened(session: Doc) -> Page:
    """A page that is open."""
    url = session["url"]
    if not isinstance(url, str) or not url:
        raise MalformedNotificationError(f"{url!r} is not an address")
    return Page(identifier(session["id"]), url)


def page(
    session: Doc,
) -> PageOpen | PageClosed | Processing | Captured | MethodSaved | Failed:
    """What became of a page, fetched with :data:`PAGE_PARTS`."""
    charge, status = charge_named(session), session["status"]
    if status == "open":
        return PageOpen(charge, opened(session).url)
    if status == "expired":
        return PageClosed(charge)
    if status != "complete":
        raise MalformedNotificationError(f"{status!r} is not a status of a page")
    if session["mode"] == "setup":
        return _saved(charge, session["setup_intent"])
    if session["payment_status"] == "no_payment_required":
        return PageClosed(charge)
    return payment(session["payment_intent"])


def page_of_ours(session: Doc) -> Fact:
    """A page as news."""
    return page(session) if _ours(session) else NotOurs()


def _saved(charge: UUID | None, setup: Doc) -> MethodSaved | Processing | Failed:
    """What became of a setup intent (https://docs.stripe.com/payments/setupintents/lifecycle)."""
    reference, status = identifier(setup["id"]), setup["status"]
    if status == "processing":
        return Processing(charge, reference)
    if status != "succeeded":
        return _failed(charge, reference, setup.get("last_setup_error") or {"code": status})
    means = method_or_none(setup["payment_method"])
    if means is None:
        return Failed(charge, reference, "resource_missing", method_gone=True)
    return MethodSaved(charge, means)


def refund(doc: Doc, at: datetime | None = None) -> RefundMoved:
    """A refund. ``at``: when it came to stand so, where that is known; else from the balance transactions, where expanded. One of
    a charge without an intent is not of ours: the charge is its reference."""
    state = REFUNDS[doc["status"]]
    entry = {
        RefundState.PENDING: None,
        RefundState.SUCCEEDED: doc.get("balance_transaction"),
        RefundState.FAILED: doc.get("failure_balance_transaction"),
    }[state]
    moved = entry if isinstance(entry, dict) else doc
    return RefundMoved(
        identifier(doc["id"]),
        optional_identifier(doc.get("payment_intent") or doc.get("charge")),
        amount(doc["amount"]),
        currency(doc["currency"]),
        state,
        at or instant(moved["created"]),
        _named(doc, "request"),
    )


def dispute(doc: Doc) -> DisputeMoved:
    """A dispute (https://docs.stripe.com/api/disputes/object#dispute_object-status).

    An inquiry that was closed, and a dispute that was prevented, are final: won or lost by whether the money is with us. Fees in
    another currency than the dispute's are not in ``fee``: they are not the same money.
    """
    entries = doc["balance_transactions"]
    withdrawn = sum(signed(entry["amount"]) for entry in entries) < 0
    status = doc["status"]
    state = DisputeState.OPEN
    if status in ("won", "lost"):
        state = DisputeState(status)
    elif status in ("warning_closed", "prevented"):
        state = DisputeState.LOST if withdrawn else DisputeState.WON
    elif not isinstance(status, str) or not status.endswith(("needs_response", "under_review")):
        raise MalformedNotificationError(f"{status!r} is not a status of a dispute")
    return DisputeMoved(
        identifier(doc["id"]),
        optional_identifier(doc.get("payment_intent") or doc["charge"]),
        amount(doc["amount"]),
        sum(signed(one["fee"]) for one in entries if one["currency"] == doc["currency"]),
        currency(doc["currency"]),
        state,
        withdrawn,
        instant(doc["created"]),
    )


def payout(doc: Doc, entries: Sequence[Doc]) -> PayoutMoved:
    """A payout with the balance transactions listed for it, of which its own is no line. ``failed``: also one that was called
    off."""
    own = identifier(doc["id"])
    return PayoutMoved(
        own,
        signed(doc["amount"]),
        currency(doc["currency"]),
        paid=doc["status"] == "paid",
        failed=doc["status"] in ("failed", "canceled"),
        arrives_on=instant(doc["arrival_date"]).date(),
        lines=tuple(_line(one) for one in entries if optional_identifier(one["source"]) != own),
    )


def _line(entry: Doc) -> PayoutLine:
    source, kind = entry["source"], LINES.get(entry["reporting_category"], "other")
    reference = source.get("payment_intent") if isinstance(source, dict) else None
    if kind == PAYOUT:
        reference = source
    return PayoutLine(
        identifier(entry["id"]),
        kind,
        optional_identifier(reference),
        signed(entry["amount"]),
        signed(entry["fee"]),
        signed(entry["net"]),
    )


def interpret(event: Doc) -> Fact | Look:
    """What an event says, by its type. Raises :class:`MalformedNotificationError`.

    An event keeps the version that the endpoint had when it was made (https://docs.stripe.com/webhooks/versioning): of another
    one only the id of its object is read.
    """
    return read(_interpret, event)


def _interpret(event: Doc) -> Fact | Look:
    kind = SUBJECTS.get(event["type"])
    if kind is None:
        return NotOurs()
    doc = event["data"]["object"]
    look = Look(kind, identifier(doc["id"]))
    if event.get("api_version") != API_VERSION:
        return look
    told: dict[str, Callable[[], Fact | Look]] = {
        "page": lambda: _page_told(event["type"], doc, instant(event["created"]), look),
        "payment": lambda: payment_of_ours(doc, instant(event["created"])),
        "refund": lambda: refund(doc, instant(event["created"])),
        "dispute": lambda: dispute(doc),
        "payout": lambda: look,
        "method": lambda: MethodGone(method=look.id),
        "customer": lambda: MethodGone(customer=look.id),
    }
    return told[kind]()


def _page_told(event: str, session: Doc, at: datetime, look: Look) -> Fact | Look:
    """What a session says without its intent. Of a customer's it does not say what was kept; nor why a bank refused."""
    charge, paid = charge_named(session), session["payment_status"]
    if charge is None or session["mode"] not in ("payment", "setup"):
        return NotOurs()
    if event == "checkout.session.expired":
        return PageClosed(charge)
    by_customer = paid == "paid" and session["customer"] is not None
    failed = event == "checkout.session.async_payment_failed"
    if session["mode"] == "setup" or failed or by_customer:
        return look
    return _paid_by_nobody_known(charge, session, at)


def _paid_by_nobody_known(charge: UUID, session: Doc, at: datetime) -> Fact:
    paid = session["payment_status"]
    if paid == "no_payment_required":
        return PageClosed(charge)
    reference = identifier(session["payment_intent"])
    if paid == "unpaid":
        return Processing(charge, reference)
    if paid != "paid":
        raise MalformedNotificationError(f"{paid!r} says nothing of a payment")
    return Captured(
        charge, reference, amount(session["amount_total"]), currency(session["currency"]), at
    )
