"""``POST /v1/webhooks/bank/{agency}/{kind}``: signature on the raw body, inbox row, then the 2xx."""

from __future__ import annotations

from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Path, Request

from services.billing import metrics
from services.billing.composition import Billing
from services.billing.transfers.notices import notice_id
from services.billing.transfers.notified import KINDS
from services.billing.webhooks.repository import Incoming
from shared.database import RAW_FAILURES, OverloadedError
from shared.errors import BadRequestError, UnavailableError
from shared.security.events import SecurityEvent

log = structlog.get_logger(__name__)

AgencyId = Annotated[str, Path(pattern="^[a-z0-9-]{1,40}$")]


def router(billing: Billing) -> APIRouter:
    """Of a service that tells an agency of what came into its bank account."""
    routes = APIRouter(tags=["webhooks"])
    secrets = billing.settings.bank_secrets

    @routes.post(
        "/v1/webhooks/bank/{agency}/{kind}",
        summary="Notifications of bank credits",
        openapi_extra={
            "x-public": True,
            "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        },
    )
    async def credit(
        request: Request, agency: AgencyId, kind: Literal["sepay", "payos"]
    ) -> dict[str, bool]:
        """Shaped as SePay or payOS send it and signed with the agency's secret; kept before the 2xx."""
        raw, now = await request.body(), billing.clock.now()
        own = secrets.get((agency, kind), ())
        if not KINDS[kind].holds(request.headers, raw, own, now.timestamp()):
            metrics.WEBHOOKS.labels("unknown", "refused").inc()
            raise BadRequestError(
                "The signature does not hold",
                slug="signature-invalid",
                security=SecurityEvent.WEBHOOK_REFUSED,
            )
        id_ = notice_id(kind, raw)
        if id_ is None:
            metrics.WEBHOOKS.labels("unknown", "refused").inc()
            raise BadRequestError(
                "This is not a notification",
                slug="event-malformed",
                security=SecurityEvent.WEBHOOK_REFUSED,
            )
        type_ = f"{kind}.credit"
        try:
            new = await billing.inbox.take(
                Incoming(kind, f"{agency}/{id_}", type_, now, raw, agency)
            )
        except (OverloadedError, *RAW_FAILURES) as error:
            # Not kept, so not acknowledged: it is sent again.
            log.warning("webhook_not_stored", error=repr(error))
            raise UnavailableError(
                "Send it again in a moment", slug="unavailable", headers={"Retry-After": "1"}
            ) from error
        metrics.WEBHOOKS.labels(type_, "stored" if new else "duplicate").inc()
        return {"success": True}

    return routes
