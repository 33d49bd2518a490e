"""The front door: hot routes as raw ASGI before the framework (a FastAPI endpoint costs five times as much).

Everything else falls through to the application. A hot route answers like any other route: the same headers, a body with a
limit, errors as problem documents, a last-resort 500 that reveals nothing, counted and timed by its path. What the others have
as a chain of middleware is one step here.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter as MadeCounter
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.audit.caller import Caller
from shared.audit.rules import network_prefix
from shared.errors import ProblemError
from shared.security.events import SecurityEvent
from shared.security.report import refused, tell
from shared.telemetry import metrics
from shared.web.middleware import origin_of_request, send_problem
from shared.web.visitor import caller_address

log = structlog.get_logger(__name__)
_DOOR = "press.door"


class TooLargeError(ProblemError):
    status, slug, title = 413, "body-too-large", "The body is too large"


@dataclass(frozen=True, slots=True)
class HotRoute:
    """A route that the framework does not see. ``operation`` is its part of the OpenAPI document, without one it is not told
    (a preflight); ``components`` are the schemas the operation names.

    A route that reads cookies says from which ``origins`` a browser may send them; without, cookies mean nothing to it.
    """

    method: str
    path: str
    endpoint: ASGIApp
    operation: Mapping[str, Any] | None = None
    components: Mapping[str, Any] = field(default_factory=dict)
    origins: Callable[[str], bool] | None = None


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body. Raises :class:`TooLargeError`, or ``ClientDisconnect`` when it is cut off."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLargeError(f"The body may have at most {limit} bytes")
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


class FrontDoor:
    """One hot route as it is served."""

    def __init__(
        self, route: HotRoute, service: str, headers: Sequence[tuple[str, str]], hops: int
    ) -> None:
        self._route, self._hops = route, hops
        self._endpoint = route.endpoint
        self._origins = route.origins
        self._labels = (service, route.path, route.method)
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers]
        self._seconds = metrics.HTTP_SECONDS.labels(service, route.path)
        # As unlike any other as a random one, at a tenth of what that costs: here it would be felt.
        self._run, self._numbers = secrets.token_hex(8), count()
        self._counted: dict[int, MadeCounter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status, begun = time.perf_counter(), 500, False
        request_id = f"{self._run}{next(self._numbers):016x}"
        scope[_DOOR] = self, request_id

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                headers = [
                    *message["headers"],
                    *self._headers,
                    (b"x-request-id", request_id.encode()),
                ]
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    headers.append((b"cache-control", b"private, no-store"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            if self._origins is not None and self._foreign(scope):
                tell(SecurityEvent.CROSS_SITE_REQUEST, by=asking(scope))
                await send_problem(
                    answer, 403, "cross-site-request", "This request came from another site"
                )
            else:
                await self._endpoint(scope, receive, answer)
        except ClientDisconnect:
            status = 499  # nobody is there to be answered
        except ProblemError as error:
            if begun:
                raise
            refused(error, by=asking(scope))
            await _answer_problem(answer, error, scope["path"])
        except (
            Exception
        ) as error:  # the last resort: whatever it was, the caller learns nothing of it
            if begun:
                raise  # half an answer is out: the server cuts the connection
            log.error("unexpected_error", path=scope["path"], request_id=request_id, exc_info=error)
            await _answer_problem(answer, ProblemError(), scope["path"])
        finally:
            self._seconds.observe(time.perf_counter() - started)
            self._count(status)

    def caller(self, scope: Scope, request_id: str) -> Caller:
        network = network_prefix(caller_address(HTTPConnection(scope), self._hops))
        return Caller(
            request_id, network, service=self._labels[0], scope={**scope, "route": self._route}
        )

    def _foreign(self, scope: Scope) -> bool:
        """Whether it carries cookies and comes from a page that may not send them."""
        assert self._origins is not None
        cookies, origin = False, b""
        for name, value in scope["headers"]:
            if name == b"cookie":
                cookies = True
            elif name == b"origin":
                origin = value
        if not cookies or (origin and self._origins(origin.decode("latin-1"))):
            return False
        return not self._origins(origin_of_request(Headers(scope=scope)))

    def _count(self, status: int) -> None:
        counter = self._counted.get(status)
        if counter is None:
            counter = metrics.HTTP_REQUESTS.labels(*self._labels, str(status))
            self._counted[status] = counter
        counter.inc()


def asking(scope: Scope) -> Caller:
    """Who asks at a hot route: made only when it has to be told, as it costs more than the door itself."""
    door, request_id = scope[_DOOR]
    made: Caller = door.caller(scope, request_id)
    return made


async def _answer_problem(send: Send, error: ProblemError, path: str) -> None:
    body = msgspec.json.encode(error.body(path))
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
