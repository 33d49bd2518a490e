"""Fixtures of the integration tier."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fixtures.flow import Flow, prepare_database, prepare_stream


@pytest.fixture
async def flow(create_database, template_database, nats_url) -> AsyncIterator[Flow]:
    """A fresh database and stream with everything between an outbox and an effect."""
    url = create_database("flow", template_database("flow", prepare_database))
    await prepare_stream(nats_url)
    flow = Flow(url, nats_url)
    flow.open_database()
    yield flow
    await flow.close()
