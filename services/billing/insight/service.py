"""Reader-revenue metrics: of a month, for people and programs, and as gauges."""

from __future__ import annotations

from datetime import date

from services.billing import metrics
from services.billing.insight import repository, rules
from services.billing.insight.rules import ReaderRevenue
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFoundError


class Insight:
    """Use cases of who wants to know how reader revenue does."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def month(self, agency: str, first: date) -> ReaderRevenue:
        """The month that begins on ``first``, so far while it runs. Raises :class:`NotFoundError` for one that has not begun."""
        now = self._clock.now()
        async with self._database.read() as session:
            found = await get_agency(session, agency)
            try:
                month = rules.month_of(first, found.zone, now)
            except ValueError:
                raise NotFoundError from None
            within, zone = rules.FOLLOWS_WITHIN, found.zone.key
            ends = rules.cohort_ends(month, found.zone)
            recurring = await repository.recurring(session, agency, month)
            sizes, paying = await repository.cohorts(session, agency, zone, ends)
            return ReaderRevenue(
                month,
                recurring,
                await repository.active(session, agency, month.until),
                await repository.renewals(session, agency, month, within),
                await repository.churn(session, agency, month, zone, recurring.opening_vnd),
                await repository.trials(session, agency, month, within),
                await repository.dunning(session, agency, month),
                rules.cohorts([one for one, _ in ends], sizes, paying),
            )

    async def measure(self) -> None:
        """The gauges, of every agency."""
        until = self._clock.now() + rules.INSTANT
        async with self._database.read() as session:
            for agency, mrr_vnd, ending_vnd in await repository.standing(session):
                paid = await repository.active(session, agency, until)
                metrics.MRR.labels(agency).set(mrr_vnd)
                metrics.MRR_ENDING.labels(agency).set(ending_vnd)
                metrics.ACTIVE_PAID_READERS.labels(agency).set(paid.active)
