"""The application factory every service's ``app.py`` calls."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shared.errors import NotFoundError, UnauthorizedError
from shared.health import Check, loops_alive, run_checks
from shared.loops import Loop
from shared.origins import website_origin
from shared.security.events import SecurityEvent
from shared.security.report import count_from_zero
from shared.settings import ServiceSettings
from shared.telemetry import metrics
from shared.telemetry.exposition import Exposition
from shared.web import problems
from shared.web.assets import Assets
from shared.web.documents import complete
from shared.web.front import FrontDoor, HotRoute
from shared.web.heap import freeze_heap
from shared.web.middleware import (
    MAX_BODY_BYTES,
    BodyLimit,
    KeptLanguage,
    OverloadedError,
    OwnHost,
    RequestCaller,
    RequestMetrics,
    SameOriginGuard,
    SecurityHeaders,
    refuse,
    security_headers,
)
from shared.web.staff_bar import StaffBar

CSP = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'{form_targets}"
)
ALWAYS_ANSWERED = ("/healthz", "/readyz", "/metrics")  # whoever watches must not be shed
SHARED_STATIC = Path(__file__).parent / "static"


@dataclass(slots=True)
class WebParts:
    """What a service's composition root hands over. ``running``: what has to be there before the first request, and what is
    left to do after the last one and the end of the loops."""

    routers: Sequence[APIRouter] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    loops: Sequence[Loop] = ()
    running: Callable[[], AbstractAsyncContextManager[None]] | None = None
    hot_routes: Sequence[HotRoute] = ()
    static_folder: Path | None = None
    trusted_origins: Sequence[
        str
    ] = ()  # our own public origins whose forms may post here; never a website
    form_targets: Sequence[str] = ()  # other origins a form's answer may redirect to
    trusted_at: Mapping[str, Collection[str]] = field(
        default_factory=dict
    )  # the same, for one path
    max_body_bytes: int = MAX_BODY_BYTES
    larger_bodies: Mapping[str, int] = field(default_factory=dict)  # by path, in bytes
    own_metrics_route: bool = False  # the exporter brings its own /metrics
    words: Mapping[str, str] = field(default_factory=dict)  # English → Vietnamese, for error pages
    home: Callable[[Request], str] | None = None  # first page of who asks; staff's by default


def require_scrape_token(request: Request, settings: ServiceSettings) -> None:
    """``/metrics`` is for Prometheus only, wherever a token is set."""
    sent = request.headers.get("authorization", "")
    if settings.scrape_token and not hmac.compare_digest(
        sent.encode(), f"Bearer {settings.scrape_token}".encode()
    ):
        raise UnauthorizedError(
            headers={"WWW-Authenticate": "Bearer"}, security=SecurityEvent.SCRAPE_TOKEN_REFUSED
        )


def health_router(
    service: str, parts: WebParts, settings: ServiceSettings, exposition: Exposition
) -> APIRouter:
    """``/healthz``, ``/readyz`` and ``/metrics``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        alive, report = loops_alive(parts.loops)
        return JSONResponse({"ok": alive, "loops": report}, 200 if alive else 503)

    @router.get("/readyz")
    async def readyz() -> Response:
        ready, report = await run_checks(parts.checks)
        return JSONResponse({"ok": ready, "checks": report}, 200 if ready else 503)

    if parts.own_metrics_route:
        return router

    @router.get("/metrics")
    async def metrics_page(request: Request) -> Response:
        require_scrape_token(request, settings)
        # Asked now: a gauge that a loop sets keeps its last good value through the outage that stops the loop.
        _, report = await run_checks(parts.checks)
        for dependency, said in report.items():
            metrics.DEPENDENCY_UP.labels(service, dependency).set(float(said == "ok"))
        return Response(exposition.page(), media_type=CONTENT_TYPE_LATEST)

    return router


