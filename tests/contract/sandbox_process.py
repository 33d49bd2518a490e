"""The sandbox as a process of its own, with Stripe's part and the bank's."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from infra.local.ports import free_port

PATIENCE_SECONDS = 60.0


@asynccontextmanager
async def sandbox_process(**variables: str) -> AsyncIterator[str]:
    """``python -m infra.stripe_sandbox`` with these variables until the end of the test; gives its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.stripe_sandbox",
        env=os.environ | variables | {"STRIPE_SANDBOX_PORT": str(port)},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(PATIENCE_SECONDS):
            while True:
                assert process.returncode is None, "the sandbox ended while starting"
                try:
                    if (await client.get(f"{address}/healthz")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield address
    finally:
        process.terminate()
        await process.wait()
