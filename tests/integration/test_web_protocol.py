"""Answers through the server's protocol, on real sockets: whole, in order, and each in one write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from shared.web.protocol import JoiningTransport, OneWriteProtocol


async def app(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    path = scope["path"]
    if path == "/echo":
        body = (await receive())["body"]
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    elif path == "/empty":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
    elif path == "/parts":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"HTTP/1.1 200 is a part too. ", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})
    else:
        raise RuntimeError("on purpose")


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    config = uvicorn.Config(
        app, port=0, http=OneWriteProtocol, lifespan="off", log_level="critical", access_log=False
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


async def test_answers_arrive_whole_on_one_connection() -> None:
    async with served() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(3):
            assert (await client.post("/echo", content=b"x" * 70_000)).content == b"x" * 70_000
            assert (await client.get("/empty")).status_code == 204
            assert (await client.head("/echo")).status_code == 200
            assert (await client.get("/parts")).text == "HTTP/1.1 200 is a part too. two"


async def test_an_application_that_fails_is_answered_500() -> None:
    async with served() as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/broken")
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")


async def raw(port: int, request: bytes, until: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(5):
            return await reader.readuntil(until)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_who_waits_for_leave_to_send_gets_it_at_once() -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    async with served() as port:
        assert await raw(port, head, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    one = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d"
    async with served() as port:
        answer = await raw(port, one % 1 + one % 2 + one % 3, b"\r\n\r\n3")
        assert answer.count(b"HTTP/1.1 200") == 3
        assert answer.index(b"\r\n\r\n1") < answer.index(b"\r\n\r\n2")


async def test_bytes_that_are_no_request_are_refused() -> None:
    async with served() as port:
        assert b"400 Bad Request" in await raw(port, b"hello\r\n\r\n", b"received.")


class Sink:
    """What a transport was asked to do, in order."""

    def __init__(self) -> None:
        self.done: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["HTTP/1.1 200 OK\r\n\r\n", "body"], [b"HTTP/1.1 200 OK\r\n\r\nbody"]),
        (["HTTP/1.1 200 OK\r\n\r\n", "a", "b"], [b"HTTP/1.1 200 OK\r\n\r\na", b"b"]),
        (["HTTP/1.1 100 Continue\r\n\r\n"], [b"HTTP/1.1 100 Continue\r\n\r\n"]),
        (["HTTP/1.1 200 OK\r\n\r\n", None], [b"HTTP/1.1 200 OK\r\n\r\n", "closed"]),
        ([None], ["closed"]),
    ],
)
def test_a_head_waits_for_what_follows_it(
    steps: list[str | None], expected: list[bytes | str]
) -> None:
    sink = Sink()
    transport = JoiningTransport(sink)  # type: ignore[arg-type]
    for step in steps:
        if step is None:
            transport.close()
        else:
            transport.write(step.encode())
    assert sink.done == expected
    assert transport.is_closing() == (None in steps)
