"""Settings of the paywall, beside those every process has."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, field_validator

from shared.auth import SigningKeySet
from shared.settings import ASKS_IDENTITY, ServiceSettings
from shared.startup.rules import Check, Duty, weak

ISSUER = "press-paywall"
MIN_SECRET_LENGTH = 32
MAX_NEW_READERS = 20_000
WIDEST_IPV4, WIDEST_IPV6 = 8, 16  # prefix lengths: wider than that is no proxy's network
WEB = frozenset({Duty.WEB})


def _too_wide(network: IPv4Network | IPv6Network) -> bool:
    return network.prefixlen < (WIDEST_IPV4 if network.version == 4 else WIDEST_IPV6)


class PaywallSettings(ServiceSettings):
    """The environment of the paywall."""

    CHECKS: ClassVar[tuple[Check, ...]] = (
        *ASKS_IDENTITY,
        Check(
            "COOKIE_SECRET",
            lambda s: not s.cookie_secret or any(weak(one) for one in _parts(s.cookie_secret)),
            "32 characters or more, made at random (openssl rand -hex 24)",
            duties=WEB,
        ),
        Check(
            "PAYWALL_SIGNING_KEYS",
            lambda s: not (s.paywall_signing_keys or s.paywall_signing_keys_file),
            "an Ed25519 key as PEM, or PAYWALL_SIGNING_KEYS_FILE (python -m shared.auth.key_files)",
            duties=WEB,
        ),
        Check(
            "TRUSTED_PROXIES",
            lambda s: not s.proxy_networks() or any(_too_wide(one) for one in s.proxy_networks()),
            "the networks of the proxies in front, e.g. 10.5.0.0/24: without them every reader would have the proxy's address",
            duties=WEB,
        ),
        Check(
            "NEW_READERS_PER_NETWORK_PER_HOUR",
            lambda s: s.new_readers_per_network_per_hour > MAX_NEW_READERS,
            f"{MAX_NEW_READERS} or less",
        ),
    )

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
    paywall_signing_keys_file: str = Field(
        default="", description="PEM file with the keys of PAYWALL_SIGNING_KEYS, instead of them."
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

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in _parts(value):
            ip_network(part)  # ValueError says which part is none
        return value

    @field_validator("cookie_secret")
    @classmethod
    def _long_enough(cls, value: str) -> str:
        if any(len(secret) < MIN_SECRET_LENGTH for secret in _parts(value)):
            raise ValueError(f"each secret needs {MIN_SECRET_LENGTH} characters or more")
        return value

    @property
    def own_url(self) -> str:
        return self.paywall_url

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *_parts(self.cookie_secret))

    def cookie_secrets(self) -> list[bytes]:
        """The meter cookie's secrets. Outside of production one is derived when none is set."""
        found = [secret.encode() for secret in _parts(self.cookie_secret)]
        return found or [self._derived("meter-cookie")]

    def signing_keys(self) -> SigningKeySet:
        """Keys of grants. Derived outside of production, so that all processes have the same."""
        if self.paywall_signing_keys_file:
            return SigningKeySet.from_file(ISSUER, self.paywall_signing_keys_file)
        if self.paywall_signing_keys:
            return SigningKeySet.from_pem(ISSUER, self.paywall_signing_keys)
        return SigningKeySet(ISSUER, [Ed25519PrivateKey.from_private_bytes(self._derived("grant"))])

    def _derived(self, purpose: str) -> bytes:
        return hashlib.sha256(f"paywall {purpose} {self.form_token_secret}".encode()).digest()

    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(part) for part in _parts(self.trusted_proxies))


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
