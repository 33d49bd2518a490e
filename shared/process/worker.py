"""A worker process: loops under supervision, health and metrics on a port, an orderly stop.

Shutdown: stop fetching → finish and acknowledge → unsubscribe → drain → close the database.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
import uvicorn
import uvloop

from shared.health import Check
from shared.loops import Loop, supervise
from shared.process.process import Process, S, Service
from shared.startup import Duty
from shared.web.app import WebParts, create_app
from shared.web.heap import freeze_heap

log = structlog.get_logger(__name__)

STOP_SECONDS = 20.0


@dataclass(slots=True)
class WorkerParts:
    """What a worker's composition root builds. ``closers`` run in order after the loops have ended, before the process's own."""

    loops: Sequence[Loop]
    checks: Mapping[str, Check] = field(default_factory=dict)
    closers: Sequence[Callable[[], Awaitable[None]]] = ()


BuildWorker = Callable[[Process[S]], Awaitable[WorkerParts]]


def work(service: Service[S], build: BuildWorker[S]) -> None:
    """Run a service's worker until SIGTERM or SIGINT."""
    settings = service.prepare(Duty.WORKER)

    async def run() -> None:
        process = service.process("worker", settings)
        try:
            await run_worker(process, await build(process))
        finally:
            await process.close()
        log.info("worker_stopped")

    uvloop.run(run())


async def run_worker(process: Process[S], parts: WorkerParts) -> None:
    """Run until SIGTERM or SIGINT; every worker is ready when its database and its bus answer."""
    stop = asyncio.Event()
    running_loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        running_loop.add_signal_handler(sig, stop.set)
    service, settings = process.service, process.settings
    bus = await process.bus()
    checks = {"database": process.database.ping, "bus": bus.ping, **parts.checks}
    app = create_app(
        service.name,
        f"{service.title}: worker",
        settings,
        WebParts(checks=checks, loops=parts.loops),
        exposition=process.exposition,
    )
    freeze_heap()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            access_log=False,
            log_config=None,
            lifespan="off",
            ws="none",
        )
    )
    # _serve leaves the signals to us; serve() would take them over
    health = asyncio.create_task(server._serve())
    tasks = [asyncio.create_task(supervise(loop, stop), name=loop.name) for loop in parts.loops]
    log.info("worker_started", loops=[loop.name for loop in parts.loops])
    await stop.wait()
    log.info("worker_stopping")
    _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
    for task in late:
        log.error("loop_did_not_stop", loop=task.get_name())
        task.cancel()
    server.should_exit = True
    await health
    for close in parts.closers:
        await close()
