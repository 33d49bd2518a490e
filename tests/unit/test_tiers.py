"""The rules of the tiers hold for themselves."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.fixtures.left_open import left_open
from tests.fixtures.tiers import UnitTestOpenedSocketError, tier_of


@pytest.mark.parametrize(
    ("nodeid", "tier"),
    [
        ("tests/unit/test_money.py::test_x", "unit"),
        ("tests/integration/billing/test_ledger.py::test_x[unit]", "integration"),
        ("tests/faults/test_relay.py::TestRelay::test_x", "faults"),
        ("tests/test_loose.py::test_x", None),
        ("benchmarks/unit/test_x.py::test_x", None),
    ],
)
def test_the_tier_is_the_directory_below_tests(nodeid, tier):
    assert tier_of(nodeid) == tier


def test_a_test_gets_the_marker_of_its_directory(request):
    assert request.node.get_closest_marker("unit") is not None


def test_a_unit_test_may_not_open_a_connection():
    with (
        socket.socket() as attempt,
        pytest.raises(UnitTestOpenedSocketError, match="tests/integration"),
    ):
        attempt.connect(("127.0.0.1", 9))


async def test_a_unit_test_may_not_open_a_connection_through_the_event_loop_either():
    with pytest.raises(UnitTestOpenedSocketError, match="unit tests reach no network"):
        await asyncio.open_connection("127.0.0.1", 9)


def test_what_is_open_when_its_loop_has_ended_is_told_once():
    ours, theirs = socket.socketpair()
    with theirs:
        loop = asyncio.new_event_loop()
        opened = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=ours))
        assert opened, "and held: it is not the collector's yet"
        assert not left_open()
        loop.close()
        [told] = left_open()
        assert "asyncio.protocols.Protocol" in told
        assert not left_open()
