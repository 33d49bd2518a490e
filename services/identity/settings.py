"""Settings of identity, beside those every process has."""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from services.identity.provider.rules import ONE_FACTOR, words
from shared.mail import MailSettings
from shared.passwords import MIN_MEMORY_KIB, MIN_TIME_COST
from shared.sites import is_public_suffix
from shared.startup.rules import (
    DEPLOYED,
    LOCAL,
    PRODUCTION,
    SERVING,
    Check,
    Duty,
    host_of,
    is_loopback,
    weak,
)

MAX_NETWORK_FAILURES = 500
WEB = frozenset({Duty.WEB})


def _outside_cookie_domain(settings: IdentitySettings) -> bool:
    """Whether a page of staff would never see the cookie that sign-in sets."""
    domain = settings.staff_cookie_domain.lstrip(".").lower()
    hosts = {host_of(url) for url in settings.known_origins()}
    if not domain:
        return len(hosts) > 1
    return any(host != domain and not host.endswith(f".{domain}") for host in hosts)


def _issuer_wrong(url: str, *, deployed: bool) -> bool:
    """An issuer is https, and may have a path (OpenID Connect Discovery 1.0, 3); plain http on loopback is a developer's."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return True
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        return True
    return parts.scheme != "https" and (deployed or not is_loopback(parts.hostname))


def _provider_incomplete(settings: IdentitySettings, value: str) -> bool:
    return bool(settings.oidc_issuer) and not value


PROVIDER_CHECKS = (
    Check(
        "OIDC_ISSUER",
        lambda s: bool(s.oidc_issuer) and _issuer_wrong(s.oidc_issuer, deployed=True),
        "the provider's issuer, an https address without query or fragment",
        duties=WEB,
    ),
    Check(
        "OIDC_ISSUER",
        lambda s: bool(s.oidc_issuer) and _issuer_wrong(s.oidc_issuer, deployed=False),
        "an https address, or http at 127.0.0.1",
        where=LOCAL,
        duties=WEB,
    ),
    Check(
        "OIDC_ISSUER",
        lambda s: not s.oidc_issuer and bool(s.oidc_client_id or s.oidc_client_secret),
        "the provider's issuer, when OIDC_CLIENT_ID or OIDC_CLIENT_SECRET is set",
        where=DEPLOYED | LOCAL,
        duties=WEB,
    ),
    Check(
        "OIDC_CLIENT_ID",
        lambda s: _provider_incomplete(s, s.oidc_client_id),
        "the id that the provider gave this deployment",
        where=DEPLOYED | LOCAL,
        duties=WEB,
    ),
    Check(
        "OIDC_CLIENT_SECRET",
        lambda s: bool(s.oidc_issuer) and weak(s.oidc_client_secret),
        "the secret that the provider gave this deployment, 24 characters or more",
        duties=WEB,
    ),
    Check(
        "OIDC_NAME",
        lambda s: _provider_incomplete(s, s.oidc_name.strip()),
        "the provider's name, as staff know it",
        where=DEPLOYED | LOCAL,
        duties=WEB,
    ),
    Check(
        "OIDC_MFA_AMR",
        lambda s: bool(words(s.oidc_mfa_amr) & ONE_FACTOR),
        "words that mean a second factor (RFC 8176), such as mfa, otp or hwk; pwd, pin and kba are what one knows",
        duties=WEB,
    ),
    Check(
        "OIDC_MFA_ACR",
        lambda s: "0" in words(s.oidc_mfa_acr),
        "words that mean a second factor; 0 means no assurance at all (OpenID Connect Core, acr)",
        duties=WEB,
    ),
)


class IdentitySettings(MailSettings):
    """The environment of identity."""

    CHECKS: ClassVar[tuple[Check, ...]] = (
        Check(
            "FACTOR_KEYS",
            lambda s: any(weak(key.strip()) for key in s.factor_keys.split(",")),
            "one key or more, newest first, separated by commas, each 24 characters or more",
            duties=SERVING,
        ),
        Check(
            "IDENTITY_INTERNAL_KEYS",
            lambda s: not s.internal_keys() or any(weak(key) for key in s.internal_keys().values()),
            "name:key,name:key, a key for each service, each 24 characters or more",
            duties=WEB,
        ),
        Check(
            "STAFF_COOKIE_DOMAIN",
            lambda s: (
                bool(s.staff_cookie_domain) and is_public_suffix(s.staff_cookie_domain.lstrip("."))
            ),
            "a domain of your own: browsers refuse a cookie for a public suffix (vn, com.vn, hungyen.vn)",
            where=DEPLOYED | LOCAL,
        ),
        Check(
            "STAFF_COOKIE_DOMAIN",
            _outside_cookie_domain,
            "the domain that IDENTITY_URL, BILLING_URL, PAYWALL_URL, ADS_URL and METRICS_URL lie below: elsewhere staff "
            "would be sent to sign in again and again",
            duties=WEB,
        ),
        Check(
            "ARGON2_MEMORY_KIB",
            lambda s: s.argon2_memory_kib < MIN_MEMORY_KIB,
            f"{MIN_MEMORY_KIB} or more (OWASP)",
        ),
        Check(
            "ARGON2_TIME_COST",
            lambda s: s.argon2_time_cost < MIN_TIME_COST,
            f"{MIN_TIME_COST} or more (OWASP)",
        ),
        Check(
            "NETWORK_FAILURES_ALLOWED",
            lambda s: s.network_failures_allowed > MAX_NETWORK_FAILURES,
            f"{MAX_NETWORK_FAILURES} or less",
        ),
        *PROVIDER_CHECKS,
        Check("DEMO_PASSWORD", lambda s: bool(s.demo_password), "empty", where=PRODUCTION),
        Check("DEMO_TOTP_SECRET", lambda s: bool(s.demo_totp_secret), "empty", where=PRODUCTION),
        Check("DEMO_SITE_KEY", lambda s: bool(s.demo_site_key), "empty", where=PRODUCTION),
    )

    identity_internal_keys: str = Field(
        default="",
        description="Keys services use towards introspection: name:key,name:key. "
        "Locally IDENTITY_INTERNAL_KEY alone is enough.",
    )
    argon2_time_cost: int = Field(default=3, ge=1, le=20, description="Passes of argon2id.")
    argon2_memory_kib: int = Field(
        default=65_536, ge=8, le=1_048_576, description="Memory of argon2id, in KiB."
    )
    argon2_parallelism: int = Field(default=1, ge=1, le=16, description="Lanes of argon2id.")
    sign_in_concurrency: int = Field(
        default=2, ge=1, le=32, description="Password checks a process runs at the same time."
    )
    network_failures_allowed: int = Field(
        default=50,
        ge=5,
        le=1_000,
        description="Failed sign-ins of unknown devices per network in 15 minutes; beyond it they are slowed down.",
    )
    oidc_issuer: str = Field(
        default="",
        max_length=500,
        description="Issuer of the OpenID provider that staff may also sign in with, exactly as its discovery document says; "
        "empty: passwords only.",
    )
    oidc_client_id: str = Field(default="", description="What the provider calls this deployment.")
    oidc_client_secret: str = Field(default="", description="Client secret from the provider.")
    oidc_client_auth: Literal["client_secret_basic", "client_secret_post"] = Field(
        default="client_secret_basic",
        description="How the secret is sent to the provider's token endpoint.",
    )
    oidc_name: str = Field(
        default="", max_length=60, description="The provider's name on the sign-in page's button."
    )
    oidc_mfa_amr: str = Field(
        default="",
        description="Values of amr (RFC 8176) that count as a second factor, separated by spaces, such as mfa otp hwk; "
        "empty: none does.",
    )
    oidc_mfa_acr: str = Field(
        default="",
        description="Values of acr that count as a second factor, separated by spaces; they are asked for (acr_values).",
    )
    oidc_timeout_seconds: float = Field(
        default=5.0, gt=0, le=20, description="How long the provider may take to answer."
    )
    demo_password: str = Field(
        default="", description="Password of the demo accounts (refused in production)."
    )
    factor_keys: str = Field(
        default="",
        description="Keys that seal the secrets of authenticator apps, newest first, separated by commas.",
    )
    demo_totp_secret: str = Field(
        default="",
        description="Authenticator secret of the demo's administrators (refused in production).",
    )
    demo_site_key: str = Field(
        default="", description="Service key of the sample news site (refused in production)."
    )

    @field_validator("identity_internal_keys")
    @classmethod
    def _pairs(cls, value: str) -> str:
        for entry in filter(None, (part.strip() for part in value.split(","))):
            name, _, key = entry.partition(":")
            if not name or not key:
                raise ValueError("name:key,name:key")
        return value

    @property
    def own_url(self) -> str:
        return self.identity_url

    def secrets(self) -> tuple[str, ...]:
        return (
            *super().secrets(),
            self.factor_keys,
            self.oidc_client_secret,
            *self.internal_keys().values(),
        )

    @property
    def sealing_keys(self) -> str:
        """On a developer's machine they are derived, so that nothing needs to be set."""
        return self.factor_keys or hashlib.sha256(self.form_token_secret.encode()).hexdigest()

    def internal_keys(self) -> dict[str, str]:
        """Keys by name; on a developer's machine the shared key alone is enough."""
        keys: dict[str, str] = {}
        for entry in filter(
            None, (part.strip() for part in self.identity_internal_keys.split(","))
        ):
            name, _, key = entry.partition(":")
            keys[name] = key
        if not keys and not self.deployed and self.identity_internal_key:
            keys["local"] = self.identity_internal_key
        return keys

    def known_origins(self) -> tuple[str, ...]:
        """Where the browser may be sent after sign-in: identity itself and the services' pages."""
        return (
            self.identity_url,
            self.billing_url,
            self.paywall_url,
            self.ads_url,
            self.metrics_url,
        )
