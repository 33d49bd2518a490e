"""What we ask of Stripe, in its parameters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.billing.payments.adapters import stripe_requests as requests
from services.billing.payments.adapters.port import (
    MandateCharge,
    PageSpec,
)
from tests.unit.billing.stripe_documents import CHARGE, CREATED, METADATA, at

SPEC = PageSpec(
    charge_id=CHARGE,
    agency="bao-thu",
    description="Gói tháng",
    amount_vnd=59_000,
    keeps=False,
    customer="",
    email="lan@example.vn",
    success_url="https://bao.vn/done",
    cancel_url="https://bao.vn/plans",
    language="vi",
    expires_at=at(CREATED) + timedelta(microseconds=900_000),
    key="k",
)
COMMON = {
    "client_reference_id": str(CHARGE),
    "metadata": METADATA,
    "success_url": "https://bao.vn/done",
    "cancel_url": "https://bao.vn/plans",
    "locale": "vi",
    "expires_at": CREATED,
}


def spec(**changes: Any) -> PageSpec:
    return replace(SPEC, **changes)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_page_asks_for_dong_without_decimals_and_keeps_where_told(keeps):
    price = {"currency": "vnd", "unit_amount": 59_000, "product_data": {"name": "Gói tháng"}}
    intent: dict[str, Any] = {"metadata": METADATA, "description": "Gói tháng"}
    kept = {"setup_future_usage": "off_session"} if keeps else {}
    assert requests.page(spec(keeps=keeps)) == COMMON | {
        "customer_email": "lan@example.vn",
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "payment_intent_data": intent | kept,
        **({"customer_creation": "always"} if keeps else {}),
    }


def test_a_page_of_nothing_asks_for_a_means_to_keep():
    assert requests.page(spec(amount_vnd=0)) == COMMON | {
        "customer_email": "lan@example.vn",
        "customer_creation": "always",
        "mode": "setup",
        "currency": "vnd",
        "setup_intent_data": {"metadata": METADATA, "description": "Gói tháng"},
    }


@pytest.mark.parametrize(
    ("changes", "payer"),
    [
        ({"customer": "cus_1", "keeps": True}, {"customer": "cus_1"}),
        ({"customer": "cus_1"}, {"customer": "cus_1"}),
        ({"email": "", "keeps": True}, {"customer_creation": "always"}),
        ({"email": ""}, {}),
    ],
)
def test_who_pays_is_the_known_customer_or_a_mailbox_or_nobody_yet(changes, payer):
    found = requests.page(spec(**changes))
    assert {name: found[name] for name in found if name.startswith("customer")} == payer


def test_a_charge_without_its_holder_says_so():
    found = requests.charge(
        MandateCharge(CHARGE, "bao-thu", "Gói tháng", 59_000, "cus_1", "pm_1", "k")
    )
    assert found == {
        "amount": 59_000,
        "currency": "vnd",
        "customer": "cus_1",
        "payment_method": "pm_1",
        "description": "Gói tháng",
        "metadata": METADATA | {"kind": "mandate"},
        "confirm": True,
        "off_session": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "expand": ["latest_charge.balance_transaction", "payment_method"],
    }
