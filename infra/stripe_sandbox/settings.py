"""Settings of the sandbox, read from the environment with the prefix ``STRIPE_SANDBOX_``."""

import secrets
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# The API version whose shapes the sandbox speaks. A contract test holds it to the SDK's pin.
API_VERSION = "2026-10-28.endive"


class SandboxSettings(BaseSettings):
    """Where the sandbox listens, what it remembers and how it delivers webhooks."""

    model_config = SettingsConfigDict(env_prefix="STRIPE_SANDBOX_", extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address the server binds to.")
    port: int = Field(default=8006, ge=1, le=65535)
    names: str = Field(
        default="", description="Further host names it answers to (a container's), by commas."
    )
    account_key: str = Field(
        default="",
        description="The one secret key that has an account here; empty: any sk_test_… makes one.",
    )
    public_url: str = Field(default="", description="How a browser reaches the hosted pages.")
    state_file: str = Field(default=":memory:", description="SQLite file that survives restarts.")
    control_token: str = Field(default_factory=lambda: secrets.token_urlsafe(24), min_length=8)

    webhook_url: str = Field(default="", description="Where events go; empty sends none.")
    webhook_secret: str = Field(
        default="", description="whsec_… ; several, comma-separated, sign once each (rotation)."
    )
    webhook_delay_seconds: float = Field(default=0, ge=0)
    webhook_duplicates: int = Field(default=0, ge=0, le=10, description="Extra copies of each.")
    webhook_reorder: bool = False
    webhook_drop: float = Field(default=0, ge=0, le=1, description="Share of events never sent.")
    webhook_concurrency: int = Field(default=4, ge=1, le=32, description="When reordering.")
    webhook_timeout_seconds: float = Field(default=10, gt=0)
    webhook_retry_seconds: float = Field(default=1, gt=0, description="First pause; doubles.")
    webhook_max_attempts: int = Field(default=12, ge=1)

    fee_basis_points: int = Field(default=290, ge=0, le=10_000, description="Stripe's own fee.")
    dispute_fee: int = Field(default=350_000, ge=0, description="Stripe's fee on a dispute.")
    later_seconds: int = Field(
        default=180,
        ge=0,
        description="When what is pending moves by itself; 0: only by the control page.",
    )
    retry_days: tuple[int, ...] = Field(
        default=(3, 5, 7), description="Days between tries of a failed renewal, then it ends."
    )
    tick_seconds: float = Field(default=2, gt=0, description="How often due dates are looked at.")

    @field_validator("webhook_url", "public_url")
    @classmethod
    def _http_only(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in {"http", "https"}:
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("webhook_secret")
    @classmethod
    def _looks_like_a_secret(cls, value: str) -> str:
        for one in filter(None, value.split(",")):
            if not one.strip().startswith("whsec_"):
                raise ValueError("every webhook secret starts with whsec_")
        return value

    @model_validator(mode="after")
    def _defaults_that_depend(self) -> Self:
        if not self.public_url:
            self.public_url = f"http://127.0.0.1:{self.port}"
        if self.webhook_url and not self.webhook_secret:
            raise ValueError("webhook_secret is needed where webhook_url is set")
        return self

    @property
    def at_home(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in {"127.0.0.1", "::1", "localhost"}

    def secrets(self) -> list[str]:
        """The signing secrets in force, newest first."""
        return [one.strip() for one in self.webhook_secret.split(",") if one.strip()]
