"""``make fresh``: both commands on bare Debian 12 and 13 with their own Pythons, as root and as an ordinary user.

Needs root and debootstrap; `make run` is started, every address of its table asked, and Ctrl-C sent; `make test` runs whole.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from infra.fresh.machines import SUITES, FreshError, Machine, build_base
from infra.local import debian
from infra.local.ports import free_block
from infra.local.processes import PORTS_USED
from infra.local.stack import REPOSITORY

RUN_SECONDS = 600.0
STOP_SECONDS = 60.0
TEST_SECONDS = 3600.0
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+(?=\s)")
#: The one line that an ordinary user is shown (infra/local/debian.py).
MISSING = re.compile(r"^missing: .*; type: sudo apt-get install (.*)$", re.MULTILINE)
DEFAULT_FOLDER = Path("/var/tmp/press-fresh")  # noqa: S108 - root's own, made 0700; outside the checkout, whose size it would multiply

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Outcome:
    """What one command did on one machine."""

    machine: str
    word: str
    ok: bool
    seconds: float
    said: str


def project_archive(target: Path) -> Path:
    """The commit that is checked out, as somebody without git would unpack it."""
    subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", "--format=tar", f"--output={target}", "HEAD"],
        check=True,
    )
    return target


def answers(url: str) -> bool:
    """Whether an address of the table is served: a page, a redirect, or a page for somebody signed in."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request("GET", "/healthz" if parts.path in ("", "/") else parts.path)
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def try_run(machine: Machine, log: Path) -> tuple[bool, str]:
    """`make run` until its table, every address, Ctrl-C; whether all went well, and a sentence."""
    port = free_block(PORTS_USED)
    with log.open("wb") as out:
        running = subprocess.Popen(
            machine.command(["make", "-C", machine.checkout, "run", f"PORT={port}"]),
            env=machine.environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    begun = time.monotonic()
    try:
        while "ready after" not in log.read_text(errors="replace"):
            if running.poll() is not None:
                return False, f"ended with {running.returncode} before its table"
            if time.monotonic() - begun > RUN_SECONDS:
                return False, f"no table after {RUN_SECONDS:.0f} s"
            time.sleep(0.2)
        table = time.monotonic() - begun
        addresses = sorted(set(ADDRESS.findall(log.read_text(errors="replace"))))
        silent = [url for url in addresses if not answers(url)]
        if silent or not addresses:
            return False, f"does not answer: {silent or 'no address in the table'}"
        return _interrupt(running, f"table after {table:.0f} s, {len(addresses)} addresses answer")
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


def _interrupt(running: subprocess.Popen[bytes], so_far: str) -> tuple[bool, str]:
    """Ctrl-C as a terminal sends it: to the whole foreground group inside."""
    begun = time.monotonic()
    inner = subprocess.run(
        [
            "pgrep",
            "-f",
            "infra.local.run",
            "--ns",
            str(_first_child(running.pid)),
            "--nslist",
            "pid",
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    for pid in inner:
        subprocess.run(["kill", "-INT", pid], check=False)
    try:
        running.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return False, f"{so_far}; did not stop within {STOP_SECONDS:.0f} s"
    return True, f"{so_far}, stopped in {time.monotonic() - begun:.1f} s"


def _first_child(pid: int) -> int:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return int(found.stdout.split()[0])


def try_test(machine: Machine, log: Path) -> tuple[bool, str]:
    """`make test`; an ordinary user first gets the line that names what is missing, and has it installed."""
    words = ["make", "-C", machine.checkout, "test"]
    for _attempt in range(2):
        with log.open("wb") as out:
            done = subprocess.run(
                machine.command(words),
                env=machine.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=TEST_SECONDS,
                check=False,
            )
        text = log.read_text(errors="replace")
        missing = MISSING.search(text)
        if machine.as_root or missing is None:
            break
        machine.install(missing[1].split())
    last = [line for line in text.splitlines() if re.search(r"\d+ (passed|failed|error)", line)]
    return done.returncode == 0, last[-1].strip("= ") if last else text.strip()[-300:]


TRIES = {"run": try_run, "test": try_test}


@app.command()
def main(
    suite: Annotated[
        list[str] | None, typer.Option(help="bookworm, trixie; all without one")
    ] = None,
    user: Annotated[list[str] | None, typer.Option(help="root, ordinary; both without one")] = None,
    word: Annotated[list[str] | None, typer.Option(help="run, test; both without one")] = None,
    folder: Annotated[
        Path, typer.Option(help="Where the systems are built and kept")
    ] = DEFAULT_FOLDER,
) -> None:
    """Prove the two commands on fresh machines; exit code 1 when one of them failed."""
    line = debian.ensure(["debootstrap"])
    if line is not None:
        sys.exit(line)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="press-fresh-") as scratch:
        archive = project_archive(Path(scratch) / "project.tar")
        for one_suite in suite or list(SUITES):
            try:
                base = build_base(one_suite, folder / "bases")
                for one_user in user or ["root", "ordinary"]:
                    layer = folder / f"{one_suite}-{one_user}"
                    machine = Machine(base, layer, as_root=one_user == "root")
                    outcomes += _prove(machine, f"{SUITES[one_suite]} {one_user}", archive, word)
            except FreshError as error:
                sys.exit(str(error))
    sys.exit(0 if all(outcome.ok for outcome in outcomes) else 1)


def _prove(machine: Machine, name: str, archive: Path, words: list[str] | None) -> list[Outcome]:
    machine.create(archive)
    if not machine.forbids_user_namespaces():
        raise FreshError(f"{name}: user namespaces are permitted there, so this proves too little")
    print(f"{name}: {machine.python_version()}, no user namespaces", flush=True)
    outcomes = []
    for word in words or list(TRIES):
        log = machine.layer.parent / f"{machine.layer.name}-{word}.log"
        begun = time.monotonic()
        ok, said = TRIES[word](machine, log)
        outcome = Outcome(name, word, ok, time.monotonic() - begun, said)
        outcomes.append(outcome)
        print(
            f"  {'ok    ' if ok else 'FAILED'} make {word:<5} {outcome.seconds:6.0f} s  {said}"
            + ("" if ok else f"  (log: {log})"),
            flush=True,
        )
    machine.destroy()
    return outcomes


if __name__ == "__main__":
    app()
