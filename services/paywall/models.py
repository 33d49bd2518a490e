"""Every table of the paywall, for the comparison with its migrations."""

from services.paywall.articles.models import ArticleRow
from services.paywall.entitlements.models import EntitlementRow
from services.paywall.meters.models import MeterViewRow, MeterWindowRow
from services.paywall.policies.models import PolicyVersionRow
from services.paywall.tables import METADATA

__all__ = [
    "METADATA",
    "ArticleRow",
    "EntitlementRow",
    "MeterViewRow",
    "MeterWindowRow",
    "PolicyVersionRow",
]
