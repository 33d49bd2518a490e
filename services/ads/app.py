"""Composition root of HTTP: hot routes in front, the API and the console behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.ads.access import Desk
from services.ads.bookings import api as bookings_api
from services.ads.catalogue import api as catalogue_api
from services.ads.console import pages as console_pages
from services.ads.creatives import api as creatives_api
from services.ads.creatives.adapters.pillow import PillowImages
from services.ads.delivery import api as delivery_api
from services.ads.delivery.hot import HotRoutes
from services.ads.delivery.service import Delivery
from services.ads.settings import AdsSettings
from shared.audit.pages import FOLDER as AUDIT_FOLDER
from shared.audit.pages import AuditDesk, audit_router
from shared.loops import Loop
from shared.process import Process
from shared.web import WebParts

CONSOLE = Path(__file__).parent / "console"


def web(process: Process[AdsSettings], delivery: Delivery | None = None) -> WebParts:
    """The parts of the web process; tests bring the ``delivery`` they take hold of."""
    settings, database, clock = process.settings, process.database, process.clock
    delivery = delivery or Delivery(database, settings, clock)
    desk = Desk(settings, database, process.access, clock, PillowImages())
    audit_pages = process.pages(CONSOLE, AUDIT_FOLDER)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield
        await delivery.drain()

    return WebParts(
        words=audit_pages.words,
        routers=[
            catalogue_api.router(desk),
            creatives_api.images(desk),
            creatives_api.router(desk),  # before the lines' steps, whose path would match too
            bookings_api.router(desk),
            delivery_api.router(delivery),
            delivery_api.staff_router(desk),
            console_pages.router(desk),
            audit_router(AuditDesk("ads", database, clock, audit_pages, process.access.page)),
        ],
        hot_routes=HotRoutes(delivery).routes(),
        checks={"database": database.ping, "plan": delivery.ready},
        loops=[Loop("plan", delivery.run_plan), Loop("leases", delivery.run_supply)],
        running=running,
        static_folder=CONSOLE / "static",
        trusted_origins=(settings.ads_url,),
    )
