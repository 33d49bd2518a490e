"""Which subscriptions of Stripe Billing are taken over, and when."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.billing.moving import rules
from services.billing.moving.rules import Later, PlanMapError, Reason, Sold, read_plan_map
from services.billing.payments.adapters.stripe_takeovers import running
from services.billing.payments.method import Method
from services.billing.payments.running import Hindrance, Running, RunState

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
NOW, DAY, GRACE = datetime(2026, 11, 20, tzinfo=UTC), timedelta(days=1), timedelta(days=7)
SOLD = {"price_1": Sold("doc-bao", "month")}
PLAIN = Running(
    id="sub_1",
    customer="cus_1",
    email="lan@example.vn",
    name="Lan",
    language="vi",
    state=RunState.ACTIVE,
    hindrances=(),
    price="price_1",
    amount=59_000,
    currency="VND",
    period="month",
    starts_at=START,
    ends_at=END,
    anchor_at=START,
    began_at=START,
    ends=False,
    ended_at=None,
    paid=True,
    asked=59_000,
    method=Method("cus_1", "pm_1"),
)
CARD = {
    "id": "pm_1",
    "type": "card",
    "customer": "cus_1",
    "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2034},
}
DOC: dict[str, Any] = {
    "id": "sub_1",
    "status": "active",
    "currency": "vnd",
    "customer": {
        "id": "cus_1",
        "email": "lan@example.vn",
        "name": None,
        "balance": 0,
        "preferred_locales": [],
        "invoice_settings": {"default_payment_method": CARD},
    },
    "default_payment_method": None,
    "latest_invoice": {"status": "paid", "total": 59_000},
    "items": {
        "has_more": False,
        "data": [
            {
                "price": {
                    "id": "price_1",
                    "unit_amount": 59_000,
                    "billing_scheme": "per_unit",
                    "transform_quantity": None,
                    "recurring": {
                        "interval": "month",
                        "interval_count": 1,
                        "usage_type": "licensed",
                    },
                },
                "quantity": 1,
                "discounts": [],
                "tax_rates": [],
                "current_period_start": int(START.timestamp()),
                "current_period_end": int(END.timestamp()),
            }
        ],
    },
    "billing_cycle_anchor": int(START.timestamp()),
    "start_date": int(START.timestamp()),
    "cancel_at_period_end": False,
    "cancel_at": None,
    "ended_at": None,
    "automatic_tax": {"enabled": False},
    "default_tax_rates": [],
    "schedule": None,
    "pending_update": None,
    "pause_collection": None,
    "discounts": [],
    "collection_method": "charge_automatically",
    "pending_setup_intent": None,
}


def changed(path: str, value: Any) -> Running:
    doc = deepcopy(DOC)
    *parts, last = path.split(".")
    node: Any = doc
    for part in parts:
        node = node[int(part)] if part.isdigit() else node[part]
    node[last] = value
    return running(doc)


def test_a_plain_subscription_is_read_and_its_card_is_the_customers_unless_it_has_its_own() -> None:
    found = running(DOC)
    assert rules.judge(found, SOLD) is None
    assert found.method == Method("cus_1", "pm_1", "Visa •••• 4242", found.method.expires_on)
    assert (found.starts_at, found.ends_at, found.language) == (START, END, "vi")
    own = changed("default_payment_method", {**CARD, "id": "pm_2"})
    assert own.method is not None and own.method.id == "pm_2"
    gone = changed("customer", {"id": "cus_1", "deleted": True})
    assert (gone.method, gone.email) == (None, "")
    assert changed("items.data.0.price.recurring.interval_count", 3).period == "quarter"
    assert changed("items.data.0.price.recurring.interval_count", 2).period == ""


@pytest.mark.parametrize(
    ("path", "value", "hindrance"),
    [
        ("items.data.0.quantity", 2, Hindrance.MANY_ITEMS),
        ("items.has_more", True, Hindrance.MANY_ITEMS),
        ("items.data.0.price.billing_scheme", "tiered", Hindrance.MANY_ITEMS),
        ("items.data.0.price.recurring.usage_type", "metered", Hindrance.MANY_ITEMS),
        ("schedule", "sub_sched_1", Hindrance.SCHEDULED),
        ("pending_update", {"expires_at": 1}, Hindrance.SCHEDULED),
        ("pause_collection", {"behavior": "void"}, Hindrance.NOT_COLLECTED),
        ("discounts", ["di_1"], Hindrance.OTHER_SUM),
        ("items.data.0.discounts", ["di_1"], Hindrance.OTHER_SUM),
        ("items.data.0.tax_rates", [{"id": "txr_1"}], Hindrance.OTHER_SUM),
        ("default_tax_rates", [{"id": "txr_1"}], Hindrance.OTHER_SUM),
        ("automatic_tax.enabled", True, Hindrance.OTHER_SUM),
        ("customer.balance", -5_000, Hindrance.OTHER_SUM),
        ("customer.discount", {"id": "di_1"}, Hindrance.OTHER_SUM),
        ("collection_method", "send_invoice", Hindrance.BY_INVOICE),
        ("pending_setup_intent", "seti_1", Hindrance.NEEDS_HOLDER),
        ("cancel_at", int(START.timestamp()) + 5, Hindrance.OTHER_END),
    ],
)
def test_what_a_person_is_to_see_hinders(path: str, value: Any, hindrance: Hindrance) -> None:
    found = changed(path, value)
    assert found.hindrances == (hindrance,)
    assert rules.judge(found, SOLD) is Reason[hindrance.name]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": RunState.TRIALING}, Reason.TRIALING),
        ({"state": RunState.ENDED}, Reason.ENDED),
        ({"currency": "USD"}, Reason.OTHER_CURRENCY),
        ({"price": "price_2"}, Reason.UNKNOWN_PRICE),
        ({"period": "year"}, Reason.OTHER_PERIOD),
        ({"paid": False}, Reason.COLLECTING),
        ({"asked": 30_000}, Reason.OTHER_SUM),
        ({"amount": 0, "asked": 0}, Reason.OTHER_SUM),
        ({"method": None}, Reason.NO_METHOD),
        ({"method": None, "ends": True}, None),
    ],
)
def test_why_not(changes: dict[str, Any], reason: Reason | None) -> None:
    assert rules.judge(replace(PLAIN, **changes), SOLD) is reason


def follows(now: datetime = NOW, **changes: Any) -> Any:
    return rules.after_told(replace(PLAIN, **changes), "price_1", 59_000, GRACE, now)


def test_only_the_answer_after_it_was_told_decides() -> None:
    ended = {"state": RunState.ENDED, "ended_at": END}
    assert follows(ends=True) is None
    assert follows(END, **ended) is None
    assert follows(END + GRACE - DAY, **ended) is None
    assert follows(END + GRACE, **ended) is Reason.TOO_LATE
    assert follows(state=RunState.ENDED, ended_at=NOW) is Reason.ENDED_AT_ONCE
    assert follows(paid=False) == Later(Reason.COLLECTING, NOW + rules.AGAIN)
    assert follows(state=RunState.OWING) == Later(Reason.OWING, NOW + rules.LATER)
    assert follows(amount=99_000) == Later(Reason.CHANGED, NOW + rules.LATER)
    assert follows(price="price_2") == Later(Reason.CHANGED, NOW + rules.LATER)


def test_how_a_moved_one_stands_and_when_it_is_looked_at() -> None:
    def stands(**changes: Any) -> str:
        return rules.standing(replace(PLAIN, **changes), END)

    assert stands(ends=True) == "ends"
    assert stands() == "resumed"
    assert stands(state=RunState.ENDED, ended_at=END) == "over"
    later = END + timedelta(days=31)
    assert stands(ends_at=later, ends=True) == "renewed"
    assert stands(ends_at=later, state=RunState.ENDED, ended_at=END) == "renewed"
    before = END - rules.BEFORE_THE_END
    assert rules.look_after(PLAIN, NOW) == before
    assert rules.look_after(PLAIN, before) == END + rules.TOLERANCE
    assert rules.look_after(PLAIN, END + DAY) == END + DAY + rules.SOON


def test_a_plan_map_says_what_is_wrong_with_it() -> None:
    good = '[prices]\nprice_1 = "doc-bao/month"\n"price-2" = "a/b/year"\n'
    assert read_plan_map(good) == {
        "price_1": Sold("doc-bao", "month"),
        "price-2": Sold("a/b", "year"),
    }
    for wrong in (
        "",
        "[prices]",
        "prices = 1",
        "x",
        '[prices]\na = "month"',
        '[prices]\na = "doc-bao/"',
        '[prices]\na = "/month"',
        "[prices]\na = 1",
    ):
        with pytest.raises(PlanMapError):
            read_plan_map(wrong)
