"""Fixtures and rules for every tier; the parts are in tests/fixtures/."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from tests.fixtures.browser import browser, desktop, phone
from tests.fixtures.distribution import make_scheduler, turn
from tests.fixtures.forked import stop_parent
from tests.fixtures.left_open import left_open, watch_transports
from tests.fixtures.logs import forget_configuration, keep_loggers_changeable
from tests.fixtures.once_a_process import (
    compile_templates_once,
    forget_applications,
    work_out_routes_late,
)
from tests.fixtures.servers import (
    create_database,
    nats_server,
    nats_url,
    postgres_server,
    template_database,
)
from tests.fixtures.session import close_session, is_worker, open_session
from tests.fixtures.stack import local_stack
from tests.fixtures.tiers import TIERS, TierTable, no_sockets, tier_of

__all__ = [
    "browser",
    "create_database",
    "desktop",
    "local_stack",
    "nats_server",
    "nats_url",
    "phone",
    "postgres_server",
    "template_database",
]


# How long an example takes is the machine's business.
hypothesis.settings.register_profile("press", deadline=None)
# `make mutants` runs a property thousands of times: fewer examples, the same ones each time.
hypothesis.settings.register_profile(
    "mutants", deadline=None, max_examples=30, derandomize=True, database=None
)
hypothesis.settings.load_profile("press")


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in TIERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    if not is_worker(config):
        config.pluginmanager.register(TierTable(), "tier-table")
    open_session(config)
    watch_transports()
    keep_loggers_changeable()
    work_out_routes_late()
    compile_templates_once()


def pytest_unconfigure(config: pytest.Config) -> None:
    stop_parent()
    close_session(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn(item.nodeid))
    for item in items:
        tier = tier_of(item.nodeid)
        if tier is not None:
            item.add_marker(tier)


def pytest_collection_finish() -> None:
    """What is imported by now stays: it is not looked through for garbage again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return make_scheduler(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Unit tests, with their fixtures, run without the network."""
    if tier_of(item.nodeid) != "unit":
        return (yield)
    with no_sockets(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """By now the test's event loop has ended, with its fixtures."""
    yield
    forget_applications()
    forget_configuration()
    left = left_open()
    assert not left, "left open at the end of the event loop:\n" + "\n".join(left)
