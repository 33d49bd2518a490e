"""Static files, in one way for every process: read once, compressed once, under addresses that change with their content.

A page names a file by ``asset("/static/billing.css")``, which gives ``/static/billing.css?v=<digest>``. Under the digest
of what is served the answer is ``immutable`` for a year; under any other address (no digest, or one of another release
while a deployment is under way) the browser asks again each time and is answered 304 where nothing changed.
"""

from __future__ import annotations

import gzip
import mimetypes
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from shared.web.compression import accepts_gzip

FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "public, no-cache"
EMBEDDED = "public, max-age=3600, stale-while-revalidate=604800"
_TEXT = ("text/", "image/svg+xml", "application/json", "application/javascript")


class Asset:
    """One file as it is sent: its bytes, the same compressed, its digest and its headers."""

    def __init__(self, path: Path) -> None:
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        text = media_type.startswith(_TEXT)
        self._plain = path.read_bytes()
        zipped = gzip.compress(self._plain, 9, mtime=0) if text else b""
        self._zipped = zipped if text and len(zipped) < len(self._plain) else None
        self.digest = sha256(self._plain).hexdigest()[:16]
        # Weak: the compressed and the plain form have different bytes (RFC 9110, 8.8.1).
        self._etag = f'W/"{self.digest}"'
        self._headers = {
            "Content-Type": f"{media_type}; charset=utf-8" if text else media_type,
            "ETag": self._etag,
            "Vary": "Accept-Encoding",
        }

    def answer(self, request: Request, cache: str, headers: Mapping[str, str] = {}) -> Response:
        """The file, compressed where the browser takes it; 304 where it has it already."""
        sent = self._headers | {"Cache-Control": cache} | dict(headers)
        known = request.headers.get("if-none-match", "")
        if self.digest in known:
            return Response(status_code=304, headers=sent)
        if self._zipped is not None and accepts_gzip(request):
            return Response(self._zipped, headers=sent | {"Content-Encoding": "gzip"})
        return Response(self._plain, headers=sent)


class Assets:
    """An ASGI application that serves the files of some folders, and gives their addresses.

    ``folders`` maps the beginning of an address to a folder; a longer beginning wins. What is not there at start is not
    served, so no path leads out of the folders.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._files: dict[str, Asset] = {}
        for prefix in sorted(folders, key=len):
            folder = folders[prefix]
            for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
                if path.is_file() and not path.name.startswith("."):
                    name = path.relative_to(folder).as_posix()
                    self._files[f"{prefix.rstrip('/')}/{name}"] = Asset(path)

    def url(self, path: str) -> str:
        """The address of a file with its digest; the path itself when there is no such file."""
        found = self._files.get(path)
        return f"{path}?v={found.digest}" if found else path

    def mount(self) -> Mount:
        return Mount("/static", app=self, name="static")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)
        found = self._files.get(scope["path"])
        if request.method not in ("GET", "HEAD"):
            answer = Response(status_code=405, headers={"Allow": "GET, HEAD"})
        elif found is None:
            answer = Response("Not found", 404, media_type="text/plain")
        else:
            current = request.query_params.get("v") == found.digest
            answer = found.answer(request, FOREVER if current else ASK_AGAIN)
        await answer(scope, receive, send)


def asset_url(request: Request, path: str) -> str:
    """The address of one of the application's files (``app.state.assets``)."""
    assets: Assets | None = getattr(request.app.state, "assets", None)
    return assets.url(path) if assets else path


def embedded_routes(files: Mapping[str, Path]) -> APIRouter:
    """Scripts and sheets that other websites include under an address that stays: kept an hour, then checked by ETag."""
    routes = APIRouter(include_in_schema=False)
    headers = {"Cross-Origin-Resource-Policy": "cross-origin", "Access-Control-Allow-Origin": "*"}

    def serve(path: str, asset: Asset) -> None:
        async def answer(request: Request) -> Response:
            return asset.answer(request, EMBEDDED, headers)

        routes.add_api_route(path, answer, methods=["GET", "HEAD"], response_class=Response)

    for path, file in files.items():
        serve(path, Asset(file))
    return routes
