"""Decisions counted in memory and published every few seconds: never one event per page view."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import structlog

from services.paywall import metrics
from shared import outbox
from shared.clock import Clock
from shared.contracts import Event, new_event
from shared.contracts.paywall import DecisionsCounted
from shared.database import Database

log = structlog.get_logger(__name__)

#: agency, reason, rule, policy version, variant, granted
Kind = tuple[str, str, str, int, str, bool]


class DecisionCounts:
    """Counts by kind. The number of kinds is bounded by agencies, rules and reasons, not by readers."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._counts: Counter[Kind] = Counter()
        self._from = clock.now()

    def add(self, kind: Kind) -> None:
        self._counts[kind] += 1

    async def flush(self) -> int:
        """Record what has been counted since the last time. Returns how many events.

        The figures stay in memory when the database is away, and are told with the next ones.
        """
        counts, since, until = self._counts, self._from, self._clock.now()
        if not counts:
            self._from = until
            return 0
        self._counts, self._from = Counter(), until
        try:
            pool = await self._database.pool()
            async with pool.acquire() as connection, connection.transaction():
                await outbox.record_raw(
                    connection, [_event(kind, n, since, until) for kind, n in counts.items()]
                )
        except BaseException:
            self._counts.update(counts)
            self._from = since
            raise
        for (_, reason, _, _, _, granted), n in counts.items():
            metrics.DECISIONS.labels(reason, "yes" if granted else "no").inc(n)
        return len(counts)


def _event(kind: Kind, count: int, since: datetime, until: datetime) -> Event[DecisionsCounted]:
    agency, reason, rule_id, policy_version, variant, granted = kind
    return new_event(
        DecisionsCounted(
            reason=reason,
            rule_id=rule_id,
            policy_version=policy_version,
            variant=variant,
            granted=granted,
            count=count,
            from_at=since,
            until_at=until,
        ),
        agency=agency,
        subject=agency,
        now=until,
    )
