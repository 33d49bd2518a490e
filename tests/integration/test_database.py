"""Connections of one process to its database."""

from __future__ import annotations

import asyncio

from shared.database import Database


async def test_those_who_ask_for_the_pool_at_once_share_one(create_database):
    database = Database(create_database("pool"), application_name="test")
    try:
        first, second = await asyncio.gather(database.pool(), database.pool())
        assert first is second
    finally:
        await database.close()
