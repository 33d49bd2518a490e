"""Memory and start of the whole local stack: ``python -m benchmarks.idle_stack [starts]``, on ports and data of its own.

Memory is the proportional set size (PSS) of all processes together, 45 seconds after the stack is ready (the connections of
its start are closed by then): what is shared counts once. The first start prepares the data; the later ones are what a developer waits for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from infra.local.ports import free_block
from infra.local.processes import PORTS_USED

REPOSITORY = Path(__file__).resolve().parents[1]
SETTLE_SECONDS = 45.0


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


def main() -> None:
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        port = free_block(PORTS_USED)
        for number in range(1, starts + 1):
            seconds, mib, processes = measure(port, Path(folder) / "local")
            load = os.getloadavg()[0]
            print(
                f"start {number}: ready after {seconds:.1f} s, {mib:.0f} MiB PSS in {processes} processes, load {load:.1f}"
            )


if __name__ == "__main__":
    main()
