"""How much fits: a max-flow from lines through the placements they may use, day by day.

A set of lines fits a day if, and only if, the flow equals the demand (Hall's theorem for transport networks). Lines
that may use the same placements are one node, so the network stays as small as the number of different products.
The present lines are routed first; what the new line can add by augmenting paths is exactly what is free, because
augmenting never takes back what a line already has, it only moves it to another placement.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

MAX_DAYS = 366


class Flow:
    """Dinic's max-flow on a small network; edges are kept as pairs, the odd one being the reverse."""

    def __init__(self, nodes: int) -> None:
        self._edges: list[list[int]] = [[] for _ in range(nodes)]
        self._to: list[int] = []
        self._left: list[int] = []

    def edge(self, source: int, target: int, capacity: int) -> int:
        """Adds an edge and gives its number."""
        number = len(self._to)
        self._to += (target, source)
        self._left += (capacity, 0)
        self._edges[source].append(number)
        self._edges[target].append(number + 1)
        return number

    def used(self, edge: int) -> int:
        return self._left[edge ^ 1]

    def augment(self, source: int, sink: int) -> int:
        """Push as much more as fits. May be called again after adding edges."""
        total = 0
        while levels := self._levels(source, sink):
            cursor = [0] * len(self._edges)
            while pushed := self._push(source, sink, levels, cursor):
                total += pushed
        return total

    def reachable(self, source: int) -> set[int]:
        """Nodes with a residual path from ``source``: its side of a minimal cut once nothing more fits."""
        seen, queue = {source}, deque([source])
        while queue:
            for edge in self._edges[queue.popleft()]:
                if self._left[edge] and self._to[edge] not in seen:
                    seen.add(self._to[edge])
                    queue.append(self._to[edge])
        return seen

    def _levels(self, source: int, sink: int) -> list[int]:
        levels = [-1] * len(self._edges)
        levels[source] = 0
        queue = deque([source])
        while queue:
            node = queue.popleft()
            for edge in self._edges[node]:
                target = self._to[edge]
                if self._left[edge] and levels[target] < 0:
                    levels[target] = levels[node] + 1
                    queue.append(target)
        return levels if levels[sink] >= 0 else []

    def _push(self, source: int, sink: int, levels: list[int], cursor: list[int]) -> int:
        """One augmenting path along rising levels (iterative: no depth limit)."""
        path: list[int] = []
        node = source
        while node != sink:
            edges = self._edges[node]
            while cursor[node] < len(edges):
                edge = edges[cursor[node]]
                if self._left[edge] and levels[self._to[edge]] == levels[node] + 1:
                    break
                cursor[node] += 1
            else:
                if not path:
                    return 0
                last = path.pop()
                node = self._to[last ^ 1]
                cursor[node] += 1
                continue
            path.append(edge)
            node = self._to[edge]
        amount = min(self._left[edge] for edge in path)
        for edge in path:
            self._left[edge] -= amount
            self._left[edge ^ 1] += amount
        return amount


Places = frozenset[Hashable]


@dataclass(frozen=True, slots=True)
class Claim:
    """A line that takes capacity. ``delivered`` counts up to the end of yesterday."""

    key: str
    places: Places
    starts_on: date
    ends_on: date
    quantity: int
    delivered: int = 0


@dataclass(frozen=True, slots=True)
class DayFit:
    """One day of a product: what its placements hold, what is free, and who stands in the way."""

    capacity: int
    available: int
    contending: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RangeFit:
    """A whole flight. ``available`` is the largest quantity that fits when spread evenly."""

    days: tuple[DayFit, ...]
    available: int
    fits: bool
    contending: frozenset[str]
    short_days: tuple[int, ...]


def share_of_day(quantity: int, days: int, index: int) -> int:
    """An even line's units on its ``index``-th day: the first days take the remainder, all sum exactly."""
    return quantity // days + (1 if index < quantity % days else 0)


def claim_on(claim: Claim, day: date, today: date) -> int:
    """Units a line still wants on ``day``: what is not delivered, spread over the days that are left."""
    first = max(claim.starts_on, today)
    if not first <= day <= claim.ends_on:
        return 0
    left = max(0, claim.quantity - claim.delivered)
    return share_of_day(left, (claim.ends_on - first).days + 1, (day - first).days)


def most_that_fits(available: Sequence[int]) -> int:
    """The largest quantity whose every daily share is at most what is free that day."""
    if not available:
        return 0
    least, count = min(available), 0
    for units in available:
        if units <= least:
            break
        count += 1
    return least * len(available) + count


def _network(
    capacity: Mapping[Hashable, int], demand: Mapping[Places, int]
) -> tuple[Flow, list[Places], dict[Hashable, int]]:
    """The network of one day, nothing routed yet: 0 source, 1 sink, 2 kept for a new line, groups, places."""
    groups = [group for group, units in demand.items() if units > 0]
    flow = Flow(3 + len(groups) + len(capacity))
    place_node = {place: 3 + len(groups) + i for i, place in enumerate(capacity)}
    for place, node in place_node.items():
        flow.edge(node, 1, capacity[place])
    endless = sum(capacity.values()) + sum(demand.values()) + 1
    for index, group in enumerate(groups):
        flow.edge(0, 3 + index, demand[group])
        for place in group:
            if place in place_node:
                flow.edge(3 + index, place_node[place], endless)
    return flow, groups, place_node


