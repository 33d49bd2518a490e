"""Settings of identity, beside those every process has."""

from __future__ import annotations

from pydantic import Field

from shared.settings import ServiceSettings

# OWASP's smallest argon2id parameters: production refuses to run below them.
MIN_MEMORY_KIB = 19_456
MIN_TIME_COST = 2
MIN_INTERNAL_KEY_LENGTH = 24


class IdentitySettings(ServiceSettings):
    """The environment of identity."""

    identity_internal_keys: str = Field(
        default="",
        description="Keys services use towards introspection: name:key,name:key. "
        "Locally IDENTITY_INTERNAL_KEY alone is enough.",
    )
    staff_cookie_domain: str = Field(
        default="",
        description="Domain of the staff cookie where services have host names of their own.",
    )
    forwarded_hops: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Trusted proxies in front: the caller's address is that far from the right "
        "in X-Forwarded-For. 0: the connection's own address.",
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
        default=50, ge=5, le=10_000, description="Failed sign-ins per network in 15 minutes."
    )
    demo_password: str = Field(
        default="", description="Password of the demo accounts (local and test only)."
    )
    demo_site_key: str = Field(
        default="", description="Service key of the sample news site (local and test only)."
    )

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        keys = self.internal_keys()
        if self.environment != "production":
            return
        if self.argon2_memory_kib < MIN_MEMORY_KIB or self.argon2_time_cost < MIN_TIME_COST:
            raise ValueError(
                f"ARGON2_MEMORY_KIB must be {MIN_MEMORY_KIB} or more and ARGON2_TIME_COST "
                f"{MIN_TIME_COST} or more in production"
            )
        if not keys:
            raise ValueError("IDENTITY_INTERNAL_KEYS must be set in production")
        if any(len(key) < MIN_INTERNAL_KEY_LENGTH for key in keys.values()):
            raise ValueError(
                f"each key of IDENTITY_INTERNAL_KEYS needs {MIN_INTERNAL_KEY_LENGTH} characters"
            )
        if self.demo_password or self.demo_site_key:
            raise ValueError("DEMO_PASSWORD and DEMO_SITE_KEY are not for production")

    def internal_keys(self) -> dict[str, str]:
        """Keys by name. Raises ``ValueError`` for an entry that is not name:key."""
        keys: dict[str, str] = {}
        for entry in filter(
            None, (part.strip() for part in self.identity_internal_keys.split(","))
        ):
            name, _, key = entry.partition(":")
            if not name or not key:
                raise ValueError("IDENTITY_INTERNAL_KEYS must be name:key,name:key")
            keys[name] = key
        if not keys and self.environment != "production" and self.identity_internal_key:
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
