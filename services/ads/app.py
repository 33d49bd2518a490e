"""Composition root of HTTP: hot routes in front, the API and the console behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from starlette.types import ASGIApp

from services.ads.access import Desk
from services.ads.bookings import api as bookings_api
from services.ads.catalogue import api as catalogue_api
from services.ads.console import pages as console_pages
from services.ads.creatives import api as creatives_api
from services.ads.delivery import api as delivery_api
from services.ads.delivery.hot import HotRoutes
from services.ads.delivery.service import Delivery
from services.ads.settings import AdsSettings
from shared.auth import IdentityClient
from shared.clock import SystemClock
from shared.database import Database
from shared.loops import Loop, supervise
from shared.startup import Duty, load_settings
from shared.web import FrontDoor, WebParts, create_app
from shared.web.staff import StaffAccess

CONSOLE = Path(__file__).parent / "console"


def create() -> ASGIApp:
    """What the server runs."""
    return build(load_settings(AdsSettings, Duty.WEB, "ads"))


def build(settings: AdsSettings, transport: httpx.AsyncBaseTransport | None = None) -> FrontDoor:
    """The application. ``transport`` reaches identity another way (tests)."""
    database = Database(
        settings.database_url,
        application_name="ads-web",
        pool_size=settings.database_pool_size,
    )
    client = httpx.AsyncClient(transport=transport)
    identity = IdentityClient(settings.identity_api, settings.identity_internal_key, client)
    access = StaffAccess(identity, identity_url=settings.identity_url, own_url=settings.ads_url)
    clock = SystemClock(settings.clock_offset_seconds)
    delivery = Delivery(database, settings, clock)
    desk = Desk(settings, database, access, clock)
    loops = [Loop("plan", delivery.run_plan), Loop("leases", delivery.run_supply)]

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(supervise(loop, stop), name=loop.name) for loop in loops]
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait(tasks, timeout=10)
            await delivery.drain()
            await client.aclose()
            await database.close()

    app = create_app(
        "ads",
        "Ads",
        settings,
        WebParts(
            routers=[
                catalogue_api.router(desk),
                creatives_api.router(desk),  # before the lines' steps, whose path would match too
                bookings_api.router(desk),
                delivery_api.router(desk, delivery),
                console_pages.router(desk),
            ],
            checks={"database": database.ping, "plan": delivery.ready},
            loops=loops,
            lifespan=lifespan,
            static_folder=CONSOLE / "static",
            trusted_origins=(settings.ads_url,),
        ),
    )
    delivery_api.document_hot_routes(app)
    app.state.delivery = delivery
    app.state.database = database
    return FrontDoor(app, HotRoutes(delivery).routes())
