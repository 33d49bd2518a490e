"""Fault points: named places where tests stop or kill a process, so that "at every step" can be proved.

Inert (one dictionary look-up on an empty set) unless ``FAULT_POINT`` names a point. ``FAULT_ACTION``:

* ``kill``  – SIGKILL of this process, once;
* ``pause`` – creates ``$FAULT_LATCH.reached`` and waits until ``$FAULT_LATCH.release`` exists, once.

``FAULT_LATCH`` is a path prefix; ``<latch>.fired`` marks that the fault has happened, so that a restarted
process with the same environment runs on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

#: Every point, in the order of the payment flow. Tests walk this list.
PAYMENT_FLOW = (
    "webhook.before_store",
    "webhook.after_store",
    "inbox.claimed",
    "payment.before_commit",
    "payment.after_commit",
    "relay.after_fetch",
    "relay.after_publish",
    "relay.after_mark",
    "consumer.after_fetch",
    "consumer.before_commit",
    "consumer.after_commit",
    "consumer.after_ack",
)

_POINT = os.environ.get("FAULT_POINT", "")
_ACTION = os.environ.get("FAULT_ACTION", "kill")
_LATCH = os.environ.get("FAULT_LATCH", "")


async def fault_point(name: str) -> None:
    """A step boundary. Does nothing outside of fault tests."""
    if _POINT and name == _POINT:
        await _fire()


async def _fire() -> None:
    fired = Path(f"{_LATCH}.fired")
    try:
        fd = os.open(fired, os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    os.close(fd)
    if _ACTION == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    Path(f"{_LATCH}.reached").touch()  # noqa: ASYNC240 - fault tests only
    release = Path(f"{_LATCH}.release")
    while not release.exists():  # noqa: ASYNC110, ASYNC240 - the test owns the other side
        await asyncio.sleep(0.01)
