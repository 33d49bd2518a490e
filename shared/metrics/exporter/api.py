"""``/metrics``: the money series of one snapshot, and the process's own metrics."""

from __future__ import annotations

import time

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from shared.metrics import metrics
from shared.metrics.exporter.service import Exporter
from shared.settings import ServiceSettings
from shared.telemetry.exposition import Exposition
from shared.web.app import require_scrape_token

log = structlog.get_logger(__name__)


def exporter_router(
    exporter: Exporter, settings: ServiceSettings, exposition: Exposition
) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def scrape(request: Request) -> Response:
        require_scrape_token(request, settings)
        started = time.perf_counter()
        try:
            money = await exporter.scrape()
        except Exception as error:
            # Whatever went wrong: an old or partial figure of money is worse than none, and the scrape says so itself.
            log.exception("snapshot_failed", error=repr(error))
            money = ""
        metrics.SNAPSHOT_UP.set(1 if money else 0)
        metrics.SNAPSHOT_SECONDS.observe(time.perf_counter() - started)
        return Response(money.encode() + exposition.page(), media_type=CONTENT_TYPE_LATEST)

    return router
