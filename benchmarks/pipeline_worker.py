"""The two halves of the pipeline row, as processes: ``relay`` (source database) and ``consumer`` (sink database)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import uvloop
from sqlalchemy import text

from shared import bus as bus_module
from shared.contracts import Event
from shared.contracts.billing import Entitlement, EntitlementGranted
from shared.database import Database, Session
from shared.inbox import Consumer, ConsumerRunner
from shared.loops import Heartbeat
from shared.outbox import OutboxRelay

EFFECT = text(
    """INSERT INTO effect (event_id, recorded_at, committed_at)
       SELECT event_id, recorded_at, clock_timestamp()
       FROM unnest(CAST(:ids AS uuid[]), CAST(:at AS timestamptz[])) AS e(event_id, recorded_at)"""
)


async def take_effect(session: Session, events: Sequence[Event[Entitlement]]) -> None:
    await session.execute(
        EFFECT, {"ids": [event.id for event in events], "at": [event.time for event in events]}
    )


EFFECTS = Consumer(
    service="paywall",
    stream="BILLING",
    name="paywall-entitlements",
    handlers={EntitlementGranted: take_effect},
)


async def main(half: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database = Database(os.environ["DATABASE_URL"], application_name=f"bench-{half}")
    bus = await bus_module.connect(os.environ["NATS_URL"], f"bench-{half}")
    if half == "relay":
        await OutboxRelay(database, bus, service="bench").run(stop, Heartbeat(60))
    else:
        await ConsumerRunner(database, bus, EFFECTS, batch=250).run(stop, Heartbeat(60))
    await bus.close()
    await database.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
