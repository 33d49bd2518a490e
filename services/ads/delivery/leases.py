"""Leases: each server process gets chunks of a line's remaining goal, so that decisions need no database.

``delivered + outstanding <= quantity`` holds whenever a chunk is granted, under a lock of the line's row. A leased unit is
either counted (then it is delivered), given back (never handed out), or dead when its lease expires, which is later
than the expiry of the last token it could have signed. Hence the overrun is 0, whatever the number of processes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from services.ads import metrics
from services.ads.delivery import repository, rules
from services.ads.delivery.plan import LeaseStock, LiveLine, Plan
from services.ads.settings import AdsSettings
from shared.database import Database

BATCH = 500
MARGIN_SECONDS = 60  # between the clocks of two machines, and for counts on their way
LONGEST_PAUSE_SECONDS = 10.0
RENEW_AHEAD = (
    0.2  # of a lease's life: lines in use never stand empty while the next lease is asked for
)


class LeaseKeeper:
    """Keeps the plan's lines supplied."""

    def __init__(self, database: Database, settings: AdsSettings) -> None:
        self._database = database
        self._settings = settings

    async def supply(self, plan: Plan) -> int:
        """One round: give back what ran out of time, ask for the lines that need more. Returns units granted."""
        await self.give_back([line for line in plan.lines.values() if line.over])
        now = time.monotonic()
        ahead = now + self._settings.ads_lease_seconds * RENEW_AHEAD
        plan.thirsty.update(line.id for line in plan.lines.values() if line.ends_by(ahead))
        due = [
            line
            for line_id in plan.thirsty
            if (line := plan.lines.get(line_id)) is not None and line.ask_again_at <= now
        ][:BATCH]
        if not due:
            return 0
        granted = await self._grant({line.id: line for line in due})
        for line in due:
            units = granted.get(line.id)
            if units is None:
                line.refusals += 1
                pause = min(LONGEST_PAUSE_SECONDS, 0.25 * 2 ** min(line.refusals, 8))
                line.ask_again_at = now + pause
                continue
            line.refusals = 0
            line.low_mark = units.units // 2
            line.stock.append(units)
            plan.thirsty.discard(line.id)
            plan.make_ready(line)
        metrics.LEASES.inc(len(granted))
        total = sum(stock.units for stock in granted.values())
        metrics.LEASED_UNITS.inc(total)
        return total

    async def _grant(self, lines: dict[UUID, LiveLine]) -> dict[UUID, LeaseStock]:
        """Chunks for these lines, in one transaction."""
        began = time.monotonic()
        pool = await self._database.pool()
        async with pool.acquire() as connection, connection.transaction():
            ids = sorted(lines)
            await repository.lock_lines(connection, ids)
            wanted: dict[UUID, int] = {}
            for row in await repository.lease_facts(connection, ids):
                units = self._chunk(row) if row["live"] else 0
                if units:
                    wanted[row["id"]] = units
            if not wanted:
                return {}
            seconds = self._settings.ads_lease_seconds
            life = seconds + self._settings.ads_impression_seconds + MARGIN_SECONDS
            rows = await repository.grant(connection, wanted, life)
        return {
            line_id: LeaseStock(lease_id, units, began + seconds)
            for lease_id, line_id, units in rows
        }

    def _chunk(self, row: asyncpg.Record) -> int:
        local = row["now"].astimezone(ZoneInfo(row["time_zone"]))
        facts = rules.LineFacts(
            quantity=row["quantity"],
            pacing=row["pacing"],
            delivered=row["delivered"],
            delivered_today=row["delivered_today"],
            outstanding=row["outstanding"],
            days_left=(row["ends_on"] - local.date()).days + 1,
            day_fraction=rules.day_fraction(local),
        )
        return rules.chunk(facts, self._settings.ads_lease_units)

    async def give_back(self, lines: Sequence[LiveLine], *, everything: bool = False) -> None:
        """Return units that were never handed out (all of them when a line leaves or the process stops)."""
        unused: dict[int, int] = {}
        for line in lines:
            leases = [*line.over, *line.stock] if everything else list(line.over)
            line.over.clear()
            if everything:
                line.stock.clear()
            for lease in leases:
                if lease.units > 0:
                    unused[lease.lease_id] = lease.units
        if unused:
            await repository.give_back(await self._database.pool(), unused)
