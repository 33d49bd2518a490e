"""Pure ASGI middleware (an ``@app.middleware`` costs more than half of the throughput)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.datastructures import URL, Headers, MutableHeaders, QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from shared.audit.caller import Caller, calling
from shared.audit.rules import network_prefix
from shared.errors import PROBLEM_TYPE_PREFIX, ProblemError
from shared.ids import new_id
from shared.security.events import SecurityEvent
from shared.security.report import answered, tell
from shared.startup.rules import host_of, stays_inside
from shared.telemetry import metrics
from shared.web.error_page import error_page, wants_page
from shared.web.i18n import LANGUAGES
from shared.web.visitor import caller_address

UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: Those that are counted by name: a client may write any word.
METHODS = UNSAFE_METHODS | {"GET", "HEAD", "OPTIONS"}
MAX_BODY_BYTES = 2 * 1024 * 1024


class WrongHostError(ProblemError):
    status, slug, title = 421, "wrong-host", "This server does not answer for that host"


class CrossSiteError(ProblemError):
    status, slug, title = 403, "cross-site-request", "This request came from another site"


class OverloadedError(ProblemError):
    status, slug, title = 503, "overloaded", "Too many requests at once"


class BodyTooLargeError(ProblemError):
    status, slug = 413, "body-too-large"

    def __init__(self, max_bytes: int) -> None:
        self.title = f"The body may have at most {max_bytes} bytes"
        super().__init__(max_bytes=max_bytes)


_FORM_TARGETS = "press.form_targets"
_ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]-]+")
_OWN_FORMS = "form-action 'self'"


def allow_form_targets(scope: Scope, origins: Iterable[str]) -> None:
    """Origins that an answer to a form of this page may lead to (a redirect counts, CSP level 3, ``form-action``).

    For this page only, and named one by one: what another agency's pages may reach is nothing to this one.
    """
    targets: set[str] = scope.setdefault(_FORM_TARGETS, set())
    targets.update(origin for origin in origins if _ORIGIN.fullmatch(origin))


def _with_form_targets(policy: str, scope: Scope) -> str:
    targets = scope.get(_FORM_TARGETS)
    if not targets:
        return policy
    return policy.replace(_OWN_FORMS, " ".join((_OWN_FORMS, *sorted(targets))), 1)


def security_headers(
    *, csp: str, hsts: bool, frame_ancestors: str = "'none'"
) -> list[tuple[str, str]]:
    """Headers of every answer."""
    headers = [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
        ("Content-Security-Policy", f"{csp}; frame-ancestors {frame_ancestors}"),
    ]
    if hsts:
        headers.append(("Strict-Transport-Security", "max-age=63072000; includeSubDomains"))
    return headers


class SecurityHeaders:
    """Headers for every answer, and the content security policy of pages."""

    def __init__(
        self, app: ASGIApp, *, csp: str, hsts: bool, frame_ancestors: str = "'none'"
    ) -> None:
        self.app = app
        self._headers = security_headers(csp=csp, hsts=hsts, frame_ancestors=frame_ancestors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers:
                    headers.setdefault(name, _with_form_targets(value, scope))
                if not scope["path"].startswith("/static/"):
                    # What a person or a key was told is kept nowhere, unless the route says otherwise.
                    headers.setdefault("Cache-Control", "private, no-store")
            await send(message)

        await self.app(scope, receive, with_headers)


class KeptLanguage:
    """A page that leads on to another of ours takes the language along that was asked for with ``?lang=``.

    Only a page that is shown remembers it in its cookie.
    """

    def __init__(self, app: ASGIApp, *, own_url: str) -> None:
        self.app = app
        self._own = f"{own_url.rstrip('/')}/" if own_url else "/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = ""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["query_string"]:
            asked = QueryParams(scope["query_string"]).get("lang", "")
        if asked not in LANGUAGES:
            await self.app(scope, receive, send)
            return

        async def taken_along(message: Message) -> None:
            if message["type"] == "http.response.start" and 300 <= message["status"] < 400:
                headers = MutableHeaders(scope=message)
                location = headers.get("location", "")
                if location.startswith(("/", self._own)) and not location.startswith("//"):
                    headers["location"] = str(URL(location).include_query_params(lang=asked))
            await send(message)

        await self.app(scope, receive, taken_along)


class RequestCaller:
    """Opens the request's :class:`Caller`: an id of its own (also ``X-Request-Id`` and in every log line), and the network."""

    def __init__(self, app: ASGIApp, *, service: str, forwarded_hops: int) -> None:
        self.app = app
        self._service = service
        self._hops = forwarded_hops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = new_id().hex
        network = network_prefix(caller_address(HTTPConnection(scope), self._hops))

        asking = Caller(request_id, network, service=self._service, scope=scope)

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("X-Request-Id", request_id)
                answered(message["status"], asking)
            await send(message)

        with calling(asking), bound_contextvars(request_id=request_id):
            await self.app(scope, receive, with_id)


