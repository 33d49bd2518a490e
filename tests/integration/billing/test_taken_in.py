"""Notices of payments taken in by several at once: each is kept once, whatever order they come in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from services.billing.webhooks import repository
from services.billing.webhooks.repository import Incoming
from shared.database import Database

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


async def test_notices_and_the_sweeps_list_of_them_in_the_other_order_are_kept_once(empty_url):
    database = Database(empty_url, application_name="test")
    notices = [
        Incoming("stripe", f"evt_{number:05}", "invoice.paid", NOW, b"{}", None)
        for number in range(3_000)
    ]

    async def taken_in(via: str, events: list[Incoming]) -> set[tuple[str, str]]:
        async with (await database.pool()).acquire() as connection:
            return await repository.store(connection, via, NOW, events)

    try:
        await (await database.pool()).execute("SELECT 1")
        told, swept = await asyncio.gather(
            taken_in("webhook", notices), taken_in("sweep", notices[::-1])
        )
    finally:
        await database.close()
    assert told | swept == {event.key for event in notices} and not told & swept
