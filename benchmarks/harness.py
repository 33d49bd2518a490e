"""The harness: load from another process (wrk), closed loops at 1, 8 and 32 connections, warm-up first, three runs,
floor and ours in alternation, the median. Rows written are verified by the rows themselves.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

LUA = Path(__file__).with_name("load.lua")
CONNECTIONS = (1, 8, 32)
RUNS = 3
WARM_UP_SECONDS = 1
TRIES = 5  # of a run whose prepared requests did not suffice


@dataclass(frozen=True, slots=True)
class Request:
    """One prepared request. Headers may not contain ``|`` or tabs; the body is one line or escaped."""

    path: str
    body: str = ""
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    def line(self) -> str:
        """As ``load.lua`` reads it. Raises ``ValueError`` for a header that would break the line."""
        if any(set("|\t\n") & set(name + value) for name, value in self.headers):
            raise ValueError("a header may not contain |, tab or newline")
        headers = "|".join(f"{name}: {value}" for name, value in self.headers)
        body = self.body.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
        return f"{self.method}\t{self.path}\t{headers}\t{body}"


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run. Times in microseconds; ``cpu_us`` is the server's own, per request."""

    connections: int
    requests: int
    ok: int
    refused: int
    socket_errors: int
    marked: int
    wrapped: int
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
    per_run: int = 6_000  # requests prepared for the warm-up; the runs follow from what it gave
    marker: str = ""  # Lua pattern: answers whose body has it are counted as ``Run.marked``
    once: bool = False  # each request may be sent only once


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


def parse_result(output: str) -> dict[str, int]:
    """The line of JSON that ``load.lua`` prints. Raises ``ValueError`` when there is none."""
    for line in output.splitlines():
        if line.startswith("RESULT "):
            found: dict[str, int] = json.loads(line.removeprefix("RESULT "))
            return found
    raise ValueError(f"wrk printed no result: {output[-500:]!r}")


def wanted(per_second: float, seconds: int) -> int:
    """How many requests to prepare, given the rate before: plenty, since a run may be faster than the last."""
    return int(per_second * seconds * 1.7) + 500


def run_once(
    target: Target, connections: int, seconds: int, folder: Path, count: int | None = None
) -> Run:
    """Prepare requests, load the target for ``seconds``, read the result."""
    file = folder / "requests.tsv"
    with file.open("w", encoding="utf-8") as out:
        out.writelines(
            request.line() + "\n" for request in target.requests(count or target.per_run)
        )
    processes = _tree(target.pids)
    before = _cpu_seconds(processes)
    output = subprocess.run(
        [
            require_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
            "-s", str(LUA), target.url, "--", str(file), target.marker, "once" if target.once else "",
        ],
        check=True, capture_output=True, text=True, timeout=seconds + 120,
    ).stdout  # fmt: skip
    data = parse_result(output)
    cpu = (_cpu_seconds(processes) - before) * 1e6
    return Run(
        connections=connections,
        requests=data["requests"],
        ok=data["ok"],
        refused=data["refused"],
        socket_errors=data["socket_errors"],
        marked=data["marked"],
        wrapped=data["wrapped"],
        per_second=data["requests"] / (data["duration_us"] / 1e6),
        p50_us=data["p50_us"],
        p99_us=data["p99_us"],
        cpu_us=cpu / max(data["requests"], 1),
        peak_mib=_resident_mib(processes),
    )


def run_whole(
    target: Target, connections: int, seconds: int, folder: Path, count: int
) -> list[Run]:
    """Runs until one lasted its whole time: a server faster than expected is asked again with twice the requests.

    The last one counts; the ones before ended early, and what they wrote is real. Raises SystemExit after `TRIES`.
    """
    runs = []
    for attempt in range(TRIES):
        runs.append(run_once(target, connections, seconds, folder, count * 2**attempt))
        if not (target.once and runs[-1].wrapped):
            return runs
    raise SystemExit(f"{target.name}: {count * 2 ** (TRIES - 1)} prepared requests did not suffice")


def compare(
    row: str,
    floor: Target,
    ours: Sequence[Target],
    *,
    folder: Path,
    seconds: int,
    say: Callable[[str], None],
    connections: Sequence[int] = CONNECTIONS,
    verify: Callable[[Mapping[str, list[Run]]], str] | None = None,
) -> list[Result]:
    """Alternate floor and ours; the ratio is ours to the floor, pair by pair, and the median of that.

    ``verify`` gets every run of every target, warm-ups too; it says what was written, or raises.
    """
    targets = [floor, *ours]
    runs: dict[tuple[str, int], list[Run]] = {}
    everything: dict[str, list[Run]] = {target.name: [] for target in targets}
    for count in connections:
        for target in targets:
            runs[target.name, count] = []
            everything[target.name].append(run_once(target, count, WARM_UP_SECONDS, folder))
        for number in range(RUNS):
            for target in targets:
                say(f"{row}: {target.name}, {count} connections, run {number + 1} of {RUNS}")
                before = max(run.per_second for run in everything[target.name][-2:])
                tried = run_whole(target, count, seconds, folder, wanted(before, seconds))
                runs[target.name, count].append(tried[-1])
                everything[target.name] += tried
    note = verify(everything) if verify is not None else ""
    results: list[Result] = []
    for target in targets:
        for count in connections:
            found = _median(row, target, count, runs[target.name, count], runs[floor.name, count])
            found.floor = floor.name
            found.note = note if target is not floor else ""
            results.append(found)
    return results


def _median(row: str, target: Target, count: int, runs: list[Run], floor_runs: list[Run]) -> Result:
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
        runs=[asdict(run) for run in runs],
    )


def in_flight(runs: Iterable[Run]) -> int:
    """How many requests may have been answered after the load had stopped listening."""
    return sum(run.connections for run in runs)
