"""A migrated, empty billing database for each test."""

from __future__ import annotations

import asyncio

import pytest

from shared.database.migrations import migrate


@pytest.fixture
def billing_url(create_database, template_database) -> str:
    name = template_database(
        "billing", lambda url: asyncio.run(migrate(url, "services.billing"))
    )
    return create_database("billing", name)
