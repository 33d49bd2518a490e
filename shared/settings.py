"""Settings every process shares; each service adds its own in its ``settings.py``.

Values come from the environment or from files (``SECRETS_DIR``, one file a setting), never from code.
Every field is documented in ``docs/settings.md``; a test fails when one is not.
"""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """The environment of one process."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, secrets_dir=os.environ.get("SECRETS_DIR")
    )

    environment: Literal["local", "test", "production"] = Field(
        default="production", description="Which checks apply; production refuses weak settings."
    )
    host: str = Field(default="127.0.0.1", description="Address the HTTP server binds to.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port of the HTTP server.")
    processes: int = Field(default=1, ge=1, le=64, description="HTTP server processes.")
    database_url: str = Field(
        default="", description="postgresql:// URL of this service's own database."
    )
    database_pool_size: int = Field(
        default=5, ge=1, le=200, description="Connections each process keeps."
    )
    nats_url: str = Field(default="nats://127.0.0.1:4222", description="NATS server or cluster.")
    identity_url: str = Field(
        default="http://127.0.0.1:8005", description="Staff sign-in and service keys."
    )
    identity_internal_url: str = Field(
        default="",
        description="Identity as this process reaches it; empty: IDENTITY_URL (one machine).",
    )
    billing_internal_url: str = Field(
        default="", description="Billing as this process reaches it; empty: BILLING_URL."
    )
    identity_internal_key: str = Field(
        default="", description="Key this service uses towards identity's introspection."
    )
    billing_url: str = Field(default="http://127.0.0.1:8001", description="Public URL of billing.")
    paywall_url: str = Field(default="http://127.0.0.1:8002", description="Public URL of paywall.")
    ads_url: str = Field(default="http://127.0.0.1:8003", description="Public URL of ads.")
    metrics_url: str = Field(
        default="http://127.0.0.1:8004", description="Public URL of the finance page."
    )
    news_site_url: str = Field(
        default="http://127.0.0.1:8000", description="Public URL of the agency's website."
    )
    scrape_token: str = Field(
        default="", description="Bearer token Prometheus sends to /metrics; needed in production."
    )
    form_token_secret: str = Field(
        default="", description="Secret behind the forms' tokens (16 characters or more)."
    )
    assets_dir: str = Field(
        default=".local/assets", description="Folder with htmx and the style sheet (from npm)."
    )
    log_level: str = Field(default="INFO", description="Lowest level that is logged.")
    log_format: Literal["json", "console"] = Field(
        default="json", description="json for machines, console for people."
    )
    trace_sample_ratio: float = Field(
        default=0.01, ge=0, le=1, description="Share of requests that are traced."
    )
    clock_offset_seconds: int = Field(
        default=0, description="Shifts the clock; refused in production unless 0."
    )

    @property
    def identity_api(self) -> str:
        """Where this process asks identity."""
        return (self.identity_internal_url or self.identity_url).rstrip("/")

    @property
    def billing_api(self) -> str:
        """Where this process fetches billing's public keys."""
        return (self.billing_internal_url or self.billing_url).rstrip("/")

    def model_post_init(self, _context: object) -> None:
        if self.environment == "production" and self.clock_offset_seconds != 0:
            raise ValueError("CLOCK_OFFSET_SECONDS must be 0 in production")
        if self.environment == "production" and not self.scrape_token:
            raise ValueError("SCRAPE_TOKEN must be set in production")
