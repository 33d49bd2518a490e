"""Who reads by whose plan, in an account of our own: places in a group, and invitations to one.

A member reads while the owner does, from the day of joining on. A group has as many places as the period says that began last; when a
period for fewer readers begins, or a change to more is taken back, those who came last go. Nothing in here reads the product's code or
database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.integration.billing.own_plans import ALONE, DAY

if TYPE_CHECKING:
    from tests.integration.billing.own_periods import Bought

INVITED_FOR = 14 * DAY


@dataclass
class Place:
    """A member's; ``seat``: the product's name of it."""

    email: str
    seat: Any


@dataclass
class Invitation:
    """``name``: the product's of it; ``answers``: whether who has it means to follow it."""

    email: str
    name: Any
    sent: datetime
    answers: bool = True
    times: int = 1
    accepted: bool = False
    withdrawn: bool = False

    @property
    def open(self) -> bool:
        return not (self.accepted or self.withdrawn)

    def expired(self, now: datetime) -> bool:
        return now >= self.sent + INVITED_FOR


def seats_at(bought: list[Bought], now: datetime) -> int:
    """For how many readers: as the period says that began last, or the first one that will. A change that was taken back is as if it
    had never been."""
    found = [one for one in bought if one.until > one.start and not one.undone]
    begun = [one for one in found if one.start <= now]
    if begun:
        return max(begun, key=lambda one: (one.start, one.end)).chosen.seats
    return min(found, key=lambda one: one.start).chosen.seats if found else 1


@dataclass
class Group:
    """The places that one subscription pays for beside its owner's. ``bought``: its periods."""

    owner: str
    bought: Callable[[], list[Bought]]
    places: list[Place] = field(default_factory=list)
    invitations: list[Invitation] = field(default_factory=list)
    #: Whether the owner showed that a mail domain is theirs, and whose last place the owner ended.
    domain: bool = False
    put_out: set[str] = field(default_factory=set)

    def seats(self, now: datetime) -> int:
        return seats_at(self.bought(), now)

    def plan(self, now: datetime) -> str:
        """As runs; what is paid for to follow changes nothing yet."""
        kept = sorted((one for one in self.bought() if one.kept), key=lambda one: one.start)
        begun = [one for one in kept if one.start <= now]
        return [*begun[-1:], *kept[:1]][0].chosen.plan if kept else ALONE

    def has(self, email: str) -> bool:
        return any(one.email == email for one in self.places)

    def trim(self, now: datetime) -> list[Place]:
        """Who came last goes where there are fewer places than readers."""
        gone = self.places[max(self.seats(now) - 1, 0) :]
        del self.places[len(self.places) - len(gone) :]
        self.put_out -= {one.email for one in gone}
        return gone
