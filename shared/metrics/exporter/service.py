"""Use case of the exporter: all figures of one snapshot as text, computed again only where something changed.

Each agency has a revision that grows in the transaction of every change of its figures (a trigger). It is read in the same
snapshot, so what was rendered for (day, revisions) is exactly what would be rendered now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import asyncpg

from shared.clock import Clock, local_date
from shared.database import Database
from shared.metrics.exporter import repository
from shared.metrics.exporter.rules import AgencyFigures, Rendered, Series, render, render_agency
from shared.metrics.growth.rules import choose_target, fiscal_year, trailing_window
from shared.metrics.lineage.rules import Edge, Owners, owners

BaselineMonths = dict[Series, dict[int, int]]


@dataclass(frozen=True, slots=True)
class Owner:
    """A live agency, its day, and what it owns as of that day with the revisions of its members."""

    agency: str
    zone: ZoneInfo
    day: date
    members: tuple[tuple[str, str], ...]
    revisions: tuple[tuple[str, int], ...]

    @property
    def key(self) -> tuple[date, tuple[tuple[str, str], ...], tuple[tuple[str, int], ...]]:
        return (self.day, self.members, self.revisions)


class Exporter:
    """Renders ``/metrics``. One scrape at a time."""

    def __init__(self, database: Database, clock: Clock, default_target: Decimal) -> None:
        self._database = database
        self._clock = clock
        self._default_target = default_target
        self._lock = asyncio.Lock()
        self._rendered: dict[str, tuple[object, Rendered]] = {}
        self._baselines: dict[tuple[str, int], BaselineMonths] = {}  # frozen: right for ever
        self._ownership: tuple[object, dict[str, tuple[tuple[str, str], ...]]] = (None, {})

    async def scrape(self) -> str:
        """The money series. Raises whatever keeps the figures from being read: then there are none."""
        async with self._lock:
            pool = await self._database.pool()
            async with (
                pool.acquire(timeout=5) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                now = self._clock.now()
                live = await self._owners(connection, now)
                changed = [
                    owner
                    for owner in live
                    if self._rendered.get(owner.agency, (None,))[0] != owner.key
                ]
                for day in sorted({owner.day for owner in changed}):
                    await self._refresh(connection, [o for o in changed if o.day == day], day)
            self._rendered = {owner.agency: self._rendered[owner.agency] for owner in live}
            return render((rendered for _, rendered in self._rendered.values()), now)

    async def _owners(self, connection: asyncpg.Connection, now: datetime) -> list[Owner]:
        rows = await repository.agencies(connection)
        edges = [Edge(*row) for row in await repository.edges(connection)]
        zones = {row[0]: ZoneInfo(row[1]) for row in rows}
        revisions = {row[0]: row[2] for row in rows}
        today = {zone: local_date(now, zone) for zone in set(zones.values())}
        days = {agency: today[zone] for agency, zone in zones.items()}
        key = (tuple(edges), tuple(sorted(days.items())))
        if self._ownership[0] != key:
            self._ownership = (key, _members(_owners_by_day(days, edges)))
        return [
            Owner(
                agency,
                zones[agency],
                days[agency],
                pairs,
                tuple((name, revisions[name]) for name in dict.fromkeys(m for m, _ in pairs)),
            )
            for agency, pairs in self._ownership[1].items()
        ]

    async def _refresh(
        self, connection: asyncpg.Connection, chosen: list[Owner], day: date
    ) -> None:
        figures = await self._figures(connection, chosen, day)
        for owner in chosen:
            self._rendered[owner.agency] = (owner.key, render_agency(figures[owner.agency]))

    async def _figures(
        self, connection: asyncpg.Connection, chosen: list[Owner], day: date
    ) -> dict[str, AgencyFigures]:
        ids = [owner.agency for owner in chosen]
        targets: dict[str, list[tuple[date, Decimal]]] = {}
        for agency, deadline, ratio in await repository.targets(connection, ids):
            targets.setdefault(agency, []).append((deadline, ratio))
        found = {
            owner.agency: AgencyFigures(
                owner.agency,
                owner.zone,
                day,
                choose_target(targets.get(owner.agency, []), day, self._default_target)[0],
            )
            for owner in chosen
        }
        segments = {o.agency: {segment for _, segment in o.members} for o in chosen}
        await self._add_baselines(connection, found, segments)
        of = {pair: found[owner.agency] for owner in chosen for pair in owner.members}
        names = sorted({member for member, _ in of})
        await _add_revenue(connection, of, names, day)
        month = day.replace(day=1)
        for agency, *series, movement, total, mtd in await repository.mrr(
            connection, names, month, day
        ):
            owner, key = of.get((agency, series[0])), _series(series)
            if owner is not None:
                _sum(owner.mrr, key, total)
                owner.movements[(key, movement)] = owner.movements.get((key, movement), 0) + mtd
        for agency, *series, amount in await repository.deferred(connection, names):
            owner = of.get((agency, series[0]))
            if owner is not None:
                _sum(owner.deferred, _series(series), amount)
        for agency, *series, at in await repository.heard(connection, names):
            owner, key = of.get((agency, series[0])), _series(series)
            if owner is not None:
                owner.heard[key] = max(at, owner.heard.get(key, at))
        return found

    async def _add_baselines(
        self,
        connection: asyncpg.Connection,
        found: dict[str, AgencyFigures],
        segments: dict[str, set[str]],
    ) -> None:
        versions = dict(await repository.baseline_versions(connection, list(found)))
        wanted = [pair for pair in versions.items() if pair not in self._baselines]
        if wanted:
            loaded: dict[str, BaselineMonths] = {agency: {} for agency, _ in wanted}
            for agency, *series, month, amount in await repository.baseline_rows(
                connection, wanted
            ):
                loaded[agency].setdefault(_series(series), {})[month] = amount
            for agency, version in wanted:
                self._baselines[(agency, version)] = loaded[agency]
        for agency, version in versions.items():
            found[agency].baseline_version = version
            # A segment that another agency has carried on is compared there, not here.
            found[agency].baseline = {
                series: months
                for series, months in self._baselines[(agency, version)].items()
                if series[0] in segments[agency]
            }


async def _add_revenue(
    connection: asyncpg.Connection,
    of: dict[tuple[str, str], AgencyFigures],
    names: list[str],
    day: date,
) -> None:
    _, last = fiscal_year(day)
    year = await repository.revenue_year(connection, names, day.year)
    later = await repository.revenue_later(connection, names, day, last)
    trailing = await repository.revenue_between(connection, names, *trailing_window(day))
    for rows, field, sign in (
        (year, "revenue_ytd", 1),
        (later, "revenue_ytd", -1),
        (trailing, "revenue_trailing", 1),
    ):
        for agency, *series, amount in rows:
            owner = of.get((agency, series[0]))
            if owner is not None:
                _sum(getattr(owner, field), _series(series), sign * amount)


def _series(values: list[str]) -> Series:
    return (values[0], values[1], values[2])


def _sum(into: dict[Series, int], key: Series, amount: int) -> None:
    into[key] = into.get(key, 0) + amount


def _owners_by_day(days: dict[str, date], edges: Iterable[Edge]) -> Owners:
    found: Owners = {}
    known = list(edges)
    for day in set(days.values()):
        found |= owners([agency for agency in days if days[agency] == day], known, day)
    return found


def _members(owned: Owners) -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for pair, owner in owned.items():
        found.setdefault(owner, []).append(pair)
    return {owner: tuple(sorted(pairs)) for owner, pairs in sorted(found.items())}
