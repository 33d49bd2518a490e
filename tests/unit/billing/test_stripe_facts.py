"""Each event of Stripe's as a fact: by its type and version, and never anything but a fact or a malformed notification."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.payments.adapters import stripe_shapes as shapes
from services.billing.payments.adapters import stripe_values as values
from services.billing.payments.adapters.port import (
    Captured,
    DisputeMoved,
    DisputeState,
    Fact,
    Failed,
    Look,
    MalformedNotificationError,
    MethodGone,
    NotOurs,
    PageClosed,
    Processing,
    RefundMoved,
    RefundState,
)
from services.billing.payments.adapters.stripe import StripeProvider
from services.billing.payments.method import Method
from services.billing.webhooks.rules import ALLOWED_TYPES
from tests.unit.billing.stripe_documents import (
    CARD,
    CHARGE,
    CREATED,
    DISPUTE,
    INTENT,
    METADATA,
    PAYOUT,
    REFUND,
    SESSION,
    at,
    without,
)

TOLD = CREATED + 77
BARE = INTENT | {"payment_method": "pm_1", "latest_charge": "ch_1"}
MANDATE = BARE | {"metadata": METADATA | {"kind": "mandate"}, "setup_future_usage": None}
DECLINED = {
    "status": "requires_payment_method",
    "last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"},
}
PAID = SESSION | {
    "payment_intent": "pi_1",
    "customer": None,
    "amount_total": 59_000,
    "currency": "vnd",
}
OPEN = DisputeMoved("du_1", "pi_1", 59_000, 350_000, "VND", DisputeState.OPEN, True, at(CREATED))
CAPTURED = Captured(CHARGE, "pi_1", 59_000, "VND", at(TOLD))
KEPT = replace(CAPTURED, method=Method("cus_1", "pm_1"))
PAGE = Look("page", "cs_1")

EVENTS = [
    ("checkout.session.completed", PAID, CAPTURED),
    ("checkout.session.completed", PAID | {"currency": "usd"}, replace(CAPTURED, currency="USD")),
    ("checkout.session.completed", PAID | {"customer": "cus_1"}, PAGE),
    ("checkout.session.completed", PAID | {"mode": "setup"}, PAGE),
    ("checkout.session.completed", PAID | {"payment_status": "unpaid"}, Processing(CHARGE, "pi_1")),
    (
        "checkout.session.completed",
        PAID | {"payment_status": "unpaid", "customer": "cus_1"},
        Processing(CHARGE, "pi_1"),
    ),
    (
        "checkout.session.completed",
        PAID | {"payment_status": "no_payment_required", "payment_intent": None},
        PageClosed(CHARGE),
    ),
    ("checkout.session.completed", PAID | {"mode": "subscription"}, NotOurs()),
    ("checkout.session.completed", PAID | {"metadata": {"agency": "bao-thu"}}, NotOurs()),
    ("checkout.session.completed", PAID | {"metadata": {"charge": "x"}}, NotOurs()),
    ("checkout.session.async_payment_succeeded", PAID, CAPTURED),
    ("checkout.session.async_payment_succeeded", PAID | {"customer": "cus_1"}, PAGE),
    ("checkout.session.async_payment_failed", PAID | {"payment_status": "unpaid"}, PAGE),
    ("checkout.session.async_payment_failed", PAID | {"metadata": None}, NotOurs()),
    ("checkout.session.expired", PAID | {"payment_status": "unpaid"}, PageClosed(CHARGE)),
    ("checkout.session.expired", PAID | {"mode": "setup"}, PageClosed(CHARGE)),
    ("checkout.session.expired", PAID | {"metadata": {}}, NotOurs()),
    ("payment_intent.succeeded", BARE, KEPT),
    ("payment_intent.succeeded", BARE | {"setup_future_usage": None}, CAPTURED),
    ("payment_intent.succeeded", MANDATE, KEPT),
    ("payment_intent.succeeded", BARE | {"metadata": {}}, NotOurs()),
    ("payment_intent.processing", BARE | {"status": "processing"}, Processing(CHARGE, "pi_1")),
    ("payment_intent.payment_failed", BARE | DECLINED, NotOurs()),
    (
        "payment_intent.payment_failed",
        MANDATE | DECLINED,
        Failed(CHARGE, "pi_1", "insufficient_funds"),
    ),
    *[
        (
            f"refund.{name}",
            REFUND | {"status": status},
            RefundMoved("re_1", "pi_1", 19_000, "VND", state, at(TOLD)),
        )
        for name, status, state in (
            ("created", "pending", RefundState.PENDING),
            ("created", "succeeded", RefundState.SUCCEEDED),
            ("updated", "requires_action", RefundState.PENDING),
            ("updated", "canceled", RefundState.FAILED),
            ("failed", "failed", RefundState.FAILED),
        )
    ],
    *[
        (f"charge.dispute.{name}", DISPUTE, OPEN)
        for name in ("created", "updated", "funds_withdrawn")
    ],
    (
        "charge.dispute.funds_reinstated",
        DISPUTE | {"status": "won", "balance_transactions": []},
        replace(OPEN, state=DisputeState.WON, withdrawn=False, fee=0),
    ),
    (
        "charge.dispute.closed",
        DISPUTE | {"status": "lost"},
        replace(OPEN, state=DisputeState.LOST),
    ),
    *[
        (f"payout.{name}", PAYOUT, Look("payout", "po_1"))
        for name in ("paid", "failed", "reconciliation_completed")
    ],
    ("payment_method.detached", CARD | {"customer": None}, MethodGone(method="pm_1")),
    ("customer.deleted", {"id": "cus_1"}, MethodGone(customer="cus_1")),
    ("charge.refunded", {"id": "ch_1", "payment_intent": "pi_1"}, NotOurs()),
    ("invoice.paid", {"id": "in_1"}, NotOurs()),
]
SUBJECT_OF = {kind: document for kind, document, _ in EVENTS if kind in shapes.LISTENED}


def event(kind: Any, document: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "api_version": shapes.API_VERSION,
        "created": TOLD,
        "data": {"object": document},
        **changes,
    }


@pytest.mark.parametrize(("kind", "document", "fact"), EVENTS)
def test_an_event_says_what_its_type_promises(kind, document, fact):
    assert shapes.interpret(event(kind, document)) == fact


def test_every_type_that_is_listened_to_is_in_the_table_and_the_list_takes_them_all():
    assert set(SUBJECT_OF) == set(shapes.LISTENED) == ALLOWED_TYPES
    assert len(shapes.LISTENED) == len(ALLOWED_TYPES) <= 20


@pytest.mark.parametrize("version", ["2025-03-31.basil", "", None])
@pytest.mark.parametrize("kind", shapes.LISTENED)
def test_of_another_version_only_the_id_is_read(kind, version):
    subject = Look(shapes.SUBJECTS[kind], SUBJECT_OF[kind]["id"])
    bare = {"id": subject.id, "status": 7, "metadata": "?"}
    assert shapes.interpret(event(kind, bare, api_version=version)) == subject
    unversioned = without(event(kind, bare), "api_version")
    assert shapes.interpret(unversioned) == subject


def test_what_is_not_listened_to_is_not_ours_in_any_version():
    assert shapes.interpret(event("invoice.paid", None, api_version="x")) == NotOurs()


@pytest.mark.parametrize(
    ("malformed", "named"),
    [
        ({}, "KeyError: 'type'"),
        ([], "TypeError"),
        (None, "TypeError"),
        (event(["x"], {}), "TypeError"),
        ({"type": "payout.paid"}, "KeyError: 'data'"),
        ({"type": "payout.paid", "data": {}}, "KeyError: 'object'"),
        ({"type": "payout.paid", "data": []}, "TypeError"),
        (event("payout.paid", []), "TypeError"),
        (event("payout.paid", {}), "KeyError: 'id'"),
        (event("payout.paid", {"id": "pó"}), "'pó' is not an id"),
        (event("payment_intent.succeeded", without(BARE, "status")), "KeyError: 'status'"),
        (event("payment_intent.succeeded", BARE | {"amount_received": -1}), "-1 is not an amount"),
        (event("payment_intent.succeeded", BARE | {"metadata": 7}), "AttributeError"),
        (event("payment_intent.succeeded", BARE, created="1"), "'1' is not a time"),
        (
            event("checkout.session.completed", PAID | {"payment_status": "partly"}),
            "'partly' says nothing of a payment",
        ),
        (
            event("checkout.session.completed", PAID | {"payment_intent": None}),
            "None is not an id",
        ),
        (event("checkout.session.completed", without(PAID, "customer")), "KeyError: 'customer'"),
        (event("refund.created", REFUND | {"status": "lost"}), "KeyError: 'lost'"),
        (event("refund.created", REFUND | {"status": []}), "TypeError"),
        (event("charge.dispute.created", DISPUTE | {"status": "gone"}), "'gone' is not a status"),
        (
            event("charge.dispute.created", without(DISPUTE, "balance_transactions")),
            "KeyError: 'balance_transactions'",
        ),
    ],
)
def test_a_missing_field_names_itself(malformed, named):
    with pytest.raises(MalformedNotificationError) as refused:
        shapes.interpret(malformed)
    assert str(refused.value).startswith(named)


@pytest.fixture(scope="module")
def provider() -> StripeProvider:
    return StripeProvider("")


def told(provider: StripeProvider, payload: bytes) -> None:
    """A fact, a look or a malformed notification; nothing else."""
    try:
        found = provider.interpret(payload)
    except MalformedNotificationError:
        return
    assert isinstance(found, (*get_args(Fact), Look))


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff", b"7", b"NaN", b"[" * 100_000, b"1" * 5_000, b'{"type": "\\ud800"}'],
)
def test_what_is_no_event_is_malformed_or_not_ours(provider, payload):
    told(provider, payload)


@given(payload=st.binary(max_size=200))
def test_no_bytes_break_it(provider, payload):
    told(provider, payload)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["succeeded", "paid", "complete", "card", "won", "pm_1", str(CHARGE)])
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(data=st.data(), kind=st.sampled_from(shapes.LISTENED))
def test_no_junk_in_any_field_breaks_it(provider, data, kind):
    document = dict(SUBJECT_OF[kind])
    for name in data.draw(st.sets(st.sampled_from(sorted(document)), max_size=3)):
        document[name] = data.draw(JUNK)
    changes = data.draw(st.dictionaries(st.sampled_from(["created", "api_version", "data"]), JUNK))
    told(provider, json.dumps(event(kind, document, **changes)).encode())


@given(kind=JUNK, document=JUNK)
def test_no_junk_event_breaks_it(provider, kind, document):
    told(provider, json.dumps(event(kind, document)).encode())


@pytest.mark.parametrize(
    ("reader", "document"),
    [
        (shapes.page, SESSION),
        (shapes.payment, INTENT),
        (shapes.refund, REFUND),
        (shapes.dispute, DISPUTE),
        (shapes.method, CARD),
    ],
)
@given(data=st.data())
def test_no_junk_in_an_answer_breaks_its_reader(reader, document, data):
    changed = dict(document)
    changed[data.draw(st.sampled_from(sorted(document)))] = data.draw(JUNK)
    try:
        values.read(reader, changed)
    except MalformedNotificationError:
        return
