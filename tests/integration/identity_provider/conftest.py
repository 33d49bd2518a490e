"""Identity with a real provider, and a person's browser there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from tests.fixtures.identity import Identity, running_identity
from tests.fixtures.provider import AtProvider, RunningProvider, running_provider
from tests.fixtures.signing import REDIRECT_URI


@pytest.fixture(scope="session")
def running() -> Iterator[RunningProvider]:
    with running_provider(REDIRECT_URI) as found:
        yield found


@pytest.fixture
def provider(running: RunningProvider) -> RunningProvider:
    """Each test has its own accounts there, and the truth."""
    running.accounts.clear()
    running.control(accounts={}, lie=None, fail=None, user=None)
    return running


@pytest.fixture
async def identity(
    create_database, template_database, provider: RunningProvider
) -> AsyncIterator[Identity]:
    # The provider's clock is the machine's, so identity's starts there.
    async with running_identity(
        create_database, template_database, start=datetime.now(UTC), **provider.settings
    ) as found:
        yield found


@pytest.fixture
async def there() -> AsyncIterator[AtProvider]:
    """The person's browser at the provider."""
    at = AtProvider()
    yield at
    await at.close()


@pytest.fixture
async def another() -> AsyncIterator[AtProvider]:
    """A second browser there."""
    at = AtProvider()
    yield at
    await at.close()
