"""A process of the fault tests: ``python -m tests.faults.relay_and_consumer relay|consumer``.

It is the worker of a service that only passes on the tests' own event, built from the same parts as every worker.
Settings: ``DATABASE_URL``, ``NATS_URL``; fault points as in :mod:`shared.faults`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

from shared.bus import connect
from shared.database import Database
from shared.inbox import Consumer, ConsumerRunner, RetryPolicy
from shared.loops import Loop, supervise
from shared.outbox import OutboxRelay
from shared.telemetry import configure_logging
from tests.fixtures.flow import CONSUMER, STREAM, ItemMade, take_effect


async def main(role: str) -> None:
    configure_logging(f"proofs-{role}")
    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    database = Database(os.environ["DATABASE_URL"], application_name=f"proofs-{role}")
    bus = await connect(os.environ["NATS_URL"], f"proofs-{role}")
    if role == "relay":
        loop = Loop("relay", OutboxRelay(database, bus, service="proofs").run)
    else:
        runner = ConsumerRunner(
            database,
            bus,
            Consumer("flow", STREAM, CONSUMER, {ItemMade: take_effect}),
            retry=RetryPolicy(first_delay_seconds=0.2),
            fetch_timeout_seconds=0.5,
        )
        loop = Loop("consumer", runner.run)
    await supervise(loop, stop)
    await bus.close()
    await database.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
