"""A migrated billing database for each test, and a whole billing around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.database import Database
from shared.database.migrations import migrate
from tests.integration.billing.own_books import Books, make_books
from tests.integration.billing.paying import SECRETS
from tests.integration.billing.world import World, make_world


@pytest.fixture
def billing_url(create_database, template_database) -> str:
    name = template_database("billing", lambda url: asyncio.run(migrate(url, "services.billing")))
    return create_database("billing", name)


@pytest.fixture
async def world(billing_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with make_world(billing_url, tmp_path) as made:
        yield made


@pytest.fixture
async def paid_by_transfer(billing_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Billing whose agencies' banks tell of credits, each with its own secret."""
    async with make_world(billing_url, tmp_path, bank_webhook_secrets=SECRETS) as made:
        yield made


@pytest.fixture
async def books(billing_url: str) -> AsyncIterator[Books]:
    """The books of two agencies, and nothing else of billing."""
    database = Database(billing_url, application_name="test", pool_size=6)
    yield await make_books(database, billing_url)
    await database.close()
