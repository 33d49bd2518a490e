"""What every process of identity has in common (its web process, its worker, its commands)."""

from __future__ import annotations

from services.identity import metrics
from services.identity.settings import IdentitySettings
from shared.process import Service

IDENTITY = Service(
    "identity", "Identity", "services.identity", IdentitySettings, metrics=(metrics,)
)
