"""A fresh database of ads for each test, and the application on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.audit import Actor, acting
from shared.database import Database
from tests.fixtures.ads import Ads, migrate_template, running_ads, stock


@pytest.fixture
def ads_url(create_database, template_database) -> str:
    return create_database("ads", template_database("ads", migrate_template))


@pytest.fixture
async def database(ads_url) -> AsyncIterator[Database]:
    found = Database(ads_url, application_name="test", pool_size=20)  # tests book in parallel
    await stock(found)
    yield found
    await found.close()


@pytest.fixture
async def ads(ads_url, database) -> AsyncIterator[Ads]:
    async with running_ads(ads_url) as running:
        yield running


@pytest.fixture(autouse=True)
async def tester() -> AsyncIterator[None]:
    """Tests that call use cases themselves have a name in the audit trail."""
    with acting(Actor.command("test")):
        yield
