"""Composition root of the paywall's HTTP processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse

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
from services.paywall.meters.repository import MeterStore, readers_between
from services.paywall.meters.rules import MeterIds
from services.paywall.meters.service import Meter
from services.paywall.policies import api as policies_api
from services.paywall.policies.pages import PolicyPages
from services.paywall.policies.service import PolicyBook, PolicyService
from services.paywall.refresh import Refresher
from services.paywall.settings import PaywallSettings
from shared.audit.pages import FOLDER as AUDIT_FOLDER
from shared.audit.pages import AuditDesk, audit_router
from shared.auth import RemoteKeySet
from shared.database import RAW_FAILURES
from shared.loops import Loop, every
from shared.origins import website_origin
from shared.process import Process
from shared.web import HotRoute, WebParts
from shared.web.assets import embedded_routes

log = structlog.get_logger(__name__)

FOLDER = Path(__file__).parent
LATE_VIEWS_SECONDS = 0.5
EMBEDDED = ("paywall.js", "paywall.css")  # in the websites' pages


@dataclass(slots=True)
class Parts:
    """What one web process is made of; tests take hold of it here."""

    process: Process[PaywallSettings]
    articles: ArticleMemory
    book: PolicyBook
    entitlements: EntitlementMemory
    meter: Meter
    counts: DecisionCounts
    grants: Grants
    ids: MeterIds
    refresher: Refresher
    loops: list[Loop]


def build(process: Process[PaywallSettings]) -> Parts:
    """Everything that is not a route."""
    settings, database, clock = process.settings, process.database, process.clock
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
        process,
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


def web(process: Process[PaywallSettings]) -> WebParts:
    """The parts of the web process."""
    return routed(build(process))


def routed(parts: Parts) -> WebParts:
    """The hot route in front, FastAPI for the rest."""
    process = parts.process
    settings, database, access = process.settings, process.database, process.access
    pages = process.pages(FOLDER, AUDIT_FOLDER)
    policies = PolicyService(database, process.clock)
    endpoint = _endpoint(parts)
    operation, components = openapi_parts()
    return WebParts(
        words=pages.words,
        routers=[
            articles_api.router(ArticleService(database, parts.articles), access),
            policies_api.router(policies, access),
            PolicyPages(
                policies,
                access,
                pages,
                process.forms,
                process.clock,
                partial(readers_between, database),
            ).router(),
            audit_router(AuditDesk("paywall", database, process.clock, pages, access.page)),
            embedded_routes({f"/{name}": FOLDER / "static" / name for name in EMBEDDED}),
            _keys(parts.grants),
        ],
        hot_routes=[
            HotRoute(
                "POST",
                PATH,
                endpoint.post,
                operation,
                components,
                origins=lambda origin: origin in parts.book.origins,
            ),
            HotRoute("OPTIONS", PATH, endpoint.preflight),
        ],
        checks={"database": database.ping},
        loops=parts.loops,
        running=lambda: _running(parts),
        trusted_origins=[website_origin(settings.paywall_url)],
        form_targets=[settings.identity_url],
    )


def _endpoint(parts: Parts) -> DecisionEndpoint:
    process, settings = parts.process, parts.process.settings
    service = DecisionService(
        clock=process.clock,
        articles=parts.articles,
        policies=parts.book,
        entitlements=parts.entitlements,
        meter=parts.meter,
        new_readers=NewReaders(settings.new_readers_per_network_per_hour),
        grants=parts.grants,
        counts=parts.counts,
        billing_url=settings.billing_url,
    )
    keys = RemoteKeySet(
        BILLING_ISSUER, f"{settings.billing_api}/.well-known/jwks.json", process.http
    )
    return DecisionEndpoint(
        service,
        clock=process.clock,
        identity=process.identity,
        readers=ReaderTokens(keys),
        ids=parts.ids,
        policies=parts.book,
        proxies=settings.proxy_networks(),
        secure_cookie=settings.deployed,
    )


@asynccontextmanager
async def _running(parts: Parts) -> AsyncIterator[None]:
    """Memory loaded before the first request; at the end what is counted is written."""
    try:
        await parts.process.database.pool()
        await parts.refresher.start()
        await parts.meter.start()
        yield
    finally:
        parts.refresher.disconnect()
        await parts.meter.close()
        try:
            await parts.counts.flush()
        except RAW_FAILURES as error:
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
