"""The migrations and the models tell the same story."""

from __future__ import annotations

from services.billing.models import METADATA
from shared.database.migrations import schema_differences


async def test_the_migrations_make_exactly_what_the_models_describe(empty_url):
    assert await schema_differences(empty_url, METADATA) == []
