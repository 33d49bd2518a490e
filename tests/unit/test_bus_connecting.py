"""Connecting to the bus ends in its time, whatever becomes of a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus.jetstream import _within


@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_what_loses_a_cancellation_is_ended_all_the_same(lost):
    """Python 3.11's ``wait_for`` loses one when what it waits for ends at that moment: a refused connection tried for ever."""
    seen = 0

    async def attempts() -> None:
        nonlocal seen
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                seen += 1
                if seen > lost:
                    raise

    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            await _within(0.01, attempts())
    assert seen == lost + 1


async def test_what_is_done_in_time_gives_what_it_gives():
    async def refused() -> None:
        raise OSError("connection refused")

    await _within(10, asyncio.sleep(0))
    with pytest.raises(OSError, match="connection refused"):
        await _within(10, refused())


async def test_who_waits_is_cancelled_with_what_is_waited_for():
    ended = asyncio.Event()

    async def attempts() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    waiting = asyncio.create_task(_within(3600, attempts()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