class OwnHost:
    """Requests for another host are refused (421, RFC 9110): no page of ours answers under somebody else's name.

    ``own_url`` is the public address; without one nothing is checked. Names of one label and loopback pass too: they exist only inside, for the other
    processes and for Prometheus, and no page on the internet can be at one (DNS rebinding). Behind TLS every request is then
    taken as one for the public address, so that no link or redirect is made from what the caller wrote.
    """

    def __init__(self, app: ASGIApp, *, own_url: str, behind_tls: bool) -> None:
        self.app = app
        parts = urlsplit(own_url)
        self._host = (parts.hostname or "").lower()
        self._as = (parts.scheme, parts.netloc.encode()) if behind_tls and self._host else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._host:
            await self.app(scope, receive, send)
            return
        host = host_of(f"//{Headers(scope=scope).get('host', '')}")
        if host != self._host and not (host and stays_inside(host)):
            await refuse(scope, receive, send, WrongHostError())
            return
        if self._as is not None:
            scheme, netloc = self._as
            kept = [pair for pair in scope["headers"] if pair[0] != b"host"]
            # In place: whoever stands outside of us reads the route there once it is found.
            scope.update(scheme=scheme, headers=[(b"host", netloc), *kept])
        await self.app(scope, receive, send)


class SameOriginGuard:
    """Cross-site request forgery: a changing request that carries cookies must come from a known origin.

    So must one without cookies that names an origin: the form for signing in needs none, and sends mail. Browsers send ``Origin`` with every POST (Fetch standard); a request with cookies but neither ``Origin`` nor
    ``Referer`` is refused. Requests authorised by a key or a signature carry no cookies and pass. Forms carry a token
    besides (``Pages``).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        trusted_origins: Sequence[str] = (),
        trusted_at: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.app = app
        self._trusted = {origin.rstrip("/") for origin in trusted_origins if origin}
        self._trusted_at = {path: frozenset(known) for path, known in (trusted_at or {}).items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in UNSAFE_METHODS:
            headers = Headers(scope=scope)
            browser = headers.get("cookie") or headers.get("origin")
            if browser and not self._known(scope, headers):
                tell(SecurityEvent.CROSS_SITE_REQUEST, origin=origin_of_request(headers))
                await refuse(scope, receive, send, CrossSiteError())
                return
        await self.app(scope, receive, send)

    def _known(self, scope: Scope, headers: Headers) -> bool:
        origin = origin_of_request(headers)
        if not origin:
            return False
        own = f"{scope.get('scheme', 'http')}://{headers.get('host', '')}"
        return (
            origin == own
            or origin in self._trusted
            or origin in self._trusted_at.get(scope["path"], ())
        )


def origin_of_request(headers: Headers) -> str:
    """The origin of the page that sent it, by ``Origin`` or else by ``Referer``; empty when neither says."""
    origin = headers.get("origin") or ""
    if origin and origin != "null":
        return origin
    referer = urlsplit(headers.get("referer") or "")
    return f"{referer.scheme}://{referer.netloc}" if referer.netloc else ""


class BodyLimit:
    """Refuses bodies above a size before they are read. ``larger``: what other paths take (as routes are written)."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int = MAX_BODY_BYTES,
        larger: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.app = app
        self._max = max_bytes
        self._larger = [(compile_path(path)[0], most) for path, most in larger.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in UNSAFE_METHODS:
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        most = next((most for form, most in self._larger if form.match(path)), self._max)
        length = Headers(scope=scope).get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > most:
            await self._refuse(scope, receive, send, most)
            return
        seen, started = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            # Only a chunked body gets past the limit here: the application sees the client gone and reads no more.
            return message if seen <= most else {"type": "http.disconnect"}

        async def guarded(message: Message) -> None:
            nonlocal started
            if seen > most and not started:
                return  # what it makes of that is not the answer: see below
            started = True
            await send(message)

        try:
            await self.app(scope, counted, guarded)
        except Exception:
            # Cut off in the middle of its body the application may fail in any way; within the limit that is its own fault.
            if seen <= most or started:
                raise
        if seen > most and not started:
            await self._refuse(scope, receive, send, most)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        await refuse(scope, receive, send, BodyTooLargeError(most))


class RequestMetrics:
    """Counts and times requests by route template (never by raw path: that would be without bound)."""

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        self.app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            metrics.HTTP_SECONDS.labels(self._service, route).observe(time.perf_counter() - started)
            method = scope["method"] if scope["method"] in METHODS else "other"
            metrics.HTTP_REQUESTS.labels(self._service, route, method, str(status)).inc()


async def refuse(scope: Scope, receive: Receive, send: Send, error: ProblemError) -> None:
    """A refusal before any route: a page for a person with a browser, a problem document for a program."""
    request = Request(scope)
    if wants_page(request):
        answer: Response = error_page(request, error.body(), error.headers, error)
    else:
        answer = JSONResponse(
            error.body(),
            error.status,
            headers=error.headers,
            media_type="application/problem+json",
        )
    await answer(scope, receive, send)


async def send_problem(
    send: Send, status: int, slug: str, detail: str, *, retry_after_seconds: int | None = None
) -> None:
    """A problem document straight from ASGI."""
    body = json.dumps(
        {"type": PROBLEM_TYPE_PREFIX + slug, "title": detail, "status": status},
        ensure_ascii=False,
    ).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/problem+json"),
                (b"content-length", str(len(body)).encode()),
                *(
                    [(b"retry-after", str(retry_after_seconds).encode())]
                    if retry_after_seconds is not None
                    else []
                ),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
