"""uvicorn's HTTP protocol, but an answer's head and its body leave in one write.

uvicorn writes them one after the other, and each write is a system call: a fifth of what a small answer costs. Here the
head waits for the first part of the body, or for the end of the answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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


class OneWriteProtocol(HttpToolsProtocol):
    """For ``uvicorn.run(http=…)``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.joining = JoiningTransport(transport)
        super().connection_made(cast(asyncio.Transport, self.joining))

    def on_response_complete(self) -> None:
        self.joining.flush()
        super().on_response_complete()
