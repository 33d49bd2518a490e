"""Start and memory of the whole local stack (``make run``), on ports and data of its own.

Memory is the proportional set size (PSS) of all processes together, 45 seconds after the stack is ready (the connections of
its start are closed by then): what is shared counts once. The first start prepares the data; the second is what a developer
waits for.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.harness import Result
from infra.local.ports import free_block
from infra.local.processes import PORTS_USED

REPOSITORY = Path(__file__).resolve().parents[2]
SETTLE_SECONDS = 45.0
STARTS = ("first start", "second start")


def pss_mib(pid: int) -> float:
    """Proportional set size of one process; 0 when it has gone meanwhile."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def measure(port: int, data: Path) -> tuple[float, float, int]:
    """Seconds until ready, MiB, and the number of processes, of one start."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "infra.local.run", "--headless", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--data-dir", str(data)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as stack:
        assert stack.stdout is not None
        try:
            if not any(line.startswith("ready") for line in stack.stdout):
                raise SystemExit("the stack did not start")
            seconds = time.monotonic() - begun
            time.sleep(SETTLE_SECONDS)
            family = [stack.pid, *(p.pid for p in psutil.Process(stack.pid).children(True))]
            return seconds, sum(map(pss_mib, family)), len(family)
        finally:
            stack.terminate()
            stack.stdout.read()


def run(folder: Path, say: Callable[[str], None], *, seconds: int) -> list[Result]:
    """The row: milliseconds until ready, and MiB when idle. ``seconds`` does not apply."""
    del seconds
    results = []
    port = free_block(PORTS_USED)
    for start in STARTS:
        say(f"whole stack: {start}")
        ready, mib, processes = measure(port, folder / "local")
        results.append(
            Result(
                "whole local stack", start, 1, 0, ready * 1000, 0, 0, mib, 0,
                note=f"{start}: p50 is the time until ready, MiB the PSS of {processes} processes when idle",
            )
        )  # fmt: skip
    return results
