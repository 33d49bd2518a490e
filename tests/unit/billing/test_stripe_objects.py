"""Stripe's objects in the port's words: amounts, periods, whose it is, and what is none of billing's business."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.billing.payments.adapters import stripe_shapes as shapes
from services.billing.payments.adapters.port import (
    CheckoutCompleted,
    CheckoutFacts,
    InvoicePaid,
    MalformedNotificationError,
    NotOurs,
    Origin,
    PaidInvoice,
    Refunded,
    RefundFacts,
    SubscriptionFacts,
    SubscriptionTouched,
)

READER, PRICE = UUID(int=1), UUID(int=2)
METADATA = {"agency": "bao-thu", "reader": str(READER), "price": str(PRICE)}
ORIGIN = Origin("bao-thu", READER, PRICE)
CREATED, BEGINS, ENDS, PAID = 1_790_000_000, 1_790_000_100, 1_792_600_100, 1_790_000_200
LAST_SECOND = 253_402_300_799  # of the year 9999

INVOICE: dict[str, Any] = {
    "id": "in_1",
    "status": "paid",
    "number": "A-0001",
    "amount_paid": 59_000,
    "currency": "vnd",
    "parent": {"subscription_details": {"subscription": "sub_1", "metadata": METADATA}},
    "lines": {"data": [{"period": {"start": BEGINS, "end": ENDS}}]},
    "status_transitions": {"paid_at": PAID},
}
SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1",
    "status": "active",
    "pause_collection": None,
    "customer": "cus_1",
    "metadata": METADATA,
    "cancel_at_period_end": False,
    "ended_at": None,
    "created": CREATED,
    "items": {"data": [{"current_period_start": BEGINS, "current_period_end": ENDS}]},
}
SESSION: dict[str, Any] = {
    "id": "cs_1",
    "mode": "subscription",
    "metadata": METADATA,
    "client_reference_id": "checkout-1",
    "status": "complete",
    "payment_status": "paid",
    "url": None,
    "subscription": "sub_1",
    "invoice": INVOICE,
}


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


PAID_INVOICE = PaidInvoice(
    id="in_1",
    subscription_id="sub_1",
    amount_vnd=59_000,
    currency="VND",
    period_start=at(BEGINS),
    period_end=at(ENDS),
    paid_at=at(PAID),
)


def without(document: dict[str, Any], *path: str) -> dict[str, Any]:
    changed = deepcopy(document)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return changed


@pytest.mark.parametrize("value", [0, 1, 59_000, 10**15])
def test_an_amount_is_a_whole_number_of_dong(value):
    assert shapes.amount(value) == value


@pytest.mark.parametrize("value", [-1, 10**15 + 1, 1.0, "59000", True, None])
def test_what_is_no_amount_is_never_guessed(value):
    with pytest.raises(MalformedNotificationError, match="is not an amount") as refused:
        shapes.amount(value)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize("value", [0, 1, LAST_SECOND])
def test_a_moment_is_whole_seconds_in_utc(value):
    found = shapes.instant(value)
    assert (found.timestamp(), found.tzinfo) == (value, UTC)


@pytest.mark.parametrize("value", [-1, LAST_SECOND + 1, 1.5, "1", True, None])
def test_what_is_no_moment_is_never_guessed(value):
    with pytest.raises(MalformedNotificationError, match="is not a time"):
        shapes.instant(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [("in_1", "in_1"), ({"id": "in_1", "object": "invoice"}, "in_1"), ("x" * 255, "x" * 255)],
)
def test_a_reference_is_an_id_expanded_or_not(value, found):
    assert shapes.identifier(value) == shapes.optional_identifier(value) == found


@pytest.mark.parametrize("value", ["", 7, {}, {"id": None}, {"id": ""}, "x" * 256, ["in_1"]])
def test_what_is_no_id_is_never_guessed(value):
    for read in (shapes.identifier, shapes.optional_identifier):
        with pytest.raises(MalformedNotificationError, match="is not an id"):
            read(value)
    with pytest.raises(MalformedNotificationError):
        shapes.identifier(None)
    assert shapes.optional_identifier(None) == ""


def test_whose_it_is_is_what_we_wrote_there_whole_or_nobodys():
    assert shapes.origin(METADATA) == ORIGIN
    for name in METADATA:
        assert shapes.origin(without(METADATA, name)) is None
    for wrong in (None, {}, "x", 7, METADATA | {"reader": "x"}, METADATA | {"price": 7}):
        assert shapes.origin(wrong) is None


def test_a_subscription_is_read_whole():
    plain = SubscriptionFacts(
        id="sub_1",
        status="active",
        customer="cus_1",
        origin=ORIGIN,
        cancel_at_period_end=False,
        ended_at=None,
        period_start=at(BEGINS),
        period_end=at(ENDS),
        created_at=at(CREATED),
    )
    assert shapes.subscription(SUBSCRIPTION) == plain
    for left_out in ("pause_collection", "ended_at"):
        assert shapes.subscription(without(SUBSCRIPTION, left_out)) == plain
    changed = shapes.subscription(
        SUBSCRIPTION
        | {
            "pause_collection": {"behavior": "void"},
            "cancel_at_period_end": True,
            "ended_at": 0,
            "metadata": {},
            "customer": {"id": "cus_2"},
        }
    )
    assert (changed.status, changed.cancel_at_period_end) == ("paused", True)
    assert (changed.ended_at, changed.origin, changed.customer) == (at(0), None, "cus_2")
    with pytest.raises(MalformedNotificationError, match=r"^a subscription without items$"):
        shapes.subscription(SUBSCRIPTION | {"items": {"data": []}})


def test_the_period_of_a_subscription_is_its_first_items():
    items = [*SUBSCRIPTION["items"]["data"], {"current_period_start": 1, "current_period_end": 2}]
    found = shapes.subscription(SUBSCRIPTION | {"items": {"data": items}})
    assert (found.period_start, found.period_end) == (at(BEGINS), at(ENDS))


@pytest.mark.parametrize(
    "parent", [None, {}, {"subscription_details": None}, {"subscription_details": {}}]
)
def test_an_invoice_of_a_single_purchase_is_none_of_a_subscription(parent):
    assert shapes.subscription_of_invoice({"parent": parent}) == ""
    assert shapes.subscription_of_invoice({}) == ""
    assert shapes.paid_invoice(INVOICE | {"parent": parent}) is None
    expanded = {"subscription_details": {"subscription": {"id": "sub_2"}}}
    assert shapes.subscription_of_invoice({"parent": expanded}) == "sub_2"


def test_a_paid_invoice_is_read_whole():
    assert shapes.paid_invoice(INVOICE) == PAID_INVOICE


@pytest.mark.parametrize(
    "changes", [{"status": "open"}, {"status": "void"}, {"status": "PAID"}, {"amount_paid": 0}]
)
def test_what_was_not_paid_earns_nothing(changes):
    assert shapes.paid_invoice(INVOICE | changes) is None


def test_one_dong_is_paid_and_a_broken_amount_is_an_error():
    found = shapes.paid_invoice(INVOICE | {"amount_paid": 1})
    assert found is not None and found.amount_vnd == 1
    with pytest.raises(MalformedNotificationError, match="is not an amount"):
        shapes.paid_invoice(INVOICE | {"amount_paid": "59000"})
    with pytest.raises(MalformedNotificationError, match=r"^a paid invoice without lines$"):
        shapes.paid_invoice(INVOICE | {"lines": {"data": []}})


def test_an_invoice_covers_from_its_first_line_to_its_last_in_any_order():
    periods = [(BEGINS, ENDS), (BEGINS - 50, ENDS - 50), (BEGINS + 9, ENDS + 9)]
    for turn in range(3):
        lines = [{"period": {"start": s, "end": e}} for s, e in periods[turn:] + periods[:turn]]
        found = shapes.paid_invoice(INVOICE | {"lines": {"data": lines}})
        assert found is not None
        assert (found.period_start, found.period_end) == (at(BEGINS - 50), at(ENDS + 9))


def test_a_finished_checkout_is_read_whole():
    assert shapes.checkout(SESSION) == CheckoutFacts(
        session_id="cs_1",
        reference="checkout-1",
        open=False,
        paid=True,
        url="",
        subscription_id="sub_1",
        invoice=PAID_INVOICE,
    )


@pytest.mark.parametrize(
    ("status", "payment", "is_open", "paid"),
    [
        ("open", "unpaid", True, False),
        ("open", "paid", True, False),
        ("complete", "unpaid", False, False),
        ("complete", "no_payment_required", False, False),
        ("expired", "paid", False, False),
    ],
)
def test_a_checkout_is_paid_when_it_is_complete_and_paid(status, payment, is_open, paid):
    found = shapes.checkout(SESSION | {"status": status, "payment_status": payment})
    assert (found.open, found.paid) == (is_open, paid)


def test_a_checkout_that_is_still_open_has_an_address_and_nothing_bought():
    opened = SESSION | {
        "status": "open",
        "payment_status": "unpaid",
        "url": "https://pay.vn/c",
        "subscription": None,
        "invoice": "in_1",
        "client_reference_id": None,
    }
    expected = CheckoutFacts("cs_1", "", True, False, "https://pay.vn/c", "", None)
    assert shapes.checkout(opened) == expected
    for name in ("subscription", "invoice", "client_reference_id"):
        opened = without(opened, name)
        assert shapes.checkout(opened) == expected
    assert shapes.checkout(without(SESSION, "url")).url == ""


def test_a_refund_is_read_whole():
    document = {"id": "re_1", "amount": 19_000, "created": CREATED}
    assert shapes.refund(document) == RefundFacts("re_1", 19_000, at(CREATED))


EVENTS = [
    ("checkout.session.completed", SESSION, CheckoutCompleted("cs_1")),
    ("checkout.session.completed", SESSION | {"mode": "payment"}, NotOurs()),
    ("checkout.session.completed", SESSION | {"metadata": {}}, NotOurs()),
    ("checkout.session.completed", without(SESSION, "metadata"), NotOurs()),
    ("checkout.session.completed", without(SESSION, "mode"), NotOurs()),
    ("invoice.paid", INVOICE, InvoicePaid(PAID_INVOICE)),
    ("invoice.paid", INVOICE | {"parent": None}, NotOurs()),
    ("invoice.payment_failed", INVOICE | {"status": "open"}, SubscriptionTouched("sub_1")),
    ("invoice.payment_failed", INVOICE | {"parent": None}, NotOurs()),
    ("customer.subscription.updated", SUBSCRIPTION, SubscriptionTouched("sub_1")),
    ("customer.subscription.deleted", SUBSCRIPTION, SubscriptionTouched("sub_1")),
    ("charge.refunded", {"id": "ch_1", "payment_intent": "pi_1"}, Refunded("pi_1")),
    ("refund.created", {"id": "re_1", "payment_intent": {"id": "pi_2"}}, Refunded("pi_2")),
    ("refund.created", {"id": "re_1", "payment_intent": None}, NotOurs()),
    ("charge.refunded", {"id": "ch_1"}, NotOurs()),
    ("customer.created", {"id": "cus_1"}, NotOurs()),
]


@pytest.mark.parametrize(("kind", "document", "fact"), EVENTS)
def test_an_event_says_what_its_type_promises(kind, document, fact):
    assert shapes.interpret({"type": kind, "data": {"object": document}}) == fact


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({}, "KeyError: 'type'"),
        ({"type": "invoice.paid"}, "KeyError: 'data'"),
        ({"type": "invoice.paid", "data": {}}, "KeyError: 'object'"),
        ({"type": "invoice.paid", "data": {"object": []}}, "AttributeError"),
        ({"type": "invoice.paid", "data": []}, "TypeError"),
        (
            {"type": "invoice.paid", "data": {"object": without(INVOICE, "amount_paid")}},
            "KeyError: 'amount_paid'",
        ),
        (
            {"type": "invoice.paid", "data": {"object": without(INVOICE, "status_transitions")}},
            "KeyError: 'status_transitions'",
        ),
    ],
)
def test_a_missing_field_names_itself(event, named):
    with pytest.raises(MalformedNotificationError) as refused:
        shapes.interpret(event)
    assert str(refused.value).startswith(named)
