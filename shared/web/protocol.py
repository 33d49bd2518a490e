"""uvicorn's HTTP protocol, but an answer's head and its body leave in one write, and nobody may be slow for ever.

uvicorn writes head and body one after the other, and each write is a system call: a fifth of what a small answer costs. Here
the head waits for the first part of the body, or for the end of the answer.

uvicorn has no time limit on a request that is being sent, nor a limit on connections that it enforces before the request is
there: whoever sends half a head holds a connection as long as they like. Here one look a second over all connections of the
process ends those that are late (RFC 9110, 408), and connections beyond the limit are answered 503 at once.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.errors import PROBLEM_TYPE_PREFIX

_HEAD = b"HTTP/1.1 "
_CONTINUE = b"HTTP/1.1 100"  # an answer before the answer: the client waits for it


class JoiningTransport:
    """A transport that keeps an answer's head until something follows it."""

    __slots__ = ("_head", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        head = self._head
        if head:
            self._head = b""
            self._transport.write(head + data)
        elif data.startswith(_HEAD) and not data.startswith(_CONTINUE):
            self._head = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """The answer has no body: its head goes alone."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take. A body gets ``body_seconds`` and a second more for each ``body_rate`` bytes received."""

    head_seconds: float = 10.0
    body_seconds: float = 20.0
    body_rate: int = 8_192
    answer_seconds: float = 60.0  # without the client reading any of it
    connections: int = 1_000
    look_seconds: float = 1.0


class OneWriteProtocol(HttpToolsProtocol):
    """For ``uvicorn.run(http=…)``."""

    limits: ClassVar[Limits] = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.joining = JoiningTransport(transport)
        super().connection_made(cast(asyncio.Transport, self.joining))
        self._deadline = self.loop.time() + self.limits.head_seconds
        self._stuck_since = math.inf
        self._in_body = False
        others = len(self.connections)
        self._beyond = others > self.limits.connections
        if others > 2 * self.limits.connections:
            transport.abort()  # not even an answer: there may be no descriptors left
        state: Any = self.server_state
        if getattr(state, "look", None) is None:
            state.look = self.loop.call_later(self.limits.look_seconds, self._look, state)

    def _look(self, state: Any) -> None:
        """One look over all connections; as long as there are some, another one follows."""
        now = self.loop.time()
        for connection in list(self.connections):
            if isinstance(connection, OneWriteProtocol):
                connection.end_if_late(now)
        again = bool(self.connections)
        state.look = (
            self.loop.call_later(self.limits.look_seconds, self._look, state) if again else None
        )

    def end_if_late(self, now: float) -> None:
        """End the connection when its client has had its time."""
        if now - self._stuck_since > self.limits.answer_seconds:
            self.joining.abort()
        elif self.flow.read_paused:
            self._deadline = max(
                self._deadline, now + self.limits.body_seconds
            )  # we are slow, not it
        elif now > self._deadline:
            cycle = self.cycle
            between = cycle is None or (cycle.response_complete and not self._in_body)
            if between or not cycle.response_started:
                self.joining.write(_LATE)
            self.joining.close()

    def data_received(self, data: bytes) -> None:
        if self._beyond:
            self.joining.write(_FULL)
            self.joining.close()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._deadline = self.loop.time() + self.limits.head_seconds
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._deadline = self.loop.time() + self.limits.body_seconds
        self._in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._deadline += len(body) / self.limits.body_rate
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._deadline = math.inf  # the rest is up to us
        self._in_body = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stuck_since = math.inf
        super().resume_writing()

    def on_response_complete(self) -> None:
        self.joining.flush()
        super().on_response_complete()


def limited(limits: Limits) -> type[OneWriteProtocol]:
    """The protocol with these limits."""
    return type("LimitedProtocol", (OneWriteProtocol,), {"limits": limits})


def _problem(status: str, slug: str, title: str, *headers: str) -> bytes:
    code = int(status.split(maxsplit=1)[0])
    body = json.dumps({"type": PROBLEM_TYPE_PREFIX + slug, "title": title, "status": code}).encode()
    head = "\r\n".join(
        (
            f"HTTP/1.1 {status}",
            "content-type: application/problem+json",
            f"content-length: {len(body)}",
            "x-content-type-options: nosniff",
            "connection: close",
            *headers,
            "\r\n",
        )
    )
    return head.encode() + body


_LATE = _problem("408 Request Timeout", "request-timeout", "The request took too long to arrive")
_FULL = _problem("503 Service Unavailable", "overloaded", "Too many connections", "retry-after: 1")
