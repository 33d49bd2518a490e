"""The migrations and the models tell the same story; what is asked of one reader is found by an index."""

from __future__ import annotations

import re

from sqlalchemy import text

from services.billing.desk.repository import _OF_READER
from services.billing.models import METADATA
from shared.database.migrations import schema_differences
from shared.ids import new_id
from tests.integration.billing.world import World

#: Tables that have few rows whoever reads: what is sold, not what was bought.
FEW = {"plan", "plan_price", "price_offer", "student_address"}


async def test_the_migrations_make_exactly_what_the_models_describe(empty_url):
    assert await schema_differences(empty_url, METADATA) == []


async def read_in_full(world: World, sql: str) -> set[str]:
    """Tables that a statement about one reader has no index for."""
    values = {"reader": new_id(), "limit": 50, "now": world.clock.now()}
    asked = {name: values[name] for name in re.findall(r"(?<!:):(reader|limit|now)\b", sql)}
    async with world.billing.database.read() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await session.scalars(text(f"EXPLAIN {sql}"), asked)
        return set(re.findall(r"Seq Scan on (\w+)", "\n".join(plan))) - FEW


async def test_what_a_reader_has_is_found_by_an_index(world: World):
    statements = {
        **_OF_READER,
        "account": "SELECT * FROM payment WHERE reader_id = :reader ORDER BY paid_at DESC LIMIT :limit",
    }
    slow = {name: await read_in_full(world, sql) for name, sql in statements.items()}
    assert {name: tables for name, tables in slow.items() if tables} == {}
