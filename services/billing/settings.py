"""Billing's own settings, beside the shared ones."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from shared.mail import MailSettings
from shared.passwords import MIN_MEMORY_KIB, MIN_TIME_COST
from shared.settings import ASKS_IDENTITY, STRONG
from shared.startup.rules import (
    DEPLOYED,
    EVERYWHERE,
    LOCAL,
    PRODUCTION,
    REHEARSAL,
    Check,
    Duty,
    weak,
)
from shared.texts import TextSettings

LIVE_KEYS = ("sk_live_", "rk_live_")
MAX_TOLERANCE_SECONDS = 600
WEB = frozenset({Duty.WEB})

STRIPE_CHECKS = (
    Check(
        "STRIPE_SECRET_KEY",
        lambda s: bool(s.stripe_secret_key) and not s.stripe_secret_key.startswith(LIVE_KEYS),
        "sk_live_… or rk_live_…, or empty for no card payments: a test key sells for nothing",
        where=PRODUCTION,
    ),
    Check(
        "STRIPE_SECRET_KEY",
        lambda s: s.stripe_secret_key.startswith(LIVE_KEYS),
        "sk_test_…: a live key moves real money and belongs to ENVIRONMENT=production alone",
        where=LOCAL | REHEARSAL,
    ),
    Check(
        "STRIPE_API_BASE",
        lambda s: bool(s.stripe_api_base),
        "empty: Stripe itself, never a sandbox",
        where=PRODUCTION,
    ),
    Check(
        "STRIPE_SANDBOX_URL",
        lambda s: bool(s.stripe_sandbox_url),
        "empty: no payment page of a sandbox",
        where=PRODUCTION,
    ),
    Check(
        "STRIPE_WEBHOOK_SECRET",
        lambda s: (
            bool(s.stripe_secret_key)
            and (
                not s.webhook_secrets
                or any(not one.startswith("whsec_") or weak(one) for one in s.webhook_secrets)
            )
        ),
        "whsec_… as Stripe shows it for the endpoint; several (rotation) separated by commas",
        duties=WEB,
    ),
    Check(
        "STRIPE_WEBHOOK_TOLERANCE_SECONDS",
        lambda s: s.stripe_webhook_tolerance_seconds > MAX_TOLERANCE_SECONDS,
        f"{MAX_TOLERANCE_SECONDS} or less (Stripe's own libraries use 300)",
    ),
)

#: Who tells of bank credits, by the last part of the address that a notice goes to.
BANK_SENDERS = ("sepay", "payos")
_BANK_SENDER = re.compile(rf"[a-z0-9]+(?:-[a-z0-9]+)*/(?:{'|'.join(BANK_SENDERS)})")


def bank_pairs(value: str) -> list[tuple[str, str]]:
    """``agency/kind:secret`` by commas as pairs, in their order; a part without a colon is all secret."""
    parts = [part.strip().rpartition(":") for part in value.split(",") if part.strip()]
    return [(sender.strip(), secret.strip()) for sender, _, secret in parts]


BANK_CHECKS = (
    Check(
        "BANK_WEBHOOK_SECRETS",
        lambda s: any(
            not _BANK_SENDER.fullmatch(sender) or not secret
            for sender, secret in bank_pairs(s.bank_webhook_secrets)
        ),
        f"agency/kind:secret, several separated by commas; a kind is {' or '.join(BANK_SENDERS)}, a secret has "
        "neither comma nor colon",
        where=EVERYWHERE,
        duties=WEB,
    ),
    Check(
        "BANK_WEBHOOK_SECRETS",
        lambda s: any(weak(secret) for _, secret in bank_pairs(s.bank_webhook_secrets)),
        "each secret 24 characters or more, made at random (openssl rand -hex 24, or what payOS shows)",
        duties=WEB,
    ),
    Check(
        "BANK_SANDBOX_URL",
        lambda s: bool(s.bank_sandbox_url),
        "empty: no transfers at a demo bank",
        where=PRODUCTION,
    ),
)


class BillingSettings(MailSettings, TextSettings):
    """The environment of a billing process."""

    CHECKS: ClassVar[tuple[Check, ...]] = (
        *ASKS_IDENTITY,
        *STRIPE_CHECKS,
        *BANK_CHECKS,
        Check(
            "STRIPE_API_BASE",
            lambda s: bool(s.stripe_api_base) and s.stripe_secret_key.startswith(LIVE_KEYS),
            "empty: a live key is never sent anywhere but to Stripe",
            where=LOCAL | DEPLOYED,
        ),
        Check(
            "SIGNING_KEYS_FILE",
            lambda s: not s.signing_keys_file,
            "a file with an Ed25519 key as PEM (python -m shared.auth.key_files)",
            duties=WEB,
        ),
        Check("SIGN_IN_SECRET", lambda s: weak(s.sign_in_secret), STRONG, duties=WEB),
        Check(
            "ARGON2_MEMORY_KIB",
            lambda s: s.argon2_memory_kib < MIN_MEMORY_KIB,
            f"{MIN_MEMORY_KIB} or more (OWASP)",
            duties=WEB,
        ),
        Check(
            "ARGON2_TIME_COST",
            lambda s: s.argon2_time_cost < MIN_TIME_COST,
            f"{MIN_TIME_COST} or more (OWASP)",
            duties=WEB,
        ),
        Check("LINK_SECRET", lambda s: weak(s.link_secret), STRONG, duties=WEB | {Duty.WORKER}),
    )

    stripe_secret_key: str = Field(
        default="",
        description="Stripe secret key; empty: no card payments. A live key in production only.",
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
    webhook_days: int = Field(
        default=400,
        ge=60,
        description="How many days a notification that was handled is kept as it came. Providers repeat theirs for a month at most.",
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
    bank_webhook_secrets: str = Field(
        default="",
        description="Who may tell of bank credits: agency/kind:secret by commas, kind sepay (its API key) or payos "
        "(its checksum key); several of one kind are all accepted. Empty: nobody.",
    )
    bank_sandbox_url: str = Field(
        default="", description="Public address of the demo bank's pages, where one is used."
    )
    signing_keys_file: str = Field(
        default="",
        description="PEM file with the Ed25519 keys of reader tokens, signing one first.",
    )
    session_days: int = Field(
        default=90, ge=1, le=400, description="Days a reader stays signed in without a visit."
    )
    session_max_days: int = Field(
        default=365, ge=1, le=800, description="Days after which a reader signs in again anyway."
    )
    sign_in_secret: str = Field(
        default="",
        description="Secret behind the hashes of sign-in codes; no other process has it.",
    )
    link_secret: str = Field(
        default="",
        description="Secret that signs the links of letters; the web process and the worker have the same one.",
    )
    argon2_time_cost: int = Field(
        default=MIN_TIME_COST,
        ge=1,
        le=20,
        description="Passes of argon2id over a reader's password.",
    )
    argon2_memory_kib: int = Field(
        default=MIN_MEMORY_KIB, ge=8, le=1_048_576, description="Memory of argon2id, in KiB."
    )
    argon2_parallelism: int = Field(default=1, ge=1, le=16, description="Lanes of argon2id.")
    password_concurrency: int = Field(
        default=2, ge=1, le=32, description="Readers' passwords a process checks at the same time."
    )
    refund_approval_vnd: int = Field(
        default=500_000,
        ge=0,
        le=1_000_000_000,
        description="From this many đồng given back of a payment on, a second person of finance approves a refund by transfer.",
    )
    given_days_alone: int = Field(
        default=31,
        ge=0,
        le=90,
        description="Days of reading that support gives a reader within ninety days; more only finance gives.",
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
        default=2.0, gt=0, description="How often due days of revenue are recognised."
    )
    review_seconds: float = Field(
        default=5.0, gt=0, description="How often subscriptions whose date has come are reviewed."
    )
    invariants_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How often what has changed is checked against what must always be true.",
    )
    invariants_whole_hour: int = Field(
        default=3,
        ge=0,
        le=23,
        description="The hour of Việt Nam from which on everything is checked, once a day.",
    )

    @property
    def own_url(self) -> str:
        return self.billing_url

    def secrets(self) -> tuple[str, ...]:
        return (
            *super().secrets(),
            self.stripe_secret_key,
            *self.webhook_secrets,
            *(secret for _, secret in bank_pairs(self.bank_webhook_secrets)),
            self.sign_in_secret,
            self.link_secret,
        )

    def connections(self, role: str) -> int:
        """The worker's appliers and charging slots hold one each for as long as they work."""
        needed = self.appliers + 6 if role == "worker" else 0
        return max(self.database_pool_size, needed)

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.stripe_webhook_secret.split(",") if part.strip())

    @property
    def bank_secrets(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """By agency and kind of sender: the secrets that prove a notice of a bank credit, newest first."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for sender, secret in bank_pairs(self.bank_webhook_secrets):
            agency, _, kind = sender.partition("/")
            found[agency, kind] = (*found.get((agency, kind), ()), secret)
        return found

    @property
    def form_secret(self) -> str:
        """The forms' secret; on a developer's machine one is derived, so that nothing needs to be set."""
        return self.form_token_secret or hashlib.sha256(self.database_url.encode()).hexdigest()

    @property
    def code_secret(self) -> str:
        """The sign-in codes' secret, which no other process has (FORM_TOKEN_SECRET is everybody's)."""
        derived = hashlib.sha256(f"sign-in codes {self.database_url}".encode()).hexdigest()
        return self.sign_in_secret or derived

    @property
    def letter_secret(self) -> str:
        """What signs the links of letters; on a developer's machine one is derived, so that nothing needs to be set."""
        derived = hashlib.sha256(f"links of letters {self.database_url}".encode()).hexdigest()
        return self.link_secret or derived

    @property
    def signing_keys_path(self) -> Path:
        return Path(self.signing_keys_file or ".local/billing-signing-keys.pem")

    @property
    def secure_cookies(self) -> bool:
        return self.deployed or self.billing_url.startswith("https://")

    @property
    def payment_page_origins(self) -> tuple[str, ...]:
        """Where our checkout form may lead."""
        page = self.stripe_sandbox_url or self.stripe_api_base
        return (origin_of(page),) if page else ("https://checkout.stripe.com",)


def origin_of(url: str) -> str:
    """``scheme://host[:port]`` of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
