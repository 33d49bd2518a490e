"""Starts the servers a row needs, on free ports, and ends them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from infra.local.databases import ensure_runtime_group
from infra.local.ports import free_port
from infra.local.postgres import Postgres
from shared.database.migrations import migrate

START_SECONDS = 120.0


@contextmanager
def process(
    command: Sequence[str], ready_url: str, log: Path, env: Mapping[str, str]
) -> Iterator[int]:
    """A child process from its start until ``ready_url`` answers 2xx, ended at the end. Gives its pid."""
    with log.open("ab") as out:
        child = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **env}
        )
        try:
            _wait_until_ready(child, ready_url, log)
            yield child.pid
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait_until_ready(child: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=2) as client:
        while True:
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{child.args!r} did not start: {log.read_text()[-2000:]}")
            try:
                if client.get(url).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)


@contextmanager
def floor(
    name: str, folder: Path, *, processes: int = 1, file: Path | None = None
) -> Iterator[tuple[str, int]]:
    """A floor app (``plain``, ``signed``, or ``file``) in the server ours uses. Gives its URL and pid."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "uvicorn", f"benchmarks.floors:create_{name}", "--factory",
        "--port", str(port), "--workers", str(processes), "--loop", "uvloop", "--http", "shared.web.protocol:OneWriteProtocol",
        "--timeout-worker-healthcheck", "60", "--no-access-log", "--log-level", "warning", "--no-server-header", "--no-date-header",
    ]  # fmt: skip
    with process(
        command, url, folder / f"floor-{name}.log", {"FLOOR_FILE": str(file or "")}
    ) as pid:
        yield url, pid


@contextmanager
def service(
    package: str,
    folder: Path,
    database_url: str,
    settings: Mapping[str, str] | None = None,
    *,
    processes: int = 1,
) -> Iterator[tuple[str, int]]:
    """``python -m <package> web`` with its ordinary settings. Gives its URL and pid."""
    given = {"PROCESSES": str(processes), **(settings or {})}
    with _part("web", package, folder, database_url, given) as found:
        yield found


@contextmanager
def worker(
    package: str, folder: Path, database_url: str, settings: Mapping[str, str]
) -> Iterator[int]:
    """``python -m <package> worker``. Gives its pid."""
    with _part("worker", package, folder, database_url, settings) as (_, pid):
        yield pid


@contextmanager
def _part(
    part: str, package: str, folder: Path, database_url: str, settings: Mapping[str, str]
) -> Iterator[tuple[str, int]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {
        "ENVIRONMENT": "local",
        "DATABASE_URL": database_url,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "FORM_TOKEN_SECRET": "benchmark-form-token-secret",
        **settings,
    }
    log = folder / f"{package}.{part}.log"
    with process([sys.executable, "-m", package, part], f"{url}/readyz", log, env) as pid:
        yield url, pid


def migrated(postgres: Postgres, database: str, package: str) -> str:
    """A new database with the package's schema. Gives its URL."""
    ensure_runtime_group(postgres)
    postgres.execute(f"CREATE DATABASE {database}")
    url = postgres.url(database)
    asyncio.run(migrate(url, package))
    return url


@contextmanager
def json_server(answers: Mapping[str, object]) -> Iterator[str]:
    """Answers GET requests for these paths with JSON: other services' public keys. Gives its URL."""
    bodies = {path: json.dumps(answer).encode() for path, answer in answers.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
