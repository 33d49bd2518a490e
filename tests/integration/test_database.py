"""Connections of one process to its database."""

from __future__ import annotations

import asyncio

import asyncpg
from sqlalchemy import text

from shared.database import Database, core
from tests.fixtures.waiting import eventually


async def test_those_who_ask_for_the_pool_at_once_share_one(create_database):
    database = Database(create_database("pool"), application_name="test")
    try:
        first, second = await asyncio.gather(database.pool(), database.pool())
        assert first is second
    finally:
        await database.close()


async def test_what_nobody_uses_is_closed_and_opened_again_when_it_is_needed(
    create_database, monkeypatch
):
    """Each idle connection is 2 MiB of the server. Whoever listens is idle all the time and stays."""
    monkeypatch.setattr(core, "IDLE_ENDS", {"idle_session_timeout": "300"})
    url = create_database("idle")
    database = Database(url, application_name="test")
    watcher = await asyncpg.connect(url)
    listening = await database.connect_raw()

    async def read(together: asyncio.Barrier) -> int:
        async with database.read() as session, together:
            return (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()

    async def open_now() -> set[int]:
        return {
            row["pid"]
            for row in await watcher.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'test' "
                "AND datname = current_database()"
            )
        }

    try:
        listener = await listening.fetchval("SELECT pg_backend_pid()")
        together = asyncio.Barrier(3)
        used = set(await asyncio.gather(*(read(together) for _ in range(3))))
        assert len(used) == 3 and used < await open_now()

        async def only_the_listener() -> bool:
            return await open_now() == {listener}

        await eventually(only_the_listener)
        again = set(await asyncio.gather(*(read(together) for _ in range(3))))
        assert len(again) == 3 and not again & used
    finally:
        await listening.close()
        await watcher.close()
        await database.close()


async def test_one_at_a_time_needs_one_connection(create_database):
    """The last used is used next, so that the others are seen to be idle."""
    database = Database(create_database("lifo"), application_name="test")

    async def read(together: asyncio.Barrier) -> int:
        async with database.read() as session, together:
            return (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()

    try:
        three, alone = asyncio.Barrier(3), asyncio.Barrier(1)
        assert len(set(await asyncio.gather(*(read(three) for _ in range(3))))) == 3
        assert len({await read(alone) for _ in range(6)}) == 1
    finally:
        await database.close()
