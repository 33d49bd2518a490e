"""Starts the servers a row needs, on free ports, and ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from infra.local.ports import free_port

START_SECONDS = 60.0


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
            deadline = time.monotonic() + START_SECONDS
            while True:
                if child.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command} did not start: {log.read_text()[-2000:]}")
                try:
                    if httpx.get(ready_url, timeout=2).is_success:
                        break
                except httpx.HTTPError:
                    pass
                time.sleep(0.05)
            yield child.pid
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextmanager
def floor(name: str, folder: Path, *, processes: int = 1) -> Iterator[tuple[str, int]]:
    """A floor app (``plain`` or ``signed``) in the server ours uses. Gives its URL and pid."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "uvicorn", f"benchmarks.floors:create_{name}", "--factory",
        "--port", str(port), "--workers", str(processes), "--loop", "uvloop", "--http", "httptools",
        "--no-access-log", "--log-level", "warning", "--no-server-header", "--no-date-header",
    ]  # fmt: skip
    with process(command, url, folder / f"floor-{name}.log", {}) as pid:
        yield url, pid
