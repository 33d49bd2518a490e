"""What every process of ads has in common (its web process, its worker, its commands)."""

from __future__ import annotations

from services.ads import metrics
from services.ads.settings import AdsSettings
from shared.process import Service

ADS = Service("ads", "Ads", "services.ads", AdsSettings, metrics=(metrics,))
