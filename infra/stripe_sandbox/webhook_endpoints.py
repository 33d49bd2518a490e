"""The webhook endpoint of the settings, as the API shows it: which version its events have.

https://docs.stripe.com/api/webhook_endpoints
"""

from .params import Params
from .scope import Scope, page
from .settings import API_VERSION
from .store import Doc

URL = "/v1/webhook_endpoints"


def list_(scope: Scope, params: Params) -> Doc:
    """GET /v1/webhook_endpoints: one at most, so one page."""
    params.integer("limit", least=1, most=100)
    if not scope.settings.webhook_url:
        return page(URL, [])
    endpoint: Doc = {
        "id": "we_sandbox",
        "object": "webhook_endpoint",
        "api_version": scope.switches.event_version or API_VERSION,
        "application": None,
        "created": 0,
        "description": None,
        "enabled_events": ["*"],
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": scope.settings.webhook_url,
    }
    return page(URL, [endpoint])
