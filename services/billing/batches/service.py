"""Applies what waits in the inbox many at a time, where it is the plain case.

Meaning: a batch leaves what one by one would have left. What makes it true: it holds the same locks in the same order, decides by the
same rules on the same facts, and commits as a whole with the notifications it handled; whatever is not plain is left as it was. A batch
that fails is split until the culprit stands alone, and that one is left too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import structlog

from services.billing import metrics
from services.billing.batches import repository, write
from services.billing.batches.decide import decide
from services.billing.batches.facts import Decided, Known, Told
from services.billing.payments.adapters.port import Captured, Notifications
from services.billing.plans.service import PRESS_SUBSCRIPTION
from services.billing.subscriptions.repository import lock_readers
from services.billing.webhooks import repository as inbox
from services.billing.webhooks.repository import Claimed
from shared.clock import Clock
from shared.database import Database
from shared.database.away import database_is_away
from shared.faults import fault_point

log = structlog.get_logger(__name__)

#: Notifications in one transaction.
MOST = 200


@dataclass(slots=True)
class Outcome:
    """How many were applied, and which are to be applied one by one; ``behind``: charges of which one is left, so that what comes
    after it waits behind it."""

    applied: int = 0
    left: list[Claimed] = field(default_factory=list)
    behind: set[UUID] = field(default_factory=set)


class _FailedError(Exception):
    """A batch of these was rolled back."""

    def __init__(self, events: Sequence[Claimed]) -> None:
        super().__init__(f"{len(events)} notifications")
        self.events = events


class Batches:
    """The fast path of the inbox, for the notifications of one provider."""

    def __init__(
        self, database: Database, clock: Clock, source: str, provider: Notifications
    ) -> None:
        self._database = database
        self._clock = clock
        self._source = source
        self._provider = provider

    async def apply(self, most: int = MOST) -> tuple[int, Sequence[Claimed]]:
        """Take up what is due, ``most`` at most: how many were applied, and which are left to be applied one by one.

        Raises when the database is away.
        """
        outcome = Outcome()
        try:
            await self._together(None, most, outcome)
        except _FailedError as failed:
            await self._apart(failed.events, outcome)
        return outcome.applied, outcome.left

    async def _apart(self, events: Sequence[Claimed], outcome: Outcome) -> None:
        """A batch failed: its halves by themselves."""
        middle = len(events) // 2
        if not middle:
            self._leave(events, outcome)
            return
        for half in (events[:middle], events[middle:]):
            try:
                await self._together(half, len(half), outcome)
            except _FailedError as failed:
                await self._apart(failed.events, outcome)

    async def _together(
        self, wanted: Sequence[Claimed] | None, most: int, outcome: Outcome
    ) -> None:
        """One transaction. Raises :class:`_FailedError` for what it had claimed."""
        events: Sequence[Claimed] = ()
        decided: Decided | None = None
        pool = await self._database.pool()
        try:
            async with pool.acquire() as connection, connection.transaction():
                if wanted is None:
                    events = await inbox.claim_many(connection, self._clock.now(), most)
                else:
                    events = await inbox.claim_these(connection, wanted)
                told, left = self._read(events, outcome.behind)
                if len(events) > 1 and told:
                    await fault_point("inbox.claimed")
                    decided = await self._settle(connection, told)
                    await fault_point("payment.before_commit")
        except Exception as error:
            # Whatever it is, nothing of the batch was done: one of them may be the culprit.
            waited = isinstance(error, asyncpg.LockNotAvailableError)
            if not events or (database_is_away(error) and not waited):
                raise
            log.warning("batch_failed", events=len(events), error=repr(error))
            raise _FailedError(events) from error
        if decided is None:
            self._leave(events, outcome)
            return
        await fault_point("payment.after_commit")
        self._leave([*left, *decided.left], outcome)
        outcome.applied += len(decided.settled) + len(decided.booked)
        _count(decided)

    def _leave(self, events: Sequence[Claimed], outcome: Outcome) -> None:
        outcome.left += events
        facts = (self._fact(one) for one in events)
        outcome.behind |= {one.charge_id for one in facts if one is not None and one.charge_id}

    def _fact(self, event: Claimed) -> Captured | None:
        """What an event tells where it may be plain. What failed before is none of a batch's."""
        if event.source != self._source or event.attempts:
            return None
        return self._provider.renewal_told(event.payload)

    def _read(
        self, events: Sequence[Claimed], behind: Collection[UUID]
    ) -> tuple[list[Told], list[Claimed]]:
        """Those that may be plain, and those that are not."""
        told, left = [], []
        for event in events:
            fact = self._fact(event)
            if fact is None or fact.charge_id in behind:
                left.append(event)
            else:
                told.append(Told(event, fact))
        return told, left

    async def _settle(self, connection: asyncpg.Connection, told: Sequence[Told]) -> Decided:
        known = await self._known(connection, told)
        now = self._clock.now()
        decided = decide(told, known, self._source, now)
        if decided.settled:
            await write.write(connection, decided.settled, now)
        handled = [*(one.event for one in decided.settled), *decided.booked]
        if handled:
            await inbox.mark_many_handled(connection, handled, now)
        return decided

    async def _known(self, connection: asyncpg.Connection, told: Sequence[Told]) -> Known:
        """Everything that is to be known of a batch; from here to COMMIT nobody else changes it."""
        charges = [one.fact.charge_id for one in told if one.fact.charge_id is not None]
        await lock_readers(connection, await repository.readers_of(connection, charges))
        renewals = await repository.renewals(connection, charges)
        rows = list(renewals.values())
        subscriptions = [row.subscription_id for row in rows]
        agencies = {row.agency for row in rows}
        references = [one.fact.reference for one in told]
        return Known(
            renewals=renewals,
            periods=await repository.periods(connection, subscriptions),
            rights=await repository.rights(connection, subscriptions),
            others=await repository.others(connection, [row.reader_id for row in rows]),
            booked=await repository.booked(connection, self._source, references),
            agencies=await repository.agencies(connection, agencies),
            offers=await repository.offers(connection, {row.price_id for row in rows}),
            dunning=await repository.dunning(connection, agencies),
            vat=await repository.vat_rows(connection, PRESS_SUBSCRIPTION),
        )


def _count(decided: Decided) -> None:
    for one in decided.settled:
        metrics.WEBHOOKS.labels(one.event.type, "handled").inc()
        metrics.PAYMENTS.labels(one.renewal.agency, "paid").inc()
        metrics.JOURNAL_ENTRIES.labels("payment").inc()
    for event in decided.booked:
        metrics.WEBHOOKS.labels(event.type, "ignored").inc()
