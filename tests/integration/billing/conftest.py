"""A migrated billing database for each test, and a whole billing around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.billing import seed
from shared.database import Database
from shared.database.migrations import migrate
from tests.integration.billing.own_books import Books, make_books
from tests.integration.billing.paying import SECRETS
from tests.integration.billing.world import World, make_world


@pytest.fixture
def empty_url(create_database, template_database) -> str:
    """Of a database that is migrated, and has no agency."""
    name = template_database("billing", lambda url: asyncio.run(migrate(url, "services.billing")))
    return create_database("billing", name)


@pytest.fixture
def billing_url(create_database, template_database, tmp_path_factory) -> str:
    """Of a database with the example agencies, their plans and accounts, as of the moment at which worlds begin."""

    async def prepare(url: str) -> None:
        await migrate(url, "services.billing")
        async with make_world(url, tmp_path_factory.mktemp("seeded"), on_create=seed.load):
            pass

    name = template_database("billing_seeded", lambda url: asyncio.run(prepare(url)))
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
async def books(empty_url: str) -> AsyncIterator[Books]:
    """The books of two agencies, and nothing else of billing."""
    database = Database(empty_url, application_name="test", pool_size=6)
    yield await make_books(database, empty_url)
    await database.close()
