"""The front door: hot routes as raw ASGI before the framework (a FastAPI endpoint costs five times as much).

Everything else falls through to the application.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class HotRoute:
    """A route that the framework does not see. ``operation`` is its part of the OpenAPI document, without one it is not told
    (a preflight); ``components`` are the schemas the operation names."""

    method: str
    path: str
    endpoint: ASGIApp
    operation: Mapping[str, Any] | None = None
    components: Mapping[str, Any] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.endpoint(scope, receive, send)


def documented(document: dict[str, Any], routes: Iterable[HotRoute]) -> None:
    """Put hot routes into an OpenAPI document."""
    for route in routes:
        if route.operation is None:
            continue
        document["paths"].setdefault(route.path, {})[route.method.lower()] = dict(route.operation)
        if route.components:
            parts = document.setdefault("components", {})
            for kind, schemas in route.components.items():
                parts.setdefault(kind, {}).update(schemas)
