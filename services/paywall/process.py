"""What every process of paywall has in common (its web process, its worker, its commands)."""

from __future__ import annotations

from services.paywall import metrics
from services.paywall.settings import PaywallSettings
from shared.process import Service

PAYWALL = Service("paywall", "Paywall", "services.paywall", PaywallSettings, metrics=(metrics,))
