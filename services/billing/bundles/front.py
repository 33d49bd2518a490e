"""``POST /v1/bundle-uses``: the press at the newspaper's wall that opens an article by a bundle, as raw ASGI.

It comes from the agency's website with the reader's cookie: only a page of that agency's own origins may send it, and is told the
answer. The body is JSON whatever its type says, so that a browser need not ask first (a simple request of the Fetch standard).
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from services.billing.composition import Billing
from services.billing.readers.web import session_cookie
from shared.agencies import Agency, get_agency
from shared.contracts.articles import article_id
from shared.errors import BadRequestError, ForbiddenError, ProblemError, UnauthorizedError
from shared.origins import cors_headers
from shared.security.events import SecurityEvent
from shared.security.report import refused
from shared.web.front import asking, read_body

PATH = "/v1/bundle-uses"
MAX_BODY_BYTES = 4 * 1024


class Asked(msgspec.Struct):
    """Which article of which agency's website."""

    agency: str
    article_id: str


_ASKED = msgspec.json.Decoder(Asked)


class BundleDoor:
    """The hot route."""

    def __init__(self, billing: Billing) -> None:
        self._billing = billing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        origin, may_read = request.headers.get("origin", ""), frozenset[str]()
        try:
            asked = _read(await read_body(receive, MAX_BODY_BYTES))
            async with self._billing.database.read() as session:
                agency = await get_agency(session, asked.agency)
            may_read = agency.origins
            used = await self._use(request, agency, origin, asked)
            status, kind, body = 200, "application/json", msgspec.json.encode({"used": used})
            more: dict[str, str] = {}
        except ProblemError as error:
            refused(error, by=asking(scope))
            status, kind, more = error.status, "application/problem+json", dict(error.headers)
            body = msgspec.json.encode(error.body(PATH))
        headers = {
            "content-type": kind,
            "content-length": str(len(body)),
            "cache-control": "private, no-store",
            **more,
            **cors_headers(origin, may_read, credentials=True),
        }
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _use(self, request: Request, agency: Agency, origin: str, asked: Asked) -> bool:
        if origin not in agency.origins:
            raise ForbiddenError(
                "Only a page of the agency's own website opens its articles",
                slug="origin-not-allowed",
                security=SecurityEvent.CROSS_SITE_REQUEST,
                about={"agency": agency.id, "origin": origin},
            )
        secure = self._billing.settings.secure_cookies
        cookie = request.cookies.get(session_cookie(agency.id, secure=secure), "")
        found = await self._billing.readers.current(agency.id, cookie)
        if found is None:
            raise UnauthorizedError("Nobody is signed in", slug="not-signed-in", security=None)
        return await self._billing.bundles.use(found[1], asked.article_id)


def _read(body: bytes) -> Asked:
    """Raises :class:`BadRequestError`."""
    try:
        asked = _ASKED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequestError("This names no agency and article", slug="malformed") from None
    asked.article_id = article_id(asked.article_id)
    if not asked.article_id or "\x00" in asked.agency:
        raise BadRequestError("This names no agency and article", slug="malformed")
    return asked


OPERATION: dict[str, Any] = {
    "summary": "Open an article by the reader's bundle",
    "description": "From a page of the agency's website, with the reader's cookie. An article that is open already uses nothing.",
    "x-public": True,
    "tags": ["readers"],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"agency": "bao-hung-yen", "article_id": "mua-nhan"},
            },
            "text/plain": {"schema": {"type": "string"}},
        },
    },
    "responses": {
        "200": {
            "description": "The article is open; `used`: one of the bundle was taken for it",
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": {"used": True}}
            },
        },
        "400": {"description": "It names no agency and article"},
        "401": {"description": "Nobody is signed in"},
        "403": {"description": "A page of another website asks"},
        "404": {"description": "No such agency"},
        "409": {"description": "No bundle of the reader's opens another article"},
        "413": {"description": "The body is too large"},
    },
}
