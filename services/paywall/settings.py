"""Settings of the paywall, beside those every process has."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network, IPv6Network, ip_network

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from shared.auth import SigningKeySet
from shared.settings import ServiceSettings

ISSUER = "press-paywall"
MIN_SECRET_LENGTH = 32


class PaywallSettings(ServiceSettings):
    """The environment of the paywall."""

    cookie_secret: str = Field(
        default="",
        description="Secret behind the meter cookie, 32 characters or more; several, comma separated: "
        "the first signs, the others are still accepted (rotation).",
    )
    paywall_signing_keys: str = Field(
        default="",
        description="Ed25519 private keys (PEM, concatenated) that sign grants. The first signs; "
        "all are published.",
    )
    trusted_proxies: str = Field(
        default="",
        description="Networks (CIDR, comma separated) whose X-Forwarded-For is believed.",
    )
    new_readers_per_network_per_hour: int = Field(
        default=3_000,
        ge=1,
        description="Readers without a cookie that one network (/24 or /48) may bring in an hour "
        "and process, before they get the wall instead of a new allowance.",
    )
    meter_memory_readers: int = Field(
        default=200_000,
        ge=1_000,
        description="Readers whose opened articles each process keeps in memory.",
    )
    meter_queue_size: int = Field(
        default=4_000,
        ge=100,
        description="Decisions that may wait for the database before the rest get 503.",
    )
    late_views_size: int = Field(
        default=50_000,
        ge=0,
        description="Views granted while the database was away that are kept to be counted later.",
    )
    decision_flush_seconds: float = Field(
        default=5.0, gt=0, le=300, description="How often counted decisions are published."
    )

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if self.environment == "production":
            if not self.cookie_secret:
                raise ValueError("COOKIE_SECRET must be set in production")
            if not self.paywall_signing_keys:
                raise ValueError("PAYWALL_SIGNING_KEYS must be set in production")
        if any(len(secret) < MIN_SECRET_LENGTH for secret in _parts(self.cookie_secret)):
            raise ValueError(
                f"each secret in COOKIE_SECRET needs {MIN_SECRET_LENGTH} characters or more"
            )
        self.proxy_networks()

    def cookie_secrets(self) -> list[bytes]:
        """The meter cookie's secrets. Outside of production one is derived when none is set."""
        found = [secret.encode() for secret in _parts(self.cookie_secret)]
        return found or [self._derived("meter-cookie")]

    def signing_keys(self) -> SigningKeySet:
        """Keys of grants. Derived outside of production, so that all processes have the same."""
        if self.paywall_signing_keys:
            return SigningKeySet.from_pem(ISSUER, self.paywall_signing_keys)
        return SigningKeySet(ISSUER, [Ed25519PrivateKey.from_private_bytes(self._derived("grant"))])

    def _derived(self, purpose: str) -> bytes:
        return hashlib.sha256(f"paywall {purpose} {self.form_token_secret}".encode()).digest()

    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Raises ``ValueError`` for something that is not a network."""
        return tuple(ip_network(part) for part in _parts(self.trusted_proxies))


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
