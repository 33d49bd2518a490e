"""Answers through the server's protocol, on real sockets: whole, in order, and each in one write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from shared.web.protocol import JoiningTransport, Limits, OneWriteProtocol, limited
from tests.fixtures.waiting import eventually

ENDLESS_ENDED = asyncio.Event()


async def _gone(receive: Any) -> bool:
    """Whether the client has gone (after its request's end, ``receive`` waits for just that)."""
    task = asyncio.ensure_future(receive())
    await asyncio.wait({task}, timeout=0.001)
    if not task.done():
        task.cancel()
        return False
    return bool(task.result()["type"] == "http.disconnect")


async def app(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    path = scope["path"]
    if path == "/echo":
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    elif path == "/endless":
        ENDLESS_ENDED.clear()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(10_000):
                await send(
                    {"type": "http.response.body", "body": b"x" * 100_000, "more_body": True}
                )
                if await _gone(receive):
                    return
        finally:
            ENDLESS_ENDED.set()
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
async def served(limits: Limits | None = None) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app,
        port=0,
        http=limited(limits) if limits else OneWriteProtocol,
        lifespan="off",
        log_level="critical",
        access_log=False,
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


@asynccontextmanager
async def connected(
    port: int, **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client's end, closed whatever becomes of the test."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        yield reader, writer
    finally:
        writer.close()


async def raw(port: int, request: bytes, until: bytes) -> bytes:
    async with connected(port) as (reader, writer), asyncio.timeout(5):
        writer.write(request)
        return await reader.readuntil(until)


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


SHORT = Limits(head_seconds=0.4, body_seconds=0.4, body_rate=1_000, look_seconds=0.05)
HALF_HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Slow: "
HALF_BODY = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("sent", "told"), [(HALF_HEAD, b"408"), (HALF_BODY, b"408"), (b"", b"408")]
)
async def test_who_does_not_finish_a_request_is_cut_off_while_others_are_answered(
    sent: bytes, told: bytes
) -> None:
    async with served(SHORT) as port, AsyncExitStack() as held:
        slow = [await held.enter_async_context(connected(port)) for _ in range(30)]
        for _, writer in slow:
            writer.write(sent)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.post("/echo", content=b"x")).content == b"x"
            async with asyncio.timeout(5):
                answers = await asyncio.gather(*(reader.read() for reader, _ in slow))
            assert all(told in answer.split(b"\r\n")[0] for answer in answers)
            assert (await client.post("/echo", content=b"y")).content == b"y"


async def test_a_second_request_on_a_kept_connection_has_its_time_as_well() -> None:
    async with served(SHORT) as port, connected(port) as (reader, writer):
        writer.write(b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n" + HALF_HEAD)
        async with asyncio.timeout(5):
            assert (await reader.read()).count(b"HTTP/1.1") == 2


async def test_an_answer_given_before_the_body_has_come_stays_the_only_one() -> None:
    async with served(SHORT) as port, connected(port) as (reader, writer):
        writer.write(HALF_BODY.replace(b"/echo", b"/empty"))
        async with asyncio.timeout(5):
            assert (await reader.read()).count(b"HTTP/1.1") == 1


async def test_a_body_that_comes_slowly_but_steadily_is_taken() -> None:
    async with served(SHORT) as port, connected(port) as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1200\r\n\r\n")
        for _ in range(12):  # 0.96 s, more than the limit of an empty body
            writer.write(b"x" * 100)
            await asyncio.sleep(0.08)
        async with asyncio.timeout(5):
            assert b" 200 " in await reader.readuntil(b"\r\n")


async def test_who_reads_nothing_of_an_answer_is_cut_off() -> None:
    limits = Limits(answer_seconds=0.3, look_seconds=0.05)
    async with served(limits) as port, connected(port, limit=1) as (_, writer):
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(ENDLESS_ENDED.wait(), 10)


async def test_connections_beyond_the_limit_are_told_to_come_back() -> None:
    async with served(Limits(connections=5)) as port, AsyncExitStack() as stack:
        held = [await stack.enter_async_context(connected(port)) for _ in range(5)]
        answer = await raw(port, b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503") and b"retry-after: 1" in answer
        held.pop()[1].close()
        await eventually(lambda: _answered(port), "a place is free again")


async def _answered(port: int) -> bool:
    answer = await raw(port, b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n\r\n")
    return answer.startswith(b"HTTP/1.1 204")


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
