"""Settings of ads, beside those every process shares."""

from __future__ import annotations

from pydantic import Field

from shared.settings import ServiceSettings

INSECURE_KEYS = "0:local-only-token-key"


class AdsSettings(ServiceSettings):
    """The environment of one process of ads."""

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

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if self.environment == "production" and self.ads_token_keys == INSECURE_KEYS:
            raise ValueError("ADS_TOKEN_KEYS must be set in production")
