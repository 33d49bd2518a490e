"""Serves ``paywall.js`` and its style sheet: the same bytes for everyone, kept long by caches, checked by ETag."""

from __future__ import annotations

import gzip
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

CACHE = "public, max-age=86400, stale-while-revalidate=604800"
FILES = {
    "/paywall.js": "text/javascript; charset=utf-8",
    "/paywall.css": "text/css; charset=utf-8",
}


class _File:
    def __init__(self, path: Path, media_type: str) -> None:
        self._plain = path.read_bytes()
        self._zipped = gzip.compress(self._plain, 9, mtime=0)
        self._headers = {
            "ETag": f'"{sha256(self._plain).hexdigest()[:20]}"',
            "Cache-Control": CACHE,
            "Content-Type": media_type,
            "Vary": "Accept-Encoding",
            # Websites on other origins include it.
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Access-Control-Allow-Origin": "*",
        }

    async def answer(self, request: Request) -> Response:
        if self._headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self._headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self._zipped, headers=self._headers | {"Content-Encoding": "gzip"})
        return Response(self._plain, headers=self._headers)


def script_routes(folder: Path) -> APIRouter:
    """Routes of the two files."""
    routes = APIRouter(include_in_schema=False)
    for path, media_type in FILES.items():
        file = _File(folder / path[1:], media_type)
        routes.add_api_route(path, file.answer, methods=["GET", "HEAD"])
    return routes
