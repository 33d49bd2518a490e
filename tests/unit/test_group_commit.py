"""Group commit: everyone gets their own answer, and a failure is only its group's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.database import GroupCommit, OverloadedError


class Flush:
    """Remembers its groups; answers with the squares; fails for groups that hold a bad number."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.running = self.most_running = 0
        self.gate: asyncio.Event | None = None

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(items))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(0)
            if any(item < 0 for item in items):
                raise ConnectionError("not committed")
            return [item * item for item in items]
        finally:
            self.running -= 1


async def test_everyone_gets_the_answer_to_their_own_item():
    flush = Flush()
    group = GroupCommit(flush, max_batch=7, writers=3)
    results = await asyncio.gather(*(group.submit(number) for number in range(200)))
    assert results == [number * number for number in range(200)]
    assert max(len(items) for items in flush.groups) <= 7
    assert 1 < flush.most_running <= 3


async def test_requests_of_one_moment_share_a_commit_and_a_lone_one_does_not_wait():
    flush = Flush()
    group = GroupCommit(flush)
    await asyncio.gather(*(group.submit(number) for number in range(50)))
    assert len(flush.groups) == 1
    await asyncio.wait_for(group.submit(1), 0.5)
    assert len(flush.groups) == 2


async def test_while_one_group_is_written_the_next_one_gathers():
    flush = Flush()
    flush.gate = asyncio.Event()
    group = GroupCommit(flush)
    first = asyncio.create_task(group.submit(1))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(group.submit(number)) for number in range(2, 12)]
    await asyncio.sleep(0.01)
    assert flush.groups == [[1]]
    flush.gate.set()
    assert await first == 1
    await asyncio.gather(*rest)
    assert flush.groups == [[1], list(range(2, 12))]


async def test_a_failure_reaches_its_group_and_nobody_else():
    flush = Flush()
    group = GroupCommit(flush, max_batch=5)
    items = [1, 2, -3, 4, 5, 6, 7, 8, 9, 10]
    results = await asyncio.gather(*(group.submit(item) for item in items), return_exceptions=True)
    assert all(isinstance(result, ConnectionError) for result in results[:5])
    assert results[5:] == [36, 49, 64, 81, 100]
    assert await group.submit(3) == 9


async def test_a_wrong_number_of_answers_is_an_error_for_all_of_the_group():
    async def short(items: Sequence[int]) -> Sequence[int]:
        return list(items)[:-1]

    group: GroupCommit[int, int] = GroupCommit(short)
    results = await asyncio.gather(*(group.submit(n) for n in range(3)), return_exceptions=True)
    assert all("2 results for 3 items" in str(result) for result in results)


async def test_the_queue_is_bounded_and_room_comes_back():
    flush = Flush()
    flush.gate = asyncio.Event()
    group = GroupCommit(flush, max_queue=3)
    first = asyncio.create_task(group.submit(1))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(group.submit(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0.01)
    with pytest.raises(OverloadedError):
        await group.submit(5)
    flush.gate.set()
    await asyncio.gather(first, *waiting)
    assert await group.submit(5) == 25


async def test_who_gives_up_waiting_disturbs_nobody():
    flush = Flush()
    flush.gate = asyncio.Event()
    group = GroupCommit(flush)
    impatient = asyncio.create_task(group.submit(1))
    patient = asyncio.create_task(group.submit(2))
    await asyncio.sleep(0.01)
    impatient.cancel()
    flush.gate.set()
    assert await patient == 4
    await group.drain()
    assert impatient.cancelled()


async def test_draining_waits_for_everything_that_was_handed_in():
    flush = Flush()
    group = GroupCommit(flush, max_batch=2)
    tasks = [asyncio.create_task(group.submit(number)) for number in range(20)]
    await asyncio.sleep(0)
    await group.drain()
    assert sorted(item for items in flush.groups for item in items) == list(range(20))
    assert flush.running == 0
    await asyncio.sleep(0)  # the answers are there; each waiter has yet to wake
    assert all(task.done() for task in tasks)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(-2, 50), min_size=1, max_size=60), st.integers(1, 10), st.integers(1, 4)
)
def test_any_load_is_answered_completely(items, max_batch, writers):
    async def run() -> list[object]:
        group = GroupCommit(Flush(), max_batch=max_batch, writers=writers)
        return await asyncio.gather(*(group.submit(i) for i in items), return_exceptions=True)

    for item, result in zip(items, asyncio.run(run()), strict=True):
        assert result == item * item or isinstance(result, ConnectionError)
