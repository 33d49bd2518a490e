"""Serves an ASGI application the way that was measured to be fast: uvloop, httptools, an answer in one write, no access log."""

from __future__ import annotations

import uvicorn

from shared.settings import ServiceSettings
from shared.web.protocol import OneWriteProtocol

GRACEFUL_SECONDS = 10
# A worker process answers only once it has imported the application. On a busy machine that takes longer than the
# server's default of 5 s, after which it would be killed and started again, for ever.
WORKER_START_SECONDS = 60


def serve(factory: str, settings: ServiceSettings) -> None:
    """Run the app that ``factory`` ("package.module:function") builds, until SIGTERM or SIGINT."""
    uvicorn.run(
        factory,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.processes,
        loop="uvloop",
        http=OneWriteProtocol,
        access_log=False,
        server_header=False,
        date_header=False,
        log_config=None,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        timeout_keep_alive=30,
        timeout_worker_healthcheck=WORKER_START_SECONDS,
        backlog=2048,
        proxy_headers=False,
    )
