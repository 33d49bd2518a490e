"""Revenue as delivered: what was counted since the last time becomes revenue, once and exactly."""

from __future__ import annotations

from datetime import date

from services.ads import metrics
from services.ads.delivery import repository
from services.ads.delivery.rules import newly_earned
from shared.clock import Clock
from shared.database import Database
from shared.metrics.record import record_revenue
from shared.money import Money

LINES_A_ROUND = 500
ACCOUNT = "5113-advertising"


class RevenuePoster:
    """One transaction a line: its counters are marked and the revenue leaves through the outbox, or neither."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def post(self, since: date = date.min) -> int:
        """Post every line that has something new. Returns the number of postings."""
        async with self._database.transaction() as session:
            lines = await repository.lines_to_post(session, since, LINES_A_ROUND)
        posted = 0
        for line_id in lines:
            async with self._database.transaction() as session:
                unposted = await repository.lock_unposted(session, line_id)
                for earned in newly_earned(unposted.amount_vnd, unposted.quantity, unposted.days):
                    await repository.mark_recognised(
                        session, line_id, earned.day, earned.units, earned.amount_vnd
                    )
                    if earned.amount_vnd == 0:
                        continue
                    await record_revenue(
                        session,
                        agency=unposted.agency,
                        source_reference=f"ads:line:{line_id}:delivered:{earned.up_to}",
                        segment="online",
                        stream="advertising",
                        payer="business",
                        law_source="advertising",
                        account=ACCOUNT,
                        amount=Money(earned.amount_vnd),
                        recognised_on=earned.day,
                        now=self._clock.now(),
                        document=f"ads:line:{line_id}",
                    )
                    posted += 1
        metrics.REVENUE_POSTED.inc(posted)
        return posted
