"""A request to end is heard at whatever instant its signal comes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from infra.local.asked import AskedToEnd


@pytest.fixture
def asked() -> Iterator[AskedToEnd]:
    before = signal.getsignal(signal.SIGUSR1)
    one = AskedToEnd()
    signal.signal(signal.SIGUSR1, lambda *_: one.say())
    yield one
    signal.signal(signal.SIGUSR1, before)
    one.close()


def test_nobody_asked(asked: AskedToEnd) -> None:
    assert not asked.wait(0) and not asked


@pytest.mark.timeout(20)
@pytest.mark.parametrize("at", range(12))
def test_a_signal_at_any_line_of_the_wait_is_heard(asked: AskedToEnd, at: int) -> None:
    """``threading.Event`` in its place hangs at some of the lines of its own ``wait``, where it holds its lock."""
    lines = 0

    def interrupt(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == at + 1:
                signal.raise_signal(signal.SIGUSR1)
        return interrupt

    tracer = sys.gettrace()
    sys.settrace(interrupt)
    try:
        heard = asked.wait(0.05)
    finally:
        sys.settrace(tracer)
        if not asked:  # fewer lines than that: after the wait
            asked.say()
    assert heard or lines <= at
    assert asked.wait(0)


def test_asking_often_fills_nothing(asked: AskedToEnd) -> None:
    for _ in range(100_000):
        asked.say()
    assert asked.wait(0)
