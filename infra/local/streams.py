"""Streams and consumers that NATS has lost are made again: by the local run's supervisor, which has the set-up's credential."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.local import processes as data
from infra.local.child import ChildError
from infra.local.ports import LOOPBACK
from infra.nats.topology import Topology, load

if TYPE_CHECKING:
    from infra.local.stack import LocalStack

APPLY = ("infra.nats", "apply")
CHECK_SECONDS = 3.0


def missing(monitoring_port: int, topology: Topology) -> list[str]:
    """Names (``STREAM`` or ``STREAM/consumer``) that the server does not have; none while it does not answer."""
    address = f"http://{LOOPBACK}:{monitoring_port}/jsz?streams=true&consumers=true"
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            told = json.load(answer)
    except (OSError, ValueError):
        return []
    there: set[str] = set()
    for account in told.get("account_details") or ():
        for stream in account.get("stream_detail") or ():
            there.add(stream["name"])
            consumers = stream.get("consumer_detail") or ()
            there.update(f"{stream['name']}/{one['name']}" for one in consumers)
    wanted = [str(stream["name"]) for stream in topology.streams]
    wanted += [f"{one['stream']}/{one['name']}" for one in topology.consumers]
    return [name for name in wanted if name not in there]


def ensure_streams(stack: LocalStack) -> list[str]:
    """Make what is missing. Returns its names. Raises StackError when that fails."""
    steps = [step for step in stack.steps if step.command[-2:] == APPLY]
    if not steps:
        return []
    gone = missing(stack.base_port + data.NATS_MONITORING_OFFSET, load())
    if gone:
        stack.run_steps(steps)
    return gone


class StreamKeeper:
    """Call ``check`` every half second or so, beside the supervisor's."""

    def __init__(self, stack: LocalStack, say: Callable[[str], None]) -> None:
        self._stack = stack
        self._say = say
        self._checked_at = float("-inf")

    def check(self) -> None:
        """Look every few seconds."""
        if time.monotonic() - self._checked_at < CHECK_SECONDS:
            return
        try:
            gone = ensure_streams(self._stack)
        except (ChildError, RuntimeError) as error:
            self._say(f"streams cannot be made: {str(error).splitlines()[0]}")
        else:
            if gone:
                self._say(f"NATS had lost {', '.join(gone)}: made again")
        self._checked_at = time.monotonic()
