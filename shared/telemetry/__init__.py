"""What a process tells about itself: logs (structlog), traces (OpenTelemetry), metrics (Prometheus)."""

from shared.telemetry.logging import configure_logging
from shared.telemetry.tracing import configure_tracing

__all__ = ["configure_logging", "configure_tracing"]
