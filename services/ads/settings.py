"""Settings of ads, beside those every process shares."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.settings import ASKS_IDENTITY, ServiceSettings
from shared.startup.rules import Check, Duty, weak

INSECURE_KEYS = "0:local-only-token-key"


class AdsSettings(ServiceSettings):
    """The environment of one process of ads."""

    CHECKS: ClassVar[tuple[Check, ...]] = (
        *ASKS_IDENTITY,
        Check(
            "ADS_TOKEN_KEYS",
            lambda s: (
                s.ads_token_keys in ("", INSECURE_KEYS)
                or any(weak(one) for one in _secrets_of(s.ads_token_keys))
            ),
            "number:secret,number:secret, each secret 24 characters or more, made at random",
            duties=frozenset({Duty.WEB}),
        ),
    )

    ads_token_keys: str = Field(
        default=INSECURE_KEYS,
        description="Keys of ad tokens, number:secret separated by commas; the first signs, all verify.",
    )
    ads_hold_minutes: int = Field(
        default=60, ge=1, le=43_200, description="How long a hold lasts, by the database's clock."
    )
    ads_impression_seconds: int = Field(
        default=300,
        ge=10,
        le=86_400,
        description="How long a decision's impression may be counted.",
    )
    ads_click_seconds: int = Field(
        default=21_600,
        ge=10,
        le=604_800,
        description="How long a decision's click or viewable ping may be counted.",
    )
    ads_lease_units: int = Field(
        default=2_000,
        ge=1,
        le=1_000_000,
        description="Largest number of impressions a process leases of a line at once.",
    )
    ads_lease_seconds: int = Field(
        default=60, ge=1, le=3_600, description="How long a process may hand out a lease."
    )
    ads_plan_seconds: float = Field(
        default=5.0,
        gt=0,
        le=300,
        description="How often the delivery plan is read again at the latest.",
    )
    ads_count_writers: int = Field(
        default=2, ge=1, le=16, description="Connections that write counted impressions."
    )

    @property
    def own_url(self) -> str:
        return self.ads_url

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), *_secrets_of(self.ads_token_keys))


def _secrets_of(keys: str) -> list[str]:
    return [part.partition(":")[2].strip() for part in keys.split(",") if part.strip()]
