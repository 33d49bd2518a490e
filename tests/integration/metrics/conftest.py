"""A migrated database, a clock that stands still, and the layer's parts on top."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.agencies import save_agencies
from shared.audit import Actor, acting
from shared.clock import MovableClock
from shared.database import Database
from shared.database.migrations import migrate
from shared.metrics.seed import seed

DEMO = Path(__file__).resolve().parents[3] / "infra" / "demo"
NOW = datetime(2026, 7, 10, 3, 0, tzinfo=UTC)
AGENCIES = [
    {"id": agency, "name": agency.title(), "time_zone": "Asia/Ho_Chi_Minh"}
    for agency in ("alpha", "beta", "gamma")
]


def migrate_metrics(url: str) -> None:
    asyncio.run(migrate(url, "shared.metrics"))


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def database_url(create_database, template_database):
    return create_database("metrics", template_database("metrics", migrate_metrics))


@pytest.fixture
async def database(database_url):
    """Migrated, with three plain agencies."""
    found = Database(database_url, application_name="test", pool_size=4)
    async with found.transaction() as session:
        await save_agencies(session, AGENCIES)
    yield found
    await found.close()


@pytest.fixture
async def demo(database):
    """Migrated and seeded with the example data as of NOW."""
    await seed(database, DEMO, NOW)
    return database


@pytest.fixture(autouse=True)
async def tester():
    """Tests that call use cases themselves have a name in the audit trail."""
    with acting(Actor.command("test")):
        yield
