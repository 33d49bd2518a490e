"""Where the website stands, and whom it asks."""

from __future__ import annotations

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SiteSettings(BaseSettings):
    """The environment of the sample newspaper."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    host: str = "127.0.0.1"
    port: int = 8000
    agency: str = "bao-hung-yen"
    news_site_url: str = Field(default="http://127.0.0.1:8000", description="Its public URL.")
    paywall_url: str = "http://127.0.0.1:8002"
    paywall_internal_url: str = Field(
        default="", description="The paywall as this process reaches it; empty: PAYWALL_URL."
    )
    billing_url: str = "http://127.0.0.1:8001"
    ads_url: str = "http://127.0.0.1:8003"
    site_key: str = Field(
        default="",
        validation_alias=AliasChoices("SITE_KEY", "DEMO_SITE_KEY"),
        description="Service key with the scope paywall:articles.",
    )

    @property
    def paywall_from_here(self) -> str:
        """For this server's own requests; pages name the public address."""
        return (self.paywall_internal_url or self.paywall_url).rstrip("/")
