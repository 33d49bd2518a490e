"""Composition root of the paywall's HTTP processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import structlog
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from services.paywall.articles import api as articles_api
from services.paywall.articles.service import ArticleMemory, ArticleService
from services.paywall.decisions.adapters.reader_tokens import BILLING_ISSUER, ReaderTokens
from services.paywall.decisions.api import PATH, DecisionEndpoint
from services.paywall.decisions.counts import DecisionCounts
from services.paywall.decisions.grants import Grants
from services.paywall.decisions.schemas import openapi_parts
from services.paywall.decisions.service import DecisionService
from services.paywall.entitlements.service import EntitlementMemory
from services.paywall.meters.networks import NewReaders
from services.paywall.meters.repository import MeterStore
from services.paywall.meters.rules import MeterIds
from services.paywall.meters.service import AWAY, Meter
from services.paywall.policies import api as policies_api
from services.paywall.policies.pages import PolicyPages
from services.paywall.policies.service import PolicyBook, PolicyService
from services.paywall.refresh import Refresher
from services.paywall.script import script_routes
from services.paywall.settings import PaywallSettings
from shared.auth import IdentityClient, RemoteKeySet
from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.loops import Loop, every, supervise
from shared.origins import website_origin
from shared.startup import Duty, load_settings
from shared.web import FrontDoor, Pages, WebParts, create_app
from shared.web.csrf import FormTokens
from shared.web.staff import STAFF_COOKIE, StaffAccess

log = structlog.get_logger(__name__)

SERVICE = "paywall"
FOLDER = Path(__file__).parent
LATE_VIEWS_SECONDS = 0.5


@dataclass(slots=True)
class Parts:
    """What one process is made of; tests take hold of it here."""

    settings: PaywallSettings
    clock: Clock
    database: Database
    http: httpx.AsyncClient
    articles: ArticleMemory
    book: PolicyBook
    entitlements: EntitlementMemory
    meter: Meter
    counts: DecisionCounts
    grants: Grants
    ids: MeterIds
    refresher: Refresher
    loops: list[Loop]


def build(settings: PaywallSettings, clock: Clock) -> Parts:
    """Everything that is not a route."""
    database = Database(
        settings.database_url,
        application_name="paywall-web",
        pool_size=settings.database_pool_size,
    )
    articles, book = ArticleMemory(), PolicyBook()
    entitlements = EntitlementMemory(database)
    meter = Meter(
        MeterStore(database),
        clock,
        queue_size=settings.meter_queue_size,
        memory_readers=settings.meter_memory_readers,
        late_size=settings.late_views_size,
    )
    counts = DecisionCounts(database, clock)
    refresher = Refresher(database, articles, book, entitlements)

    async def publish_counts() -> None:
        await counts.flush()

    async def late_views() -> None:
        await meter.count_late_views()

    return Parts(
        settings,
        clock,
        database,
        httpx.AsyncClient(),
        articles,
        book,
        entitlements,
        meter,
        counts,
        Grants(settings.signing_keys()),
        MeterIds(settings.cookie_secrets()),
        refresher,
        [
            Loop("refresh", refresher.run),
            Loop("decision-counts", every(settings.decision_flush_seconds, publish_counts)),
            Loop("late-views", every(LATE_VIEWS_SECONDS, late_views)),
        ],
    )


def create() -> ASGIApp:
    """The ASGI application of one process, from the environment."""
    return create_from(
        build(settings := load_settings(PaywallSettings, Duty.WEB, "paywall"), _clock(settings))
    )


def _clock(settings: PaywallSettings) -> Clock:
    return SystemClock(settings.clock_offset_seconds)


def create_from(parts: Parts) -> FrontDoor:
    """The ASGI application: the hot route in front, FastAPI for the rest."""
    settings = parts.settings
    identity = IdentityClient(settings.identity_api, settings.identity_internal_key, parts.http)
    access = StaffAccess(identity, identity_url=settings.identity_url, own_url=settings.paywall_url)
    forms = FormTokens(settings.form_token_secret, STAFF_COOKIE)
    pages = Pages(FOLDER, forms, secure_cookies=settings.deployed)
    policies = PolicyService(parts.database, parts.clock)
    app = create_app(
        SERVICE,
        "Paywall",
        settings,
        WebParts(
            routers=[
                articles_api.router(ArticleService(parts.database, parts.articles), access),
                policies_api.router(policies, access),
                PolicyPages(policies, access, pages, forms, parts.clock).router(),
                script_routes(FOLDER / "static"),
                _keys(parts.grants),
            ],
            checks={"database": parts.database.ping},
            loops=parts.loops,
            lifespan=lambda: _running(parts),
            trusted_origins=[website_origin(settings.paywall_url)],
            form_targets=[settings.identity_url],
        ),
    )
    _document(app)
    endpoint = _endpoint(parts, identity)
    return FrontDoor(app, {("POST", PATH): endpoint.post, ("OPTIONS", PATH): endpoint.preflight})


def _endpoint(parts: Parts, identity: IdentityClient) -> DecisionEndpoint:
    settings = parts.settings
    service = DecisionService(
        clock=parts.clock,
        articles=parts.articles,
        policies=parts.book,
        entitlements=parts.entitlements,
        meter=parts.meter,
        new_readers=NewReaders(settings.new_readers_per_network_per_hour),
        grants=parts.grants,
        counts=parts.counts,
        billing_url=settings.billing_url,
    )
    keys = RemoteKeySet(BILLING_ISSUER, f"{settings.billing_api}/.well-known/jwks.json", parts.http)
    return DecisionEndpoint(
        service,
        clock=parts.clock,
        identity=identity,
        readers=ReaderTokens(keys),
        ids=parts.ids,
        policies=parts.book,
        proxies=settings.proxy_networks(),
        secure_cookie=settings.deployed,
    )


@asynccontextmanager
async def _running(parts: Parts) -> AsyncIterator[None]:
    """Memory loaded before the first request; at the end what is counted is written."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(parts.database.close)
        stack.push_async_callback(parts.http.aclose)
        await parts.database.pool()
        await parts.refresher.start()
        await parts.meter.start()
        stop = asyncio.Event()
        tasks = [asyncio.create_task(supervise(loop, stop)) for loop in parts.loops]
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait(tasks, timeout=10)
            await parts.meter.close()
            try:
                await parts.counts.flush()
            except AWAY as error:
                log.warning("decision_counts_lost", error=repr(error))


def _keys(grants: Grants) -> APIRouter:
    routes = APIRouter(tags=["keys"])

    @routes.get("/.well-known/jwks.json")
    async def jwks() -> JSONResponse:
        """Public keys that verify grants (RFC 7517)."""
        return JSONResponse(
            grants.keys.jwks(),
            headers={"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"},
        )

    return routes


def _document(app: FastAPI) -> None:
    """Put the hot route, which FastAPI does not see, into its OpenAPI document."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            path, components = openapi_parts()
            schema["paths"][PATH] = path
            parts = schema.setdefault("components", {})
            parts.setdefault("schemas", {}).update(components)
            parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
