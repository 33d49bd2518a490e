"""Settings of the metrics layer."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from pydantic import Field

from shared.settings import ASKS_IDENTITY, ServiceSettings
from shared.startup.rules import Check


class MetricsSettings(ServiceSettings):
    """The environment of the finance page, the exporter and the recorder."""

    CHECKS: ClassVar[tuple[Check, ...]] = ASKS_IDENTITY

    growth_target_default_ratio: Decimal = Field(
        default=Decimal("0.20"),
        ge=-1,
        le=10,
        decimal_places=4,
        description="Growth asked of an agency that has no target of its own (0.20 = 20 %).",
    )
    recorder_batch: int = Field(
        default=500, ge=1, le=5000, description="Events the recorder takes in one transaction."
    )
    invariant_check_seconds: float = Field(
        default=300.0, gt=0, description="How often sums are compared with their entries."
    )
    demo_dir: str = Field(
        default="infra/demo", description="Folder with the example agencies' files (seed only)."
    )

    @property
    def own_url(self) -> str:
        return self.metrics_url
