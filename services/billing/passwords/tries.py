"""Wrong passwords, counted in the database for all processes: before a password is looked at, so that many at once are no more
than one after the other; who is right is given theirs back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.billing.mailboxes import repository as limits
from services.billing.mailboxes.rules import Pace, whole_seconds
from services.billing.passwords import rules
from shared.database import Session
from shared.errors import TooManyRequestsError

Taken = Sequence[tuple[Pace, str]]


class PasswordBusyError(TooManyRequestsError):
    """So many passwords were tried for this address that the next try has to wait ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"Too many passwords for this address: wait {seconds} seconds",
            slug="password-busy",
            headers={"Retry-After": str(seconds)},
        )
        self.seconds = seconds


async def take(
    session: Session, agency: str, address: str, asker: str, now: datetime, *, known: bool
) -> Taken:
    """One try for an address by a network, a browser or a reader. ``known``: the asker was signed in by it before, and what strangers
    try does not count against them. Raises :class:`PasswordBusyError`; the transaction then counts nothing."""
    account = f"{agency}:{address}"
    buckets = [(pace, f"{account}:{asker}") for pace in rules.TRIES]
    if not known:
        buckets += [(pace, account) for pace in rules.TRIES_ALL]
    waits = [await limits.take(session, pace, key, now) for pace, key in buckets]
    longest = max((wait for wait in waits if wait is not None), default=None)
    if longest is not None:
        raise PasswordBusyError(whole_seconds(longest))
    return buckets


async def give_back(session: Session, taken: Taken) -> None:
    """It was right: it counts for nothing."""
    for pace, key in taken:
        await limits.give_back(session, pace, key)
