"""The delivery plan of a process: which lines may run where today, in memory, indexed by placement.

A line with units in hand stands in the ready list of each of its placements; one without stands in none. A decision
draws from the ready list, so its cost grows neither with lines that do not match nor with those that do.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

NOBODY: frozenset[UUID] = frozenset()


@dataclass(slots=True)
class LeaseStock:
    """What is left of one lease. ``until`` is this process's monotonic clock."""

    lease_id: int
    units: int
    until: float
    used: bool = False  # a unit of it has been handed out


@dataclass(slots=True)
class Shown:
    """A creative at a placement, ready to be answered: its JSON and the fixed part of its tokens."""

    creative_json: bytes
    about: bytes


@dataclass(slots=True)
class LiveLine:
    """A line this process may serve. Survives reloads of the plan, so that its stock does."""

    id: UUID
    agency: str
    priority: str
    pacing: str
    quantity: int
    starts_on: date
    ends_on: date
    width: int = 0  # how many placements it may use: the narrow ones go first
    shown: dict[UUID, list[Shown]] = field(default_factory=dict)
    stock: deque[LeaseStock] = field(default_factory=deque)
    over: list[LeaseStock] = field(default_factory=list)  # out of time, to be given back
    thirsty: set[UUID] = field(default_factory=set)  # the plan's own: lines that need a lease
    low_mark: int = 0
    refusals: int = 0
    ask_again_at: float = 0.0
    turn: int = 0

    @property
    def units(self) -> int:
        return sum(lease.units for lease in self.stock)

    def ends_by(self, moment: float) -> bool:
        """Whether its last lease runs out of time by then though it is in use: the next one is due ahead of that."""
        return bool(self.stock) and self.stock[-1].used and self.stock[-1].until <= moment

    def take(self, now: float) -> int | None:
        """One unit: the lease it comes from, or None when nothing is in hand. Asks for more in good time."""
        while self.stock:
            lease = self.stock[0]
            if lease.units > 0 and now < lease.until:
                lease.units -= 1
                lease.used = True
                if lease.units <= self.low_mark:
                    self.thirsty.add(self.id)
                return lease.lease_id
            self.stock.popleft()
            if lease.units > 0:
                self.over.append(lease)
        self.thirsty.add(self.id)
        return None


@dataclass(slots=True)
class Place:
    """A placement and who is ready for it."""

    id: UUID
    code: str
    ready: list[LiveLine] = field(default_factory=list)
    standing: set[UUID] = field(default_factory=set)
    house: list[LiveLine] = field(default_factory=list)

    def stand(self, line: LiveLine) -> None:
        if line.id not in self.standing:
            self.standing.add(line.id)
            self.ready.append(line)

    def draw(self, now: float, avoid: Set[UUID]) -> tuple[LiveLine, int] | None:
        """A ready line and the lease of the unit taken; of two drawn, the one with fewer other places.

        One of ``avoid`` (they are on this page already) only when no other has a unit: showing one twice is better than an
        empty place.
        """
        for _ in range(4):
            count = len(self.ready)
            if not count:
                return None
            index = int(random.random() * count)  # noqa: S311 - which ad is shown is no secret
            line = self.ready[index]
            if count > 1:
                other = int(random.random() * count)  # noqa: S311 - which ad is shown is no secret
                if self.ready[other].width < line.width:
                    index, line = other, self.ready[other]
            if line.id in avoid:
                continue
            lease = line.take(now)
            if lease is not None:
                return line, lease
            self._leave(index)
        return self._any(now, avoid) or self._any(now, NOBODY)

    def _any(self, now: float, avoid: Set[UUID]) -> tuple[LiveLine, int] | None:
        """Whoever still has a unit; those without leave the list, so each is looked at only once."""
        for index in range(len(self.ready) - 1, -1, -1):
            line = self.ready[index]
            if line.id in avoid:
                continue
            lease = line.take(now)
            if lease is not None:
                return line, lease
            self._leave(index)
        return None

    def _leave(self, index: int) -> None:
        line = self.ready[index]
        self.ready[index] = self.ready[-1]
        self.ready.pop()
        self.standing.discard(line.id)


@dataclass(slots=True)
class AgencyPlan:
    """One agency's places by code, its zone, and the origins of its websites."""

    id: str
    zone: ZoneInfo
    origins: frozenset[str]
    places: dict[str, Place] = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """Everything this process may decide."""

    agencies: dict[str, AgencyPlan] = field(default_factory=dict)
    lines: dict[UUID, LiveLine] = field(default_factory=dict)
    click_urls: dict[UUID, str] = field(default_factory=dict)
    origins: frozenset[str] = frozenset()
    thirsty: set[UUID] = field(default_factory=set)

    def places_of(self, line: LiveLine) -> list[Place]:
        agency = self.agencies.get(line.agency)
        if agency is None:
            return []
        return [place for place in agency.places.values() if place.id in line.shown]

    def make_ready(self, line: LiveLine) -> None:
        for place in self.places_of(line):
            place.stand(line)


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A live line with one creative at one placement, as the database gives it."""

    agency: str
    line_id: UUID
    priority: str
    pacing: str
    quantity: int
    starts_on: date
    ends_on: date
    placement_id: UUID
    creative_id: UUID
    kind: str
    headline: str
    body: str
    call_to_action: str
    click_url: str
    theme: str
    image_digest: str | None
    image_width: int | None
    image_height: int | None


def creative_json(row: PlanRow, ads_url: str) -> bytes:
    """The creative as websites get it. The advertiser's address is not in it: clicks go through us."""
    image = (
        {
            "url": f"{ads_url}/v1/creatives/{row.creative_id}/image/{row.image_digest}",
            "width": row.image_width,
            "height": row.image_height,
        }
        if row.image_digest
        else None
    )
    return msgspec.json.encode(
        {
            "id": str(row.creative_id),
            "kind": row.kind if image or row.kind == "native" else "native",
            "headline": row.headline,
            "body": row.body,
            "call_to_action": row.call_to_action,
            "theme": row.theme,
            "image": image,
            "label": "Quảng cáo",
        }
    )
