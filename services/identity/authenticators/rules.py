"""How often one may try. Times are instants in UTC; nothing here knows the database.

Two measures. A *lock* bounds the guesses for one address from one origin (a network, or a device that was signed in
before): others who come for the same address are not held up by it. A *pace* bounds what one network tries over all
addresses, and what all networks together try for one address: beyond its number of failures in a sliding window it
slows further tries down and never shuts the door; known devices do not even notice.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FAILURES_ALLOWED = 5
FIRST_LOCK = timedelta(minutes=15)
LONGEST_LOCK = timedelta(hours=4)
FORGET_AFTER = timedelta(hours=24)
PACE_WINDOW = timedelta(minutes=15)
ACCOUNT_FAILURES_ALLOWED = 50
NETWORK_PAUSE = timedelta(seconds=5)
ACCOUNT_PAUSE = timedelta(seconds=30)
DEVICE_FORGOTTEN_AFTER = timedelta(days=400)
DEVICES_PER_ACCOUNT = 20


@dataclass(frozen=True, slots=True)
class Attempts:
    """What is remembered of the tries for one e-mail address from one origin."""

    failures: int = 0
    last_failed_at: datetime | None = None
    locked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Allowed:
    """One may try; ``after`` is what to remember unless the try succeeds."""

    after: Attempts


@dataclass(frozen=True, slots=True)
class Locked:
    """One may not try before ``until``."""

    until: datetime


def lock_duration(failures: int) -> timedelta | None:
    """None below five failures; then 15 minutes, doubled by each further failure up to four hours."""
    if failures < FAILURES_ALLOWED:
        return None
    doublings = min(failures - FAILURES_ALLOWED, 10)
    return min(FIRST_LOCK * (1 << doublings), LONGEST_LOCK)


def begin_attempt(before: Attempts, now: datetime) -> Allowed | Locked:
    """Count the try as failed before it is made, so that parallel guesses cannot outrun the count."""
    if before.locked_until is not None and now < before.locked_until:
        return Locked(before.locked_until)
    forgotten = before.last_failed_at is None or now - before.last_failed_at >= FORGET_AFTER
    failures = 1 if forgotten else before.failures + 1
    lock = lock_duration(failures)
    return Allowed(Attempts(failures, now, now + lock if lock is not None else None))


def begin_paced_attempt(
    failed_at: Sequence[datetime], allowed: int, pause: timedelta, now: datetime
) -> list[datetime] | Locked:
    """The latest failures with this try among them, or when the next try may be made.

    At most ``allowed`` instants are kept, so a window costs a bounded row.
    """
    recent = [at for at in failed_at if now - at < PACE_WINDOW]
    if len(recent) >= allowed and now - recent[-1] < pause:
        return Locked(recent[-1] + pause)
    return [*recent, now][-allowed:]


def network_of(address: str) -> str:
    """What counts as one network: an IPv4 address, or an IPv6 /64 (a subscriber has a whole one)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)
