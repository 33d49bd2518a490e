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
