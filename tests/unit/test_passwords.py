"""The hasher that every password goes through: bounded, also when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading

import pytest

from shared.errors import UnavailableError
from shared.passwords.hasher import MOST_WAITING, Argon2Hasher


class Counted(Argon2Hasher):
    """Counts who is at work at once, and works until it is let go on."""

    def __init__(self, concurrency: int) -> None:
        super().__init__(time_cost=1, memory_kib=64, parallelism=1, concurrency=concurrency)
        self.go_on, self.lock = threading.Event(), threading.Lock()
        self.begun = threading.Semaphore(0)
        self.working = self.most = 0

    def _matches(self, password_hash: str, password: str) -> bool:
        with self.lock:
            self.working += 1
            self.most = max(self.most, self.working)
        self.begun.release()
        assert self.go_on.wait(20)
        with self.lock:
            self.working -= 1
        return super()._matches(password_hash, password)


async def at_work(hasher: Counted, count: int) -> None:
    for _ in range(count):
        assert await asyncio.to_thread(hasher.begun.acquire, timeout=20)


async def test_so_many_at_a_time_also_when_who_asked_has_gone() -> None:
    hasher = Counted(2)
    gone = [asyncio.create_task(hasher.verify(None, "x")) for _ in range(2)]
    await at_work(hasher, 2)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    staying = [asyncio.create_task(hasher.verify(None, "x")) for _ in range(4)]
    assert not await asyncio.to_thread(hasher.begun.acquire, timeout=0.3), "both still work"
    hasher.go_on.set()
    assert await asyncio.gather(*staying) == [False] * 4
    assert hasher.most == 2


async def test_beyond_a_queue_one_is_told_to_try_again() -> None:
    hasher = Counted(1)
    waiting = [asyncio.create_task(hasher.verify(None, "x")) for _ in range(MOST_WAITING)]
    await at_work(hasher, 1)
    with pytest.raises(UnavailableError):
        await hasher.verify(None, "x")
    hasher.go_on.set()
    await asyncio.gather(*waiting)
    assert await hasher.verify(await hasher.hash("mùa lúa"), "mùa lúa"), "and then it goes on"
