"""Stripe's objects in the port's words: whose it is, and what became of a payment, a page, a refund, a dispute, a payout."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from services.billing.payments.adapters import stripe_shapes as shapes
from services.billing.payments.adapters import stripe_values as values
from services.billing.payments.adapters.port import (
    Captured,
    DisputeMoved,
    DisputeState,
    Failed,
    MalformedNotificationError,
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
from services.billing.payments.method import Method
from tests.unit.billing.stripe_documents import (
    ASKED,
    BOOKED,
    CAPTURED,
    CARD,
    CHARGE,
    CREATED,
    DEBIT,
    DISPUTE,
    INTENT,
    METADATA,
    PAYOUT,
    REFUND,
    SESSION,
    SETUP,
    VISA,
    at,
    without,
)


def test_which_charge_it_is_of_is_what_we_wrote_there():
    assert shapes.charge_named({"metadata": METADATA}) == CHARGE
    for wrong in (None, {}, {"charge": None}, {"charge": 7}, {"charge": "x"}, {"charge": ""}):
        assert shapes.charge_named({"metadata": wrong}) is None
    assert shapes.charge_named({}) is None


# -- means of payment -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("brand", "label"),
    [
        ("visa", "Visa •••• 4242"),
        ("mastercard", "Mastercard •••• 4242"),
        ("amex", "American Express •••• 4242"),
        ("unknown", "•••• 4242"),
    ],
)
def test_a_card_is_known_by_its_brand_and_last_digits(brand, label):
    found = shapes.method(CARD | {"card": CARD["card"] | {"brand": brand}})
    assert found == Method("cus_1", "pm_1", label, date(2028, 2, 29))


def test_a_bank_debit_does_not_expire():
    assert shapes.method(DEBIT) == Method("cus_1", "pm_2", "SEPA •••• 3204", None)
    link = {"id": "pm_3", "type": "link", "customer": "cus_1", "link": {"email": "a@example.vn"}}
    assert shapes.method(link) == Method("cus_1", "pm_3", "", None)


@pytest.mark.parametrize("card", [{"exp_month": 13}, {"exp_year": 10**30}, {"exp_month": "2"}])
def test_a_card_of_no_month_is_an_error(card):
    with pytest.raises(MalformedNotificationError):
        values.read(shapes.method, CARD | {"card": CARD["card"] | card})


# -- payments -------------------------------------------------------------------------------


def test_a_payment_is_captured_with_what_was_received():
    assert shapes.payment(INTENT) == CAPTURED
    told = shapes.payment(INTENT, at(CREATED + 9))
    assert isinstance(told, Captured) and told.captured_at == at(CREATED + 9)
    other = shapes.payment(INTENT | {"metadata": {}, "currency": "usd"})
    assert isinstance(other, Captured) and (other.charge_id, other.currency) == (None, "USD")


def test_a_card_is_charged_when_it_is_asked_and_a_bank_when_it_pays():
    by_bank = INTENT["latest_charge"] | {"payment_method_details": {"type": "sepa_debit"}}
    for charge, when in (
        (by_bank, BOOKED),
        (by_bank | {"balance_transaction": None}, ASKED),
        (by_bank | {"balance_transaction": "txn_1"}, ASKED),
        (without(INTENT["latest_charge"], "payment_method_details"), BOOKED),
        ("ch_1", CREATED),
        (None, CREATED),
    ):
        found = shapes.payment(INTENT | {"latest_charge": charge})
        assert isinstance(found, Captured) and found.captured_at == at(when)


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({"payment_method": "pm_1"}, Method("cus_1", "pm_1")),
        ({"payment_method": "pm_1", "customer": {"id": "cus_2"}}, Method("cus_2", "pm_1")),
        ({"setup_future_usage": None}, None),
        ({"setup_future_usage": "on_session"}, None),
        ({"setup_future_usage": None, "metadata": METADATA | {"kind": "mandate"}}, VISA),
        ({"customer": None}, None),
        ({"payment_method": None}, None),
        ({"payment_method": CARD | {"customer": None}}, None),
    ],
)
def test_a_means_is_kept_where_it_may_be_charged_again_and_was_not_let_go(changes, method):
    found = shapes.payment(INTENT | changes)
    assert isinstance(found, Captured) and found.method == method


FAILURES = [
    ({"code": "card_declined", "decline_code": "insufficient_funds"}, "insufficient_funds", False),
    ({"code": "expired_card", "decline_code": None}, "expired_card", False),
    ({"code": "authentication_required"}, "authentication_required", True),
    (
        {"code": "card_declined", "decline_code": "authentication_required"},
        "authentication_required",
        True,
    ),
    (
        {"code": "authentication_required", "decline_code": "generic_decline"},
        "generic_decline",
        True,
    ),
]


@pytest.mark.parametrize(("error", "code", "needs_holder"), FAILURES)
def test_a_failure_is_named_by_what_the_bank_said(error, code, needs_holder):
    intent = INTENT | {"status": "requires_payment_method", "last_payment_error": error}
    failed = Failed(CHARGE, "pi_1", code, needs_holder=needs_holder)
    assert shapes.payment(intent) == failed
    assert shapes.declined(CHARGE, error | {"payment_intent": intent}) == failed
    assert shapes.declined(CHARGE, error).reference == ""


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"status": "processing"}, Processing(CHARGE, "pi_1")),
        (
            {"status": "requires_action"},
            Failed(CHARGE, "pi_1", "authentication_required", needs_holder=True),
        ),
        ({"status": "canceled"}, Failed(CHARGE, "pi_1", "canceled")),
        (
            {"status": "canceled", "cancellation_reason": "abandoned"},
            Failed(CHARGE, "pi_1", "abandoned"),
        ),
        ({"status": "requires_payment_method"}, Failed(CHARGE, "pi_1", "requires_payment_method")),
        ({"status": "requires_confirmation"}, Failed(CHARGE, "pi_1", "requires_confirmation")),
    ],
)
def test_what_took_no_money_has_failed_or_is_processing(changes, fact):
    assert shapes.payment(INTENT | changes) == fact


@pytest.mark.parametrize("status", ["requires_capture", "SUCCEEDED", "", None])
def test_an_unknown_status_of_a_payment_is_an_error(status):
    with pytest.raises(MalformedNotificationError, match="is not a status of a payment"):
        shapes.payment(INTENT | {"status": status})


def test_a_decline_on_a_page_is_no_news_and_one_without_its_holder_is():
    failed = INTENT | {"status": "requires_payment_method"}
    assert shapes.payment_of_ours(failed) == NotOurs()
    mandate = failed | {"metadata": METADATA | {"kind": "mandate"}}
    assert isinstance(shapes.payment_of_ours(mandate), Failed)
    assert shapes.payment_of_ours(INTENT) == CAPTURED
    assert shapes.payment_of_ours(INTENT | {"metadata": {"agency": "x"}}) == NotOurs()


# -- pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({}, CAPTURED),
        ({"status": "open", "url": "https://pay.vn/c"}, PageOpen(CHARGE, "https://pay.vn/c")),
        ({"status": "expired"}, PageClosed(CHARGE)),
        ({"payment_status": "no_payment_required"}, PageClosed(CHARGE)),
        ({"payment_intent": INTENT | {"status": "processing"}}, Processing(CHARGE, "pi_1")),
        (
            {"payment_intent": INTENT | {"status": "requires_payment_method"}},
            Failed(CHARGE, "pi_1", "requires_payment_method"),
        ),
        ({"mode": "setup", "setup_intent": SETUP}, MethodSaved(CHARGE, VISA)),
        (
            {"mode": "setup", "setup_intent": SETUP | {"status": "processing"}},
            Processing(CHARGE, "seti_1"),
        ),
        (
            {"mode": "setup", "setup_intent": SETUP | {"status": "canceled"}},
            Failed(CHARGE, "seti_1", "canceled"),
        ),
        (
            {
                "mode": "setup",
                "setup_intent": SETUP
                | {
                    "status": "requires_payment_method",
                    "last_setup_error": {"code": "card_declined"},
                },
            },
            Failed(CHARGE, "seti_1", "card_declined"),
        ),
        (
            {
                "mode": "setup",
                "setup_intent": SETUP | {"payment_method": CARD | {"customer": None}},
            },
            Failed(CHARGE, "seti_1", "resource_missing", method_gone=True),
        ),
    ],
)
def test_a_page_is_open_closed_or_what_became_of_its_payment(changes, fact):
    assert shapes.page(SESSION | changes) == fact


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "paid"}, "'paid' is not a status of a page"),
        ({"status": "open"}, "None is not an address"),
        ({"status": "open", "url": ""}, "'' is not an address"),
        ({"payment_intent": "pi_1"}, "AttributeError"),
        ({"payment_intent": None}, "AttributeError"),
    ],
)
def test_a_page_that_is_not_whole_is_an_error(changes, words):
    with pytest.raises(MalformedNotificationError, match=words):
        values.read(shapes.page, SESSION | changes)


def test_a_page_that_was_opened_has_an_id_and_an_address():
    assert shapes.opened({"id": "cs_1", "url": "https://pay.vn/c"}) == Page(
        "cs_1", "https://pay.vn/c"
    )


# -- refunds, disputes, payouts -------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state", "moved"),
    [
        ("pending", RefundState.PENDING, CREATED),
        ("requires_action", RefundState.PENDING, CREATED),
        ("succeeded", RefundState.SUCCEEDED, ASKED),
        ("failed", RefundState.FAILED, BOOKED),
        ("canceled", RefundState.FAILED, BOOKED),
    ],
)
def test_a_refund_moves_with_its_balance_transaction(status, state, moved):
    document = REFUND | {"status": status}
    fact = RefundMoved("re_1", "pi_1", 19_000, "VND", state, at(moved))
    assert shapes.refund(document) == fact
    told = shapes.refund(document, at(CREATED + 5))
    assert told.moved_at == at(CREATED + 5)
    bare = {"balance_transaction": "txn_2", "failure_balance_transaction": None}
    assert shapes.refund(document | bare).moved_at == at(CREATED)


def test_a_refund_that_billing_asked_for_names_its_request():
    asked = UUID(int=9)
    assert shapes.refund(REFUND | {"metadata": {"request": str(asked)}}).request_id == asked
    for metadata in (None, {}, {"request": "9"}, {"request": 9}):
        assert shapes.refund(REFUND | {"metadata": metadata}).request_id is None


def test_a_page_that_is_not_of_billing_is_no_news_of_ours():
    assert shapes.page_of_ours(SESSION | {"metadata": {}}) == NotOurs()
    assert shapes.page_of_ours(SESSION) == shapes.page(SESSION) != NotOurs()


def test_a_refund_of_a_charge_without_an_intent_names_the_charge():
    assert shapes.refund(REFUND | {"payment_intent": None}).reference == "ch_1"
    assert shapes.refund(REFUND | {"payment_intent": None, "charge": None}).reference == ""


BACK = {"amount": 59_000, "fee": 0, "currency": "vnd"}


@pytest.mark.parametrize(
    ("status", "moves", "state", "withdrawn"),
    [
        *[
            (status, DISPUTE["balance_transactions"], DisputeState.OPEN, True)
            for status in ("needs_response", "under_review", "appeal_under_review")
        ],
        ("warning_needs_response", [], DisputeState.OPEN, False),
        ("warning_under_review", [], DisputeState.OPEN, False),
        ("warning_closed", [], DisputeState.WON, False),
        ("prevented", DISPUTE["balance_transactions"], DisputeState.LOST, True),
        ("won", [*DISPUTE["balance_transactions"], BACK], DisputeState.WON, False),
        ("won", DISPUTE["balance_transactions"], DisputeState.WON, True),
        ("lost", DISPUTE["balance_transactions"], DisputeState.LOST, True),
    ],
)
def test_a_dispute_is_open_won_or_lost(status, moves, state, withdrawn):
    fee = sum(one["fee"] for one in moves)
    fact = DisputeMoved(
        "du_1", "pi_1", 59_000, fee, "VND", state, withdrawn=withdrawn, opened_at=at(CREATED)
    )
    assert shapes.dispute(DISPUTE | {"status": status, "balance_transactions": moves}) == fact


def test_a_fee_in_another_currency_is_not_the_same_money():
    moves = [*DISPUTE["balance_transactions"], {"amount": -1, "fee": 1_500, "currency": "usd"}]
    assert shapes.dispute(DISPUTE | {"balance_transactions": moves}).fee == 350_000
    assert shapes.dispute(DISPUTE | {"payment_intent": None}).reference == "ch_1"
    for status in ("closed", "", None):
        with pytest.raises(MalformedNotificationError, match="is not a status of a dispute"):
            shapes.dispute(DISPUTE | {"status": status})


def entry(number: int, category: str, source: Any, amount: int, fee: int = 0) -> dict[str, Any]:
    return {
        "id": f"txn_{number}",
        "reporting_category": category,
        "source": source,
        "amount": amount,
        "fee": fee,
        "net": amount - fee,
    }


def test_a_payout_has_a_line_for_everything_but_itself():
    paid = {"id": "ch_1", "payment_intent": "pi_1"}
    entries = [
        entry(1, "charge", paid, 59_000, 1_711),
        entry(2, "refund", {"id": "re_1", "payment_intent": "pi_1"}, -9_000),
        entry(3, "refund_failure", {"id": "re_1", "payment_intent": {"id": "pi_1"}}, 9_000),
        entry(4, "dispute", {"id": "du_1", "payment_intent": "pi_1"}, -59_000, 350_000),
        entry(5, "dispute_reversal", {"id": "du_1", "payment_intent": "pi_1"}, 59_000),
        entry(6, "charge", {"id": "ch_2", "payment_intent": None}, 1),
        entry(7, "fee", None, -10),
        entry(8, "payout_reversal", {"id": "po_0"}, 100),
        entry(9, "payout", "po_1", -57_289),
        entry(10, "payout", {"id": "po_1"}, -57_289),
    ]
    found = shapes.payout(PAYOUT, entries)
    assert found.lines == (
        PayoutLine("txn_1", "charge", "pi_1", 59_000, 1_711, 57_289),
        PayoutLine("txn_2", "refund", "pi_1", -9_000, 0, -9_000),
        PayoutLine("txn_3", "refund", "pi_1", 9_000, 0, 9_000),
        PayoutLine("txn_4", "dispute", "pi_1", -59_000, 350_000, -409_000),
        PayoutLine("txn_5", "dispute", "pi_1", 59_000, 0, 59_000),
        PayoutLine("txn_6", "charge", "", 1, 0, 1),
        PayoutLine("txn_7", "other", "", -10, 0, -10),
        PayoutLine("txn_8", "payout", "po_0", 100, 0, 100),
    )


@pytest.mark.parametrize(
    ("status", "paid", "failed"),
    [
        ("pending", False, False),
        ("in_transit", False, False),
        ("paid", True, False),
        ("failed", False, True),
        ("canceled", False, True),
    ],
)
def test_a_payout_is_on_its_way_paid_or_came_back(status, paid, failed):
    fact = PayoutMoved("po_1", 57_289, "VND", paid, failed, date(2026, 9, 22), ())
    assert shapes.payout(PAYOUT | {"status": status}, ()) == fact
    assert shapes.payout(PAYOUT | {"status": status, "amount": -5}, ()).amount == -5


def test_a_customer_is_deleted_where_stripe_says_so():
    assert shapes.is_deleted({"id": "cus_1", "object": "customer", "deleted": True})
    for other in ({}, {"deleted": False}, {"deleted": "true"}):
        assert not shapes.is_deleted({"id": "cus_1", "object": "customer"} | other)
    with pytest.raises(MalformedNotificationError):
        shapes.is_deleted({"id": None, "deleted": True})
