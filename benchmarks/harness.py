"""The harness: load from another process (wrk), closed loops at 1, 8 and 32 connections, warm-up first, three runs,
floor and ours in alternation, the median. Rows written are verified by the rows themselves.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

LUA = Path(__file__).with_name("load.lua")
CONNECTIONS = (1, 8, 32)
RUNS = 3


@dataclass(frozen=True, slots=True)
class Request:
    """One prepared request. Headers may not contain ``|`` or tabs; the body is one line or escaped."""

    path: str
    body: str = ""
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    def line(self) -> str:
        headers = "|".join(f"{name}: {value}" for name, value in self.headers)
        body = self.body.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
        return f"{self.method}\t{self.path}\t{headers}\t{body}"


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run. Times in microseconds; ``cpu_us`` is the server's own, per request."""

    requests: int
    ok: int
    refused: int
    socket_errors: int
    per_second: float
    p50_us: int
    p99_us: int
    cpu_us: float
    peak_mib: float


@dataclass(slots=True)
class Target:
    """A server under load: its address, its processes, and a source of requests for each run."""

    name: str
    url: str
    pids: Sequence[int]
    requests: Callable[[int], Iterable[Request]]  # given how many may be needed
    per_run: int = 40_000
    verify: Callable[[list[Run]], str] | None = None  # after all runs: what was written, or raises


@dataclass(slots=True)
class Result:
    """The median of a target at one number of connections."""

    row: str
    target: str
    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    peak_mib: float
    refused: int
    floor: str = ""
    ratio: float | None = None
    note: str = ""
    runs: list[dict[str, float]] = field(default_factory=list)


def require_wrk() -> str:
    path = shutil.which("wrk")
    if path is None:
        raise SystemExit("make bench needs wrk: apt-get install wrk")
    return path


def _tree(pids: Sequence[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        process = psutil.Process(pid)
        found += [process, *process.children(recursive=True)]
    return found


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes if process.is_running())


def _resident_mib(processes: Sequence[psutil.Process]) -> float:
    return sum(p.memory_info().rss for p in processes if p.is_running()) / 2**20


def run_once(target: Target, connections: int, seconds: float, folder: Path) -> Run:
    """Prepare requests, load the target for ``seconds``, read the result."""
    file = folder / "requests.tsv"
    with file.open("w", encoding="utf-8") as out:
        out.writelines(request.line() + "\n" for request in target.requests(target.per_run))
    processes = _tree(target.pids)
    before = _cpu_seconds(processes)
    output = subprocess.run(
        [
            require_wrk(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s",
            "-s", str(LUA), target.url, "--", str(file),
        ],
        check=True, capture_output=True, text=True, timeout=seconds + 120,
    ).stdout  # fmt: skip
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    data = json.loads(line.removeprefix("RESULT "))
    cpu = (_cpu_seconds(processes) - before) * 1e6
    return Run(
        requests=data["requests"],
        ok=data["ok"],
        refused=data["refused"],
        socket_errors=data["socket_errors"],
        per_second=data["requests"] / (data["duration_us"] / 1e6),
        p50_us=data["p50_us"],
        p99_us=data["p99_us"],
        cpu_us=cpu / max(data["requests"], 1),
        peak_mib=_resident_mib(processes),
    )


def compare(
    row: str,
    floor: Target,
    ours: Sequence[Target],
    *,
    folder: Path,
    seconds: float,
    say: Callable[[str], None],
    connections: Sequence[int] = CONNECTIONS,
) -> list[Result]:
    """Alternate floor and ours; the ratio is ours to the floor, pair by pair, and the median of that."""
    targets = [floor, *ours]
    runs: dict[tuple[str, int], list[Run]] = {}
    for count in connections:
        for target in targets:
            runs[target.name, count] = []
            run_once(target, count, min(seconds, 1.0), folder)  # warm-up
        for number in range(RUNS):
            for target in targets:
                say(f"{row}: {target.name}, {count} connections, run {number + 1} of {RUNS}")
                runs[target.name, count].append(run_once(target, count, seconds, folder))
    results: list[Result] = []
    for target in targets:
        note = ""
        if target.verify is not None:
            note = target.verify([run for c in connections for run in runs[target.name, c]])
        for count in connections:
            results.append(
                _median(row, target, count, runs[target.name, count], runs[floor.name, count], note)
            )
            results[-1].floor = floor.name
    return results


def _median(
    row: str, target: Target, count: int, runs: list[Run], floor_runs: list[Run], note: str
) -> Result:
    def mid(values: Iterable[float]) -> float:
        return statistics.median(list(values))

    ratios = [a.per_second / b.per_second for a, b in zip(runs, floor_runs, strict=True)]
    return Result(
        row=row,
        target=target.name,
        connections=count,
        per_second=mid(run.per_second for run in runs),
        p50_ms=mid(run.p50_us for run in runs) / 1000,
        p99_ms=mid(run.p99_us for run in runs) / 1000,
        cpu_us=mid(run.cpu_us for run in runs),
        peak_mib=max(run.peak_mib for run in runs),
        refused=sum(run.refused + run.socket_errors for run in runs),
        ratio=mid(ratios),
        note=note,
        runs=[asdict(run) for run in runs],
    )
