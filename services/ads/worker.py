"""Composition root of the worker: outbox relay, holds and flights by the clock, revenue."""

from __future__ import annotations

from datetime import date, timedelta

from services.ads import metrics
from services.ads.bookings.rules import Action
from services.ads.bookings.service import take_timed_steps
from services.ads.delivery.repository import forget_old_leases
from services.ads.delivery.revenue import RevenuePoster
from services.ads.settings import AdsSettings
from shared.agencies import list_agencies
from shared.audit.loop import audit_loop
from shared.clock import Clock
from shared.database import Database
from shared.loops import Loop, every
from shared.outbox import Publisher
from shared.process import Process, WorkerParts

TIMER_SECONDS = 1.0
REVENUE_WINDOW_DAYS = 3
TIMED = (Action.EXPIRE, Action.START, Action.FINISH)


class Timers:
    """What happens because time has passed."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._revenue = RevenuePoster(database, clock)
        self._caught_up = False

    async def lines(self) -> None:
        """Expire holds, start and finish flights."""
        for action in TIMED:
            async with self._database.transaction() as session:
                agencies = {agency.id: agency for agency in await list_agencies(session)}
                done = await take_timed_steps(session, action, agencies)
            if action is Action.EXPIRE:
                metrics.LINES_EXPIRED.inc(done)

    async def revenue(self) -> None:
        """The first round looks at all days; later ones only at those that can still change."""
        recent = self._clock.now().date() - timedelta(days=REVENUE_WINDOW_DAYS)
        if await self._revenue.post(recent if self._caught_up else date(2000, 1, 1)) == 0:
            self._caught_up = True

    async def leases(self) -> None:
        async with self._database.transaction() as session:
            await forget_old_leases(session)


async def worker(process: Process[AdsSettings]) -> WorkerParts:
    """The parts of the worker."""
    timers = Timers(process.database, process.clock)
    publisher = Publisher(
        process.database, await process.bus(), service="ads", streams=("ADS", "METRICS")
    )
    return WorkerParts(
        loops=[
            *publisher.loops,
            Loop("line-timer", every(TIMER_SECONDS, timers.lines)),
            Loop("revenue-timer", every(TIMER_SECONDS, timers.revenue)),
            audit_loop(process.database, process.clock, "ads"),
            Loop("lease-timer", every(3600, timers.leases), limit_seconds=7_200),
        ],
        checks={"streams": publisher.check},
    )
