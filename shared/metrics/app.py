"""Composition root of the metrics layer's HTTP: exporter, growth API, finance pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from shared.auth import IdentityClient
from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.metrics.exporter.api import exporter_router
from shared.metrics.exporter.service import Exporter
from shared.metrics.finance.baseline_pages import baseline_router
from shared.metrics.finance.desk import Desk
from shared.metrics.finance.import_pages import import_router
from shared.metrics.finance.pages import finance_router
from shared.metrics.growth.api import growth_router
from shared.metrics.settings import MetricsSettings
from shared.startup import Duty, load_settings
from shared.web import Pages, WebParts, create_app
from shared.web.csrf import FormTokens
from shared.web.staff import STAFF_COOKIE, StaffAccess

FOLDER = Path(__file__).parent


def create(
    settings: MetricsSettings | None = None,
    *,
    clock: Clock | None = None,
    client: httpx.AsyncClient | None = None,
) -> FastAPI:
    """The application. Connections are lazy: the database may come up later. ``client`` asks identity."""
    settings = settings or load_settings(MetricsSettings, Duty.WEB, "metrics")
    clock = clock or SystemClock(settings.clock_offset_seconds)
    database = Database(
        settings.database_url,
        application_name="metrics-web",
        pool_size=settings.database_pool_size,
    )
    client = client or httpx.AsyncClient()
    access = StaffAccess(
        IdentityClient(settings.identity_api, settings.identity_internal_key, client),
        identity_url=settings.identity_url,
        own_url=settings.metrics_url,
    )
    forms = FormTokens(settings.form_token_secret, STAFF_COOKIE)
    desk = Desk(
        database=database,
        clock=clock,
        access=access,
        forms=forms,
        pages=Pages(FOLDER, forms, secure_cookies=settings.deployed),
        default_target=settings.growth_target_default_ratio,
    )
    exporter = Exporter(database, clock, settings.growth_target_default_ratio)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        await client.aclose()
        await database.close()

    return create_app(
        "metrics",
        "Press revenue: metrics layer",
        settings,
        WebParts(
            routers=(
                exporter_router(exporter, settings),
                growth_router(database, access, clock, settings.growth_target_default_ratio),
                finance_router(desk),
                baseline_router(desk),
                import_router(desk),
            ),
            checks={"database": database.ping},
            lifespan=lifespan,
            static_folder=FOLDER / "static",
            trusted_origins=(settings.metrics_url,),
            own_metrics_route=True,
        ),
    )
