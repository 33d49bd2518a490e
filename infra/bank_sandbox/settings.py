"""Settings of the demo bank, read from the environment with the prefix ``BANK_SANDBOX_``."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .accounts import DEMO_ACCOUNTS


class BankSettings(BaseSettings):
    """Whose accounts it keeps, where it tells of credits, and how."""

    model_config = SettingsConfigDict(env_prefix="BANK_SANDBOX_", extra="ignore")

    accounts_file: Path = Field(
        default=DEMO_ACCOUNTS, description="TOML file of the accounts that can receive money."
    )
    billing_url: str = Field(
        default="", description="Billing as this process reaches it; empty: nobody is told."
    )
    webhook_secrets: str = Field(
        default="",
        description="agency/kind:secret by commas, as billing's BANK_WEBHOOK_SECRETS; of several "
        "of one kind the first is used.",
    )
    shape: Literal["sepay", "payos"] = Field(
        default="sepay", description="Which aggregator's webhook tells of a credit."
    )
    mangle: bool = Field(
        default=True, description="Put the bank's own words around the payer's note."
    )
    webhook_delay_seconds: float = Field(default=0, ge=0)
    webhook_duplicates: int = Field(default=0, ge=0, le=10, description="Extra copies of each.")
    webhook_reorder: bool = False
    webhook_drop: float = Field(default=0, ge=0, le=1, description="Share of credits never told.")
    webhook_concurrency: int = Field(default=4, ge=1, le=32, description="When reordering.")
    webhook_timeout_seconds: float = Field(default=10, gt=0)
    webhook_retry_seconds: float = Field(default=1, gt=0, description="First pause; doubles.")
    webhook_max_attempts: int = Field(default=7, ge=1, description="Tries, as at SePay.")

    @field_validator("billing_url")
    @classmethod
    def _http_only(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in {"http", "https"}:
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("webhook_secrets")
    @classmethod
    def _pairs(cls, value: str) -> str:
        for sender, secret in _pairs(value):
            if sender.count("/") != 1 or not secret:
                raise ValueError("must be agency/kind:secret, several separated by commas")
        return value

    def secret(self, agency: str, kind: str) -> str:
        """What proves a notice of this kind; empty where there is none."""
        return next((own for name, own in _pairs(self.webhook_secrets) if name == f"{agency}/{kind}"), "")  # fmt: skip


def _pairs(value: str) -> list[tuple[str, str]]:
    parts = [part.strip().partition(":") for part in value.split(",") if part.strip()]
    return [(sender.strip(), secret.strip()) for sender, _, secret in parts]
