"""What every process of metrics has in common (its web process, its worker, its commands)."""

from __future__ import annotations

from shared.metrics import metrics
from shared.metrics.settings import MetricsSettings
from shared.process import Service

METRICS = Service(
    "metrics", "Press revenue, metrics layer", "shared.metrics", MetricsSettings, metrics=(metrics,)
)
