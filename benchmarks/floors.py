"""The machine's own floor: the least a server could do, in the same server and event loop as ours.

``plain``   raw ASGI that answers a constant
``signed``  raw ASGI that reads the body, parses it, checks an HMAC cookie and answers JSON: a decision without
            deciding anything
``file``    raw ASGI that answers the bytes of the file in ``FLOOR_FILE``
"""

from __future__ import annotations

import hmac
import os
from hashlib import sha256
from pathlib import Path

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

_ANSWER = b'{"granted":true,"reason":"FREE"}'
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_ANSWER)).encode()),
]
_SECRET = b"0123456789abcdef"


class _Body(msgspec.Struct):
    agency: str = ""


_DECODER = msgspec.json.Decoder(_Body)


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return await _lifespan(receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _ANSWER})


async def signed(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return await _lifespan(receive, send)
    message = await receive()
    body = message.get("body", b"")
    if body:
        _DECODER.decode(body)
    hmac.new(_SECRET, body[:64], sha256).hexdigest()
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send(
        {
            "type": "http.response.body",
            "body": msgspec.json.encode({"granted": True, "reason": "FREE"}),
        }
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def create_plain() -> ASGIApp:
    return plain


def create_signed() -> ASGIApp:
    return signed


def create_file() -> ASGIApp:
    content = Path(os.environ["FLOOR_FILE"]).read_bytes()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(content)).encode()),
    ]

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await _lifespan(receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return answer
