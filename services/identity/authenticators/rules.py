"""How often one may try. Times are instants in UTC; nothing here knows the database."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

FAILURES_ALLOWED = 5
FIRST_LOCK = timedelta(minutes=15)
LONGEST_LOCK = timedelta(hours=4)
FORGET_AFTER = timedelta(hours=24)
NETWORK_WINDOW = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Attempts:
    """What is remembered of the tries for one e-mail address."""

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


def begin_network_attempt(
    window_started_at: datetime | None, failures: int, allowed: int, now: datetime
) -> tuple[datetime, int] | Locked:
    """The network's window and count after this try, or when its next window begins."""
    if window_started_at is None or now - window_started_at >= NETWORK_WINDOW:
        return now, 1
    if failures >= allowed:
        return Locked(window_started_at + NETWORK_WINDOW)
    return window_started_at, failures + 1


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
