"""Weak settings are refused where they matter."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.billing.payments.adapters.stripe import API_VERSION, StripeProvider
from services.billing.settings import BillingSettings

PRODUCTION = {
    "environment": "production",
    "scrape_token": "scrape",
    "stripe_secret_key": "sk_live_x",
    "stripe_webhook_secret": "whsec_x",
    "signing_keys_file": "/run/secrets/keys.pem",
    "form_token_secret": "0123456789abcdef",
    "mail_transport": "smtp",
    "smtp_host": "mail.example.vn",
}


def test_production_starts_with_everything_set():
    assert BillingSettings(**PRODUCTION).payment_page_origins == ("https://checkout.stripe.com",)


@pytest.mark.parametrize(
    "missing",
    [
        {"stripe_webhook_secret": ""},
        {"signing_keys_file": ""},
        {"form_token_secret": ""},
        {"mail_transport": "outbox"},
        {"smtp_host": ""},
        {"stripe_api_base": "http://127.0.0.1:8006"},
    ],
)
def test_production_refuses_what_is_weak(missing):
    with pytest.raises(ValidationError):
        BillingSettings(**PRODUCTION | missing)


def test_a_live_key_is_never_sent_to_another_address():
    with pytest.raises(ValueError, match="live Stripe key"):
        StripeProvider("sk_live_x", api_base="http://127.0.0.1:8006")
    with pytest.raises(ValidationError):
        BillingSettings(
            environment="local", stripe_secret_key="rk_live_x", stripe_api_base="http://x.test"
        )


def test_the_api_version_is_the_one_the_sdk_was_made_for():
    from stripe._api_version import _ApiVersion

    assert API_VERSION == _ApiVersion.CURRENT


def test_secrets_rotate_as_a_list():
    settings = BillingSettings(environment="local", stripe_webhook_secret="whsec_a, whsec_b,")
    assert settings.webhook_secrets == ("whsec_a", "whsec_b")
