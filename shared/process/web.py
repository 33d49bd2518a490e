"""A web process: the application around a service's parts, and the server that answers with it."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from shared.loops import running_loops
from shared.process.master import Master
from shared.process.process import Process, S, Service
from shared.settings import ServiceSettings
from shared.startup import Duty
from shared.web.app import Application, WebParts, create_app
from shared.web.protocol import Limits, limited

log = structlog.get_logger(__name__)

GRACEFUL_SECONDS = 10
BACKLOG = 2048
OTHER_DESCRIPTORS = 200  # database, bus, files

BuildWeb = Callable[[Process[S]], WebParts]


def application(process: Process[S], parts: WebParts) -> Application:
    """The ASGI application. While it runs, the parts' loops do; the process's connections end with it."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(process.close)
            if parts.running is not None:
                await stack.enter_async_context(parts.running())
            await stack.enter_async_context(running_loops(parts.loops))
            yield

    return create_app(
        process.service.name,
        process.service.title,
        process.settings,
        parts,
        exposition=process.exposition,
        lifespan=lifespan,
    )


def serve(service: Service[S], build: BuildWeb[S]) -> None:
    """Answer HTTP until SIGTERM or SIGINT: in this process, or in several that this one forks and brings back."""
    settings = service.prepare(Duty.WEB)
    if settings.processes == 1:
        _run(service, build)
        return
    listener = listen(settings)
    Master(settings.processes, lambda: _run(service, build, listener)).run()


def listen(settings: ServiceSettings) -> socket.socket:
    """The port, before there is anybody to answer."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)


def _run(service: Service[S], build: BuildWeb[S], listener: socket.socket | None = None) -> None:
    settings = service.prepare(Duty.WEB)
    _have_descriptors(settings.max_connections)
    process = service.process("web", settings)
    app = application(process, build(process))
    uvloop.run(_until_told(app, settings, [listener] if listener is not None else None))


def _have_descriptors(connections: int) -> None:
    """As many as connections may need (twice the limit are told that they are too many), as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + OTHER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _until_told(
    app: ASGIApp, settings: ServiceSettings, sockets: list[socket.socket] | None
) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=limited(
                Limits(
                    head_seconds=settings.head_seconds,
                    body_seconds=settings.body_seconds,
                    connections=settings.max_connections,
                )
            ),
            ws="none",
            lifespan="on",
            access_log=False,
            server_header=False,
            date_header=False,
            log_config=None,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
            timeout_keep_alive=30,
            backlog=BACKLOG,
            proxy_headers=False,
        )
    )
    running_loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        running_loop.add_signal_handler(sig, setattr, server, "should_exit", True)
    # _serve leaves the signals to us: serve() would end the process by the signal, which reads like a crash
    await server._serve(sockets)
