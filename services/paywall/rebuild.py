"""Composition root of ``rebuild-entitlements``: the stream from its beginning into a new copy, then the exchange."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.paywall.entitlements import repository
from services.paywall.entitlements.consumers import ENTITLEMENTS
from shared import audit
from shared.bus import Bus
from shared.clock import Clock
from shared.contracts import MalformedEventError, UnknownEventTypeError, decode_from_bus
from shared.database import Database

log = structlog.get_logger(__name__)

SUBJECTS = ("billing.entitlement.*.v1.>",)
BATCH = 500
#: An event may reach the stream that much later than it happened: rows nearer to the stream's start are not judged.
PUBLISHING_DELAY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Report:
    """What a rebuild did."""

    replayed: int
    taken: int
    forgotten: int


async def rebuild(database: Database, bus: Bus, clock: Clock) -> Report:
    """Readers keep reading meanwhile: the exchange is one transaction at the end."""
    started, first, replayed = clock.now(), None, 0
    replay = await bus.replay(ENTITLEMENTS.stream, SUBJECTS)
    async with database.transaction() as session:
        await repository.start_rebuild(session)
        while await replay.pending():
            events = []
            for message in await replay.fetch(BATCH, 0.5):
                try:
                    events.append(decode_from_bus(message.payload, message.subject))
                except (MalformedEventError, UnknownEventTypeError) as error:
                    log.warning("replay_skips", subject=message.subject, error=repr(error))
                await message.ack()
            if events:
                replayed += len(events)
                earliest = min(event.time for event in events)
                first = earliest if first is None else min(first, earliest)
                await repository.apply_to_rebuilt(session, events)
        await replay.close()
        if first is None:
            return Report(0, 0, 0)
        forgotten, taken = await repository.take_over(
            session, since=_judged_from(first), until=started
        )
        await audit.record(
            session,
            audit.Action.ENTITLEMENTS_REBUILT,
            agency=None,
            at=clock.now(),
            subject="entitlements",
            after={"replayed": replayed, "taken": taken, "forgotten": forgotten},
        )
    return Report(replayed, taken, forgotten)


def _judged_from(first: datetime) -> datetime:
    return first + PUBLISHING_DELAY
