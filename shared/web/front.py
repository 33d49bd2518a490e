"""The front door: hot routes as raw ASGI before the framework (a FastAPI endpoint costs five times as much).

Everything else falls through to the application. Hot routes are documented in the same OpenAPI by their service.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class FrontDoor:
    """``routes`` maps (method, path) to a raw ASGI app."""

    def __init__(self, app: ASGIApp, routes: Mapping[tuple[str, str], ASGIApp]) -> None:
        self.app = app
        self._routes = dict(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            hot = self._routes.get((scope["method"], scope["path"]))
            if hot is not None:
                await hot(scope, receive, send)
                return
        await self.app(scope, receive, send)
