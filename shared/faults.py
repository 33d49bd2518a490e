"""Fault points: named places where tests stop or kill a process, so that "at every step" can be proved.

Inert (a comparison or two) unless ``FAULT_POINT`` names a point. ``FAULT_ACTION``:

* ``kill``  – SIGKILL of this process, once;
* ``pause`` – creates ``$FAULT_LATCH.reached`` and waits until ``$FAULT_LATCH.release`` exists, once.

``FAULT_LATCH`` is a path prefix; ``<latch>.fired`` marks that the fault has happened, so that a restarted
process with the same environment runs on.

A running process is armed through ``FAULT_FOLDER``: ``<folder>/<point>.armed`` holds the action, and the latch is
``<folder>/<point>``.
"""

from __future__ import annotations

import asyncio
import os
import signal
from functools import cache
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


@cache
def _arming() -> tuple[str, str, str, str]:
    """Read at the first point, not at import: a forked process has an environment of its own."""
    look_up = os.environ.get
    return (
        look_up("FAULT_POINT", ""),
        look_up("FAULT_ACTION", "kill"),
        look_up("FAULT_LATCH", ""),
        look_up("FAULT_FOLDER", ""),
    )


async def fault_point(name: str) -> None:
    """A step boundary. Does nothing outside of fault tests."""
    point, action, latch, folder = _arming()
    if point and name == point:
        await _fire(action, latch)
    elif folder and (armed := _armed(folder, name)):
        await _fire(armed, f"{folder}/{name}")


def _armed(folder: str, name: str) -> str:
    """What ``$FAULT_FOLDER/<name>.armed`` says: ``kill``, ``pause``, or nothing."""
    try:
        return Path(f"{folder}/{name}.armed").read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


async def _fire(action: str, latch: str) -> None:
    try:
        fd = os.open(f"{latch}.fired", os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    os.close(fd)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    Path(f"{latch}.reached").touch()  # noqa: ASYNC240 - fault tests only
    release = Path(f"{latch}.release")
    while not release.exists():  # noqa: ASYNC110, ASYNC240 - the test owns the other side
        await asyncio.sleep(0.01)
