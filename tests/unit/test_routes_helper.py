"""The helper that walks routes finds those that are open."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel

from shared.errors import UnauthorizedError
from shared.settings import ServiceSettings
from shared.web import WebParts, create_app
from tests.fixtures.routes import operations, refuses_strangers


class Body(BaseModel):
    name: str


def refuse() -> None:
    raise UnauthorizedError


def application() -> FastAPI:
    router = APIRouter()
    guarded = APIRouter(dependencies=[Depends(refuse)])

    @guarded.get("/v1/agencies/{agency}/orders/{order_id}")
    async def one(agency: str, order_id: str) -> None: ...

    @guarded.post("/v1/orders")
    async def make(body: Body) -> None: ...

    @router.get("/v1/open")
    async def open_route() -> dict[str, str]:
        return {}

    @router.post("/v1/validates-first")
    async def validates(body: Body, _who: Annotated[None, Depends(refuse)]) -> None: ...

    @router.get("/page", include_in_schema=False)
    async def page() -> dict[str, str]:
        return {}

    settings = ServiceSettings(environment="test", scrape_token="token", assets_dir="/nonexistent")
    return create_app("proofs", "Proofs", settings, WebParts(routers=[guarded, router]))


def test_every_route_is_found_also_those_outside_of_the_document():
    found = set(operations(application()))
    assert {
        ("GET", "/v1/agencies/{agency}/orders/{order_id}"),
        ("POST", "/v1/orders"),
        ("GET", "/v1/open"),
        ("GET", "/page"),
        ("GET", "/metrics"),
    } <= found


async def test_open_routes_are_named_and_guarded_ones_pass():
    with pytest.raises(AssertionError) as failure:
        await refuses_strangers(application())
    text = str(failure.value)
    assert "GET /v1/open → 200" in text and "GET /page → 200" in text
    assert "/v1/orders" not in text and "/metrics" not in text and "validates" not in text


async def test_what_is_public_on_purpose_is_left_out_and_must_exist():
    public = {("GET", "/v1/open"), ("GET", "/page")}
    assert await refuses_strangers(application(), public=public) >= 4
    with pytest.raises(AssertionError, match="no such route"):
        await refuses_strangers(application(), public={*public, ("GET", "/gone")})


def test_prefixes_of_included_routers_are_counted_once():
    inner, outer, app = (
        APIRouter(prefix="/inner"),
        APIRouter(prefix="/outer"),
        FastAPI(openapi_url=None),
    )

    @inner.get("/here")
    async def here() -> None: ...

    outer.include_router(inner, prefix="/between")
    app.include_router(outer, prefix="/app")
    names = {path for _, path in operations(app)}
    assert "/app/outer/between/inner/here" in names
    assert not [name for name in names if "here" in name and not name.startswith("/app/outer/")]
