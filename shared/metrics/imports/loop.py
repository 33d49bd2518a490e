"""The worker's loop that records confirmed files to their end, a batch at a time."""

from __future__ import annotations

import asyncio

from shared.clock import Clock
from shared.database import Database
from shared.faults import fault_point
from shared.loops import Heartbeat, Loop
from shared.metrics.imports import service

LOOK_SECONDS = 1.0


def import_loop(database: Database, clock: Clock) -> Loop:
    """Looks once a second, and goes on without a pause while there is something to record."""

    async def body(stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        while not stop.is_set():
            heartbeat.beat()
            done = await service.record_batch(database, now=clock.now())
            heartbeat.succeeded()
            if done is not None:
                await fault_point("import.between_batches")
                continue
            try:
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    return Loop("imports", body, limit_seconds=120.0)