def short_day(
    capacity: Mapping[Hashable, int], demand: Mapping[Places, int]
) -> tuple[int, set[Places]]:
    """Units of ``demand`` that have no room, and the sets that contend for what there is."""
    flow, groups, _ = _network(capacity, demand)
    routed = flow.augment(0, 1)
    cut = flow.reachable(0)
    short = sum(units for units in demand.values() if units > 0) - routed
    return short, {group for index, group in enumerate(groups) if 3 + index in cut}


def fit_day(
    capacity: Mapping[Hashable, int],
    demand: Mapping[Places, int],
    wanted: Places,
) -> tuple[int, set[Places]]:
    """Units free for ``wanted`` beside ``demand`` (units by set of places), and the sets that contend."""
    flow, groups, place_node = _network(capacity, demand)
    source, sink, new = 0, 1, 2
    flow.augment(source, sink)
    endless = sum(capacity.values()) + sum(demand.values()) + 1
    flow.edge(source, new, endless)
    for place in wanted:
        if place in place_node:
            flow.edge(new, place_node[place], endless)
    free = flow.augment(source, sink)
    cut = flow.reachable(new)
    return free, {group for index, group in enumerate(groups) if 3 + index in cut}


@dataclass(slots=True)
class Book:
    """The capacity of one agency and everyone who has a claim on it. Days that look alike are worked out once."""

    capacity: Mapping[Hashable, int]
    claims: Sequence[Claim]
    today: date
    _known: dict[tuple[Places, frozenset[tuple[Places, int]]], tuple[int, set[Places]]] = field(
        default_factory=dict
    )

    _short: dict[frozenset[tuple[Places, int]], tuple[int, set[Places]]] = field(
        default_factory=dict
    )

    def day(self, wanted: Places, day: date) -> DayFit:
        """Raises nothing: a day in the past is simply a day without claims."""
        demand, who = self._demand(day)
        key = (wanted, frozenset(demand.items()))
        if key not in self._known:
            self._known[key] = fit_day(self.capacity, demand, wanted)
        free, groups = self._known[key]
        return DayFit(
            capacity=sum(self.capacity.get(place, 0) for place in wanted),
            available=free,
            contending=frozenset(name for group in groups for name in who[group]),
        )

    def short(self, day: date) -> tuple[int, frozenset[str]]:
        """Units sold for ``day`` that have no room, and the claims that contend."""
        demand, who = self._demand(day)
        key = frozenset(demand.items())
        if key not in self._short:
            self._short[key] = short_day(self.capacity, demand)
        units, groups = self._short[key]
        return units, frozenset(name for group in groups for name in who[group])

    def _demand(self, day: date) -> tuple[dict[Places, int], dict[Places, list[str]]]:
        demand: dict[Places, int] = {}
        who: dict[Places, list[str]] = {}
        for claim in self.claims:
            units = claim_on(claim, day, self.today)
            if units:
                demand[claim.places] = demand.get(claim.places, 0) + units
                who.setdefault(claim.places, []).append(claim.key)
        return demand, who

    def flight(self, wanted: Places, starts_on: date, ends_on: date, quantity: int) -> RangeFit:
        """Whether ``quantity`` spread evenly over the flight fits, how much would, and who contends."""
        count = (ends_on - starts_on).days + 1
        if not 1 <= count <= MAX_DAYS:
            raise ValueError(f"a flight has 1 to {MAX_DAYS} days")
        days = tuple(self.day(wanted, starts_on + timedelta(days=i)) for i in range(count))
        short = tuple(
            i for i, day in enumerate(days) if share_of_day(quantity, count, i) > day.available
        )
        return RangeFit(
            days=days,
            available=most_that_fits([day.available for day in days]),
            fits=not short,
            contending=frozenset().union(*(days[i].contending for i in short)),
            short_days=short,
        )


@dataclass(frozen=True, slots=True)
class Shortage:
    """A day on which less of what is sold has room than before."""

    day: date
    units: int
    contending: frozenset[str]


def new_shortages(before: Book, after: Book) -> list[Shortage]:
    """Days that a change of the catalogue makes short, or shorter.

    Compared with before, not with nothing: a line that fell behind may want more than there is, and that must not
    forbid a change that helps it or has nothing to do with it.
    """
    last = max((claim.ends_on for claim in after.claims), default=after.today)
    found = []
    for ahead in range((last - after.today).days + 1):
        day = after.today + timedelta(days=ahead)
        units, contending = after.short(day)
        if units and units > before.short(day)[0]:
            found.append(Shortage(day, units, contending))
    return found
