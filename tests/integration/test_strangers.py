"""Strangers are told nothing about what they send: every route of every service knows who asks before it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from services.ads.app import web as ads_web
from services.ads.delivery.service import Delivery
from services.ads.process import ADS
from services.billing.app import web as billing_web
from services.billing.process import BILLING
from services.identity.app import web as identity_web
from services.identity.process import IDENTITY
from services.paywall.app import web as paywall_web
from services.paywall.process import PAYWALL
from shared.metrics.app import web as metrics_web
from shared.metrics.process import METRICS
from shared.process import Process, Service, application
from tests.fixtures.production import random_looking
from tests.fixtures.routes import Operation, concrete, operations

#: What anybody may ask, by service; everything else needs somebody known.
PUBLIC: dict[str, set[Operation]] = {
    "billing": {
        ("GET", "/v1/agencies/{agency}/session"),
        ("GET", "/.well-known/jwks.json"),
        ("POST", "/v1/bundle-uses"),  # by the reader's cookie, from the agency's own pages
        ("POST", "/v1/webhooks/stripe"),  # by its signature
        ("POST", "/v1/webhooks/bank/{agency}/{kind}"),  # by its signature
    },
    "paywall": {("POST", "/v1/decisions"), ("GET", "/.well-known/jwks.json")},
    "ads": {
        ("POST", "/v1/ad-decisions"),
        ("POST", "/v1/impressions"),
        ("GET", "/v1/clicks/{token}"),
        ("GET", "/v1/creatives/{creative_id}/image/{digest}"),
    },
    "metrics": set(),
    "identity": set(),
}
SERVICES: dict[str, tuple[Service[Any], Any]] = {
    "billing": (BILLING, billing_web),
    "paywall": (PAYWALL, paywall_web),
    "ads": (ADS, ads_web),
    "metrics": (METRICS, metrics_web),
    "identity": (IDENTITY, identity_web),
}
BODIES = (
    (b"{", "application/json"),
    (b"[]", "application/json"),
    (b"{}", "application/json"),
    (b'{"name": 1, "lines": 2}', "application/json"),
    (b"\xff\xfe", "text/plain"),
    (b"a=b", "application/x-www-form-urlencoded"),
    (b"x", "multipart/form-data; boundary=y"),
)
QUERY = (
    "?limit=x&offset=-1&as_of=x&before=x&state=x&status=x&baseline_version=x&source_id=x&after=%00"
)
OURS, THEIRS = "bao-hung-yen", "dai-song-hong"
#: Who asks (their headers), and what they are answered at an agency that is not theirs.
KNOWN = {
    (): 401,
    (("authorization", "Bearer prk_nobody"),): 401,
    (("authorization", "Bearer prk_their-key"),): 404,
    (("cookie", "press_staff=their-session"), ("origin", "http://test")): 404,
}
SECRETS = (
    "identity_internal_key",
    "form_token_secret",
    "cookie_secret",
    "sign_in_secret",
    "link_secret",
)


def introspection(request: httpx.Request) -> httpx.Response:
    """One session and one key are known, both another agency's."""
    token = request.read().decode()
    if "their-session" in token:
        person = {"account_id": str(UUID(int=1)), "email": "an@example.vn", "name": "An"}
        return httpx.Response(200, json={"active": True, "roles": {THEIRS: ["admin"]}, **person})
    if "their-key" in token:
        key = {"key_id": "k", "agency": THEIRS, "scopes": ["ads:book", "billing:read"]}
        return httpx.Response(200, json={"active": True, **key})
    return httpx.Response(200, json={"active": False})


@asynccontextmanager
async def running(name: str) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The application without its loops, on a database that is not there: who asks it before it knows fails."""
    service, web = SERVICES[name]
    settings = service.settings_class(
        environment="test",
        database_url="postgresql://nobody:nothing@127.0.0.1:1/nowhere",
        **{
            key: random_looking(key)
            for key in SECRETS
            if key in service.settings_class.model_fields
        },
    )
    http = httpx.AsyncClient(transport=httpx.MockTransport(introspection))
    process: Process[Any] = service.process("web", settings, http=http)
    parts = (
        web(process, Delivery(process.database, settings, process.clock))
        if name == "ads"
        else web(process)
    )
    app = application(process, parts)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield app, client
    await process.close()


async def answers(
    client: httpx.AsyncClient, operation: Operation, headers: dict[str, str]
) -> set[int]:
    method, template = operation
    paths = {
        concrete(template, {"agency": OURS}),
        concrete(template, {"agency": OURS}).replace(str(UUID(int=7)), "7"),
    }
    sent = [
        client.request(method, path + QUERY, content=body, headers=headers | {"content-type": kind})
        for path in paths
        for body, kind in BODIES
    ]
    return {answer.status_code for answer in await asyncio.gather(*sent)}


@pytest.mark.parametrize("name", SERVICES)
async def test_what_is_sent_is_read_only_for_those_who_may_ask(name: str):
    wrong: dict[str, Any] = {}
    async with running(name) as (app, client):
        documented = {
            (method.upper(), path)
            for path, item in app.openapi()["paths"].items()
            for method in item
        }
        assert documented >= PUBLIC[name], "named public, but no such route"
        internal = {
            operation for operation in operations(app) if operation[1].startswith("/internal/")
        }
        assert len(internal) == (2 if name == "identity" else 0)
        for operation in sorted(documented - PUBLIC[name] | internal):
            for who, right in KNOWN.items():
                expected = 401 if operation in internal else right
                got = await answers(client, operation, dict(who))
                if got != {expected}:
                    wrong[f"{' '.join(operation)} {dict(who)}"] = got
    assert not wrong, "\n".join(f"{what} → {got}" for what, got in wrong.items())


@pytest.mark.parametrize("name", SERVICES)
async def test_staffs_pages_lead_strangers_to_sign_in_and_others_nowhere(name: str):
    wrong: dict[str, Any] = {}
    theirs = {"cookie": "press_staff=their-session", "origin": "http://test"}
    # Identity knows sessions by its database, which is not there; its forms need a token first.
    stranger = {303, 400, 403} if name == "identity" else {303}
    async with running(name) as (app, client):
        pages = [
            (method, path)
            for method, path in operations(app)
            if "{agency}" in path and not path.startswith(("/v1/", "/r/"))
        ]
        assert pages
        for operation in pages:
            if not (got := await answers(client, operation, {})) <= stranger:
                wrong[f"{' '.join(operation)} by a stranger"] = got
            if name != "identity" and (got := await answers(client, operation, theirs)) != {404}:
                wrong[f"{' '.join(operation)} by another agency's"] = got
    assert not wrong, "\n".join(f"{what} → {got}" for what, got in wrong.items())
