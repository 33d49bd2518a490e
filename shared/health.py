"""``/healthz``: the loops are alive. ``/readyz``: a database query and a NATS round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from shared.loops import Loop

log = structlog.get_logger(__name__)

CHECK_TIMEOUT_SECONDS = 3.0
Check = Callable[[], Awaitable[None]]


async def run_checks(checks: Mapping[str, Check]) -> tuple[bool, dict[str, str]]:
    """Run every check at once. Returns whether all passed and a line for each."""

    async def one(name: str, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await check()
        except (
            Exception
        ) as error:  # a check may fail in any way; its name is all that strangers are told
            log.warning("check_failed", check=name, error=repr(error))
            return f"failed: {type(error).__name__}"
        return "ok"

    results = await asyncio.gather(*(one(name, check) for name, check in checks.items()))
    report = dict(zip(checks, results, strict=True))
    return all(result == "ok" for result in results), report


def loops_alive(loops: Sequence[Loop]) -> tuple[bool, dict[str, str]]:
    """Whether every loop came round within its limit."""
    report = {
        loop.name: "ok" if loop.heartbeat.alive else f"silent {loop.heartbeat.age_seconds:.0f} s"
        for loop in loops
    }
    return all(loop.heartbeat.alive for loop in loops), report
