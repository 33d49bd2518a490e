"""Weak settings are refused where they matter."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.billing.payments.adapters.stripe import API_VERSION, StripeProvider
from services.billing.settings import BillingSettings
from tests.fixtures.production import production


def test_the_payment_page_is_stripes_own_where_no_sandbox_is_used():
    settings = BillingSettings(**production(BillingSettings))
    assert settings.payment_page_origins == ("https://checkout.stripe.com",)


def test_a_live_key_is_never_sent_to_another_address():
    with pytest.raises(ValueError, match="live Stripe key"):
        StripeProvider("sk_live_x", api_base="http://127.0.0.1:8006")
    with pytest.raises(ValidationError):
        BillingSettings(
            **production(BillingSettings) | {"stripe_api_base": "https://api.example.vn"},
        )


def test_the_api_version_is_the_one_the_sdk_was_made_for():
    from stripe._api_version import _ApiVersion

    assert API_VERSION == _ApiVersion.CURRENT


def test_secrets_rotate_as_a_list():
    settings = BillingSettings(environment="local", stripe_webhook_secret="whsec_a, whsec_b,")
    assert settings.webhook_secrets == ("whsec_a", "whsec_b")


def test_whoever_tells_of_bank_credits_has_secrets_of_their_own():
    settings = BillingSettings(
        environment="local",
        bank_webhook_secrets="hung-yen/sepay:new, hung-yen/payos:sum,hung-yen/sepay:old,hp/sepay:hp",
    )
    assert settings.bank_secrets == {
        ("hung-yen", "sepay"): ("new", "old"),
        ("hung-yen", "payos"): ("sum",),
        ("hp", "sepay"): ("hp",),
    }
    assert {"new", "old", "sum", "hp"} <= set(settings.secrets())
    assert BillingSettings(environment="local").bank_secrets == {}


@pytest.mark.parametrize(
    "value",
    ["secret", "hung-yen:secret", "hung-yen/sepay:", "hung-yen/sepay", "/sepay:secret",
     "hung-yen/swift:secret", "Hung Yen/sepay:secret", "hung-yen/sepay:a:b"],
)  # fmt: skip
def test_bank_secrets_of_another_form_are_refused_everywhere_without_being_told(value):
    for environment in ("local", "test"):
        with pytest.raises(ValidationError, match="BANK_WEBHOOK_SECRETS") as caught:
            BillingSettings(environment=environment, bank_webhook_secrets=value)
        assert "agency/kind:secret" in str(caught.value)
