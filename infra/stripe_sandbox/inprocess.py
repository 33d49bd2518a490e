"""The SDK's transport without a socket: it drives the ASGI application directly."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Mapping
from typing import Any, NoReturn

import httpx
from starlette.types import ASGIApp
from stripe import APIConnectionError, HTTPClient
from stripe._base_address import BaseAddresses

from .app import IN_PROCESS_HOST

BASE = f"http://{IN_PROCESS_HOST}"
ADDRESSES: BaseAddresses = {
    "api": BASE,
    "files": BASE,
    "connect": BASE,
    "meter_events": BASE,
}


class InProcessClient(HTTPClient):
    """Use as ``StripeClient(key, base_addresses=ADDRESSES, http_client=InProcessClient(app))``.

    Asynchronous methods only, as in the services.
    """

    name = "stripe-sandbox-in-process"

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app))

    def sleep_async(self, secs: float) -> Awaitable[None]:
        """Between the SDK's own retries."""
        return asyncio.sleep(secs)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One request."""
        response = await self._http.request(
            method, url, headers=dict(headers), content=post_data or b""
        )
        if len(response.content) < int(response.headers.get("content-length", 0)):
            # What a socket would say of a connection that closes before the answer has come.
            raise APIConnectionError("the connection was closed", should_retry=True)  # type: ignore[no-untyped-call]
        return response.content, response.status_code, response.headers

    async def request_stream_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[AsyncIterable[bytes], int, Mapping[str, str]]:
        """One request whose answer is read piece by piece."""
        content, status, answered = await self.request_async(method, url, headers, post_data)

        async def pieces() -> AsyncIterable[bytes]:
            yield content

        return pieces(), status, answered

    def request(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refused: the sandbox is driven from the running event loop."""
        raise RuntimeError("the in-process transport is asynchronous: use the *_async methods")

    def close(self) -> None:
        """Nothing is held that only a synchronous caller could release."""

    async def close_async(self) -> None:
        """Let go of the transport."""
        await self._http.aclose()
