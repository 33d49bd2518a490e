"""Billing's own settings, beside the shared ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from shared.mail import MailSettings

LIVE_KEYS = ("sk_live_", "rk_live_")


class BillingSettings(MailSettings):
    """The environment of a billing process."""

    stripe_secret_key: str = Field(
        default="", description="Stripe secret key; a live key is refused with a sandbox address."
    )
    stripe_api_base: str = Field(
        default="", description="Address of the Stripe API; empty is Stripe itself."
    )
    stripe_webhook_secret: str = Field(
        default="", description="Webhook signing secrets, newest first, separated by commas."
    )
    stripe_webhook_tolerance_seconds: int = Field(
        default=300, ge=1, le=86_400, description="How old a webhook's signature may be."
    )
    stripe_sandbox_url: str = Field(
        default="", description="Public address of the sandbox's payment page, where one is used."
    )
    stripe_timeout_seconds: float = Field(
        default=10.0, gt=0, le=60, description="How long one call to Stripe may take."
    )
    stripe_max_retries: int = Field(
        default=2, ge=0, le=5, description="Further tries of a Stripe call with the same key."
    )
    signing_keys_file: str = Field(
        default="",
        description="PEM file with the Ed25519 keys of reader tokens, signing one first.",
    )
    forwarded_hops: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Trusted proxies in front: the caller's address is that far from the right "
        "in X-Forwarded-For. 0: the connection's own address.",
    )
    session_days: int = Field(
        default=90, ge=1, le=400, description="Days a reader stays signed in without a visit."
    )
    grace_days: int = Field(
        default=3, ge=0, le=30, description="Days of reading after an unpaid renewal date."
    )
    appliers: int = Field(
        default=4, ge=1, le=32, description="Webhook events the worker applies at the same time."
    )
    webhook_max_attempts: int = Field(
        default=12, ge=1, le=100, description="Tries of a webhook event before it is parked."
    )
    sweep_seconds: float = Field(
        default=60.0, gt=0, description="How often the provider's list of events is read."
    )
    recognition_seconds: float = Field(
        default=60.0, gt=0, description="How often due days of revenue are recognised."
    )
    review_seconds: float = Field(
        default=5.0, gt=0, description="How often subscriptions whose date has come are reviewed."
    )
    invariants_seconds: float = Field(
        default=30.0, gt=0, description="How often the books are checked against themselves."
    )

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if self.stripe_secret_key.startswith(LIVE_KEYS) and self.stripe_api_base:
            raise ValueError(
                "STRIPE_SECRET_KEY is a live key and STRIPE_API_BASE points elsewhere: refused"
            )
        if self.environment != "production":
            return
        weak = [
            name
            for name, value in (
                ("STRIPE_SECRET_KEY", self.stripe_secret_key),
                ("STRIPE_WEBHOOK_SECRET", self.stripe_webhook_secret),
                ("SIGNING_KEYS_FILE", self.signing_keys_file),
                ("FORM_TOKEN_SECRET", self.form_token_secret),
            )
            if not value
        ]
        if weak:
            raise ValueError(f"production needs {', '.join(weak)}")

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.stripe_webhook_secret.split(",") if part.strip())

    @property
    def form_secret(self) -> str:
        """The forms' secret; on a developer's machine one is derived, so that nothing needs to be set."""
        return self.form_token_secret or hashlib.sha256(self.database_url.encode()).hexdigest()

    @property
    def signing_keys_path(self) -> Path:
        return Path(self.signing_keys_file or ".local/billing-signing-keys.pem")

    @property
    def secure_cookies(self) -> bool:
        return self.billing_url.startswith("https://")

    @property
    def payment_page_origins(self) -> tuple[str, ...]:
        """Where our checkout form may lead."""
        page = self.stripe_sandbox_url or self.stripe_api_base
        return (origin_of(page),) if page else ("https://checkout.stripe.com",)


def origin_of(url: str) -> str:
    """``scheme://host[:port]`` of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