class Application(FastAPI):
    """FastAPI, with a service's hot routes in front of it and in its OpenAPI document."""

    hot_routes: Sequence[HotRoute] = ()
    doors: Mapping[tuple[str, str], FrontDoor]
    own_headers: Mapping[str, str]  # of every answer
    max_requests: int
    in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        hot = self.doors.get((scope["method"], scope["path"]))
        if hot is not None:
            await hot(scope, receive, send)  # what may wait there is bounded by the route itself
        elif self.in_flight >= self.max_requests and scope["path"] not in ALWAYS_ANSWERED:
            scope["app"] = self  # the framework has not yet had its turn
            headers = {**self.own_headers, "Retry-After": "1"}
            await refuse(scope, receive, send, OverloadedError(headers=headers))
        else:
            self.in_flight += 1
            try:
                await super().__call__(scope, receive, send)
            finally:
                self.in_flight -= 1

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            complete(super().openapi(), self.hot_routes)
        assert self.openapi_schema is not None
        return self.openapi_schema


async def _at_the_door(_request: Request) -> Response:
    """Stands for a hot route among the framework's: its own method never comes this far."""
    raise NotFoundError


def create_app(
    service: str,
    title: str,
    settings: ServiceSettings,
    parts: WebParts,
    *,
    exposition: Exposition | None = None,
    lifespan: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> Application:
    """An application with the project's errors, headers, guards, health and static files."""

    @asynccontextmanager
    async def around(_app: FastAPI) -> AsyncIterator[None]:
        async with lifespan():
            if settings.environment != "test":
                freeze_heap()
            yield

    app = Application(
        title=title,
        version="1",
        lifespan=around,
        docs_url=None,  # its page loads scripts from another host, which the policy forbids
        redoc_url=None,
        # A developer's machine shows it; what is public is in docs/guides, and no map for strangers.
        openapi_url=None if settings.deployed else "/openapi.json",
    )
    # Signing out, and signing in where a form finds the session ended, lead to identity from every page of staff.
    targets = (website_origin(settings.identity_url), *parts.form_targets)
    policy = CSP.format(form_targets="".join(f" {origin}" for origin in targets))
    headers = security_headers(csp=policy, hsts=settings.deployed)
    app.hot_routes = parts.hot_routes
    app.doors = {
        (route.method, route.path): FrontDoor(route, service, headers, settings.hops)
        for route in parts.hot_routes
    }
    app.own_headers = dict(headers)
    app.max_requests = settings.max_requests
    for path in {route.path for route in parts.hot_routes}:
        # Another method than the door's falls through to here, and is 405 as at any other route.
        methods = [route.method for route in parts.hot_routes if route.path == path]
        app.router.routes.append(
            Route(path, _at_the_door, methods=methods, include_in_schema=False)
        )
    app.state.staff_bar = StaffBar(settings, service)
    count_from_zero(service)
    problems.install(app)
    app.include_router(health_router(service, parts, settings, exposition or Exposition()))
    for router in parts.routers:
        app.include_router(router)
    folders = {"/static/shared": SHARED_STATIC, "/static/assets": Path(settings.assets_dir)}
    if parts.static_folder is not None:
        folders["/static"] = parts.static_folder
    app.state.assets = Assets(folders)
    app.state.words = parts.words
    app.state.home = parts.home or (lambda _request: settings.identity_url.rstrip("/") + "/")
    app.router.routes.append(app.state.assets.mount())
    _stand_guard(app, service, settings, parts, policy)
    return app


def _stand_guard(
    app: FastAPI, service: str, settings: ServiceSettings, parts: WebParts, policy: str
) -> None:
    """What stands before every route but the hot ones, whose door has the same (``front``)."""
    # Added last is outermost: metrics see everything, then headers, then guards. What another origin may read is said
    # by the few routes made for websites (shared.origins), never for a whole application.
    app.add_middleware(problems.UnexpectedErrors)
    app.add_middleware(BodyLimit, max_bytes=parts.max_body_bytes, larger=parts.larger_bodies)
    app.add_middleware(
        SameOriginGuard, trusted_origins=parts.trusted_origins, trusted_at=parts.trusted_at
    )
    app.add_middleware(KeptLanguage, own_url=settings.own_url)
    app.add_middleware(OwnHost, own_url=settings.own_url, behind_tls=settings.deployed)
    app.add_middleware(SecurityHeaders, csp=policy, hsts=settings.deployed)
    app.add_middleware(RequestCaller, service=service, forwarded_hops=settings.hops)
    app.add_middleware(RequestMetrics, service=service)
