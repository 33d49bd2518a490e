"""What every process of billing has in common (its web process, its worker, its commands)."""

from __future__ import annotations

from services.billing import metrics
from services.billing.settings import BillingSettings
from shared.process import Service

BILLING = Service("billing", "Billing", "services.billing", BillingSettings, metrics=(metrics,))
