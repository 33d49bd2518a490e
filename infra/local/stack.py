"""The whole product on one machine: servers, databases, steps, processes; started and stopped.

`make run` is a face on this; end-to-end and fault tests start one in a temporary directory:

    with LocalStack(tmp_path, free_block(PORTS_USED), durable=False) as stack:
        stack.kill("billing-worker")
        stack.restart("billing-worker")
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from infra.local import processes as data
from infra.local.child import Child, ChildError, Running, dies_with_parent, last_lines
from infra.local.databases import ensure_databases, ensure_reporting
from infra.local.forks import ForkedChild, ForkParent, can_fork
from infra.local.local_secrets import load_or_create
from infra.local.lock import InUseError, lock_data
from infra.local.nats import Nats
from infra.local.ports import answers, require_free
from infra.local.postgres import Postgres
from infra.local.processes import ProcessSpec, StepSpec, Surroundings
from infra.local.streams import ensure_streams
from infra.nats.permissions import SETUP

REPOSITORY = Path(__file__).resolve().parents[2]
REPORTED_DATABASE = "metrics"  # the one that dashboards read
READY_SECONDS = 90.0
STEP_SECONDS = 180.0
STOP_SECONDS = 15.0
LARGEST_LOG_BYTES = 5_000_000
# What children inherit; the rest of the caller's environment must not change how they run.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LOG_LEVEL", "CLOCK_OFFSET_SECONDS")

OnStep = Callable[[str, bool], None]  # a title, and whether it is done


class StackError(RuntimeError):
    """The stack cannot be started; the message says why and where to look."""


def waves(specs: Sequence[ProcessSpec]) -> list[list[ProcessSpec]]:
    """Groups in starting order: everything in `after` is in an earlier group.

    Raises ValueError on a circle or an unknown name.
    """
    left, done, result = list(specs), set[str](), list[list[ProcessSpec]]()
    while left:
        wave = [spec for spec in left if done.issuperset(spec.after)]
        if not wave:
            raise ValueError(f"nothing can start first among {[spec.name for spec in left]}")
        result.append(wave)
        done.update(spec.name for spec in wave)
        left = [spec for spec in left if spec not in wave]
    return result


def code_fingerprint(steps: Sequence[StepSpec], root: Path = REPOSITORY) -> str:
    """Changes whenever a migration, a seed or anything they may use changes."""
    digest = hashlib.sha256(repr(steps).encode())
    for package in ("services", "shared", "infra"):
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class LocalStack:
    """One running product: `data_dir` holds all it keeps, `base_port` + offsets are its ports.

    `durable=False` (tests): no fsync. `env` is added to every child's environment.
    """

    def __init__(
        self,
        data_dir: Path,
        base_port: int,
        *,
        durable: bool = True,
        processes: Sequence[ProcessSpec] = data.PROCESSES,
        steps: Sequence[StepSpec] = data.STEPS,
        databases: Iterable[str] = data.DATABASES,
        assets: Path = REPOSITORY / ".local" / "assets",
        env: Mapping[str, str] | None = None,
        on_step: OnStep = lambda _title, _done: None,
        port_setting: str = "make run PORT=<base port>",
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.base_port = base_port
        self.processes = {spec.name: spec for spec in processes}
        self.steps = list(steps)
        self.databases = tuple(databases)
        self.assets = assets
        self.env = dict(env or {})
        self.port_setting = port_setting
        self.logs = self.data_dir / "logs"
        self._on_step = on_step
        self._children: dict[str, Running] = {}
        self._wanted: set[str] = set()
        self._guard = threading.RLock()
        self._lock: IO[str] | None = None
        self._surroundings: Surroundings | None = None
        self.postgres = Postgres(
            self.data_dir / "postgres",
            base_port + data.POSTGRES_OFFSET,
            fsync=durable,
            log=self.logs / "postgres.log",
            port_setting=port_setting,
        )
        self.nats: Nats | None = None
        self.fork_parent = self._fork_parent() if can_fork() else None

    # Addresses and state

    @property
    def surroundings(self) -> Surroundings:
        if self._surroundings is None:
            secrets = load_or_create(self.data_dir / "secrets.json", self.databases)
            self._surroundings = Surroundings(self.base_port, self.data_dir, self.assets, secrets)
        return self._surroundings

    def url(self, name: str) -> str:
        """The address of a process, without a slash at the end."""
        return self.surroundings.url(self.processes[name].port)

    def database_url(self, database: str) -> str:
        return self.surroundings.database_url(database)

    @property
    def nats_url(self) -> str:
        """As the set-up's user, who may do everything."""
        return self.surroundings.nats_url(SETUP)

    def pid(self, name: str) -> int | None:
        return self._server(name).pid

    def alive(self, name: str) -> bool:
        return self._server(name).alive

    def returncode(self, name: str) -> int | None:
        return self._server(name).returncode

    def log_path(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def dead(self) -> list[str]:
        """What should be running and is not: it died by itself."""
        with self._guard:
            return [name for name in sorted(self._wanted) if not self.alive(name)]

    # Start

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start everything and return when every process is ready; on failure, stop it all."""
        self._claim()
        try:
            self._require_ports()
            if self.fork_parent is not None:
                self.fork_parent.begin()  # it imports while the servers start
            self._step("PostgreSQL", lambda: self.start_one("postgres"))
            self._step("NATS", lambda: self.start_one("nats"))
            self._step("databases", self._ensure_databases)
            self._prepare()
            self._step("services", self._start_processes)
        except BaseException:
            self.stop()
            raise
        return self

    def _step(self, title: str, work: Callable[[], object]) -> None:
        self._on_step(title, False)
        work()
        self._on_step(title, True)

    def _claim(self) -> None:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        for log in self.logs.glob("*.log"):
            if log.stat().st_size > LARGEST_LOG_BYTES:
                log.replace(log.with_suffix(".log.1"))
        try:
            self._lock = lock_data(self.data_dir)
        except InUseError:
            raise StackError(
                f"another `make run` already uses {self.data_dir}: stop it first, "
                "or give this one its own --data-dir and --port"
            ) from None

    def _require_ports(self) -> None:
        wanted = {spec.name: spec.port for spec in self.processes.values()}
        wanted |= {"PostgreSQL": data.POSTGRES_OFFSET, "NATS": data.NATS_OFFSET}
        wanted["NATS monitoring"] = data.NATS_MONITORING_OFFSET
        for name, offset in wanted.items():
            require_free(self.base_port + offset, name, self.port_setting)

    def _ensure_databases(self) -> None:
        secrets = self.surroundings.secrets
        ensure_databases(self.postgres, self.databases, secrets.database_passwords)
        if REPORTED_DATABASE in self.databases:
            ensure_reporting(self.postgres, REPORTED_DATABASE, secrets.reporting_password)

    def _prepare(self) -> None:
        """Migrations, streams, demo data: unless this very code did all that to this data."""
        marker = self.data_dir / "prepared"
        fingerprint = code_fingerprint(self.steps)
        if marker.exists() and marker.read_text() == fingerprint:
            ensure_streams(self)
            return
        for stage in data.STAGES:
            steps = [step for step in self.steps if step.stage == stage]
            if steps:
                self._step(stage, lambda steps=steps: self.run_steps(steps))  # type: ignore[misc]
        marker.write_text(fingerprint)

    def run_steps(self, steps: Sequence[StepSpec]) -> None:
        running = [self._child(step) for step in steps]
        try:
            for child in running:
                child.start()
            for child in running:
                if child.wait(STEP_SECONDS) != 0:
                    raise StackError(
                        f"`{child.name}` failed (see {child.log}):\n{last_lines(child.log)}"
                    )
        finally:
            for child in running:
                child.stop()

    def _start_processes(self) -> None:
        for wave in waves(list(self.processes.values())):
            for spec in wave:
                self.start_one(spec.name, wait=False)
            for spec in wave:
                self.wait_ready(spec.name)

    # One process

    def start_one(
        self, name: str, *, env: Mapping[str, str] | None = None, wait: bool = True
    ) -> None:
        """Start a process (or "postgres", "nats"); `env` is added for this time only."""
        with self._guard:
            if name == "postgres":
                self.postgres.start()
            elif name == "nats":
                self._nats().start()
            elif not (name in self._children and self._children[name].alive):
                child = self._child(self.processes[name], env)
                self._children[name] = child
                child.start()
            self._wanted.add(name)
        if wait:
            self.wait_ready(name)

    def wait_ready(self, name: str, timeout_seconds: float = READY_SECONDS) -> None:
        """Return when the process answers its readiness check."""
        if name in self.processes:
            spec = self.processes[name]
            port = self.base_port + spec.port
            try:
                self._children[name].wait_until(
                    lambda: answers(port, spec.ready_path), timeout_seconds
                )
            except ChildError as error:
                raise StackError(f"{error}\n(the whole log: {self.log_path(name)})") from None

    def kill(self, name: str) -> None:
        """Crash it (SIGKILL); it stays down until `restart`."""
        with self._guard:
            self._wanted.discard(name)
            self._server(name).kill()

    def stop_one(self, name: str, timeout_seconds: float = STOP_SECONDS) -> None:
        """Stop it in an orderly way; it stays down until `restart`."""
        with self._guard:
            self._wanted.discard(name)
            self._server(name).stop(timeout_seconds)

    def restart(self, name: str, *, env: Mapping[str, str] | None = None) -> None:
        """Stop it if it runs, start it, wait until it is ready."""
        self.stop_one(name)
        self.start_one(name, env=env)

    def environment(self, name: str) -> dict[str, str]:
        """The whole environment of a process or step, for running its other commands."""
        spec = self.processes.get(name) or next(step for step in self.steps if step.name == name)
        return self._environment(spec, None)

    def stop(self) -> None:
        """Everything, in reverse: processes, NATS, PostgreSQL; each wait is bounded."""
        with self._guard:
            self._wanted.clear()
            for wave in reversed(waves(list(self.processes.values()))):
                self._stop_together([self._children[s.name] for s in wave if self._has(s.name)])
            if self.nats is not None:
                self.nats.stop()
            self.postgres.stop()
            if self.fork_parent is not None:
                self.fork_parent.stop()
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def _has(self, name: str) -> bool:
        return name in self._children

    @staticmethod
    def _stop_together(children: Sequence[Running]) -> None:
        for child in children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            child.stop(max(0.0, deadline - time.monotonic()))

    def _nats(self) -> Nats:
        if self.nats is None:
            self.nats = Nats(
                self.data_dir / "nats",
                self.base_port + data.NATS_OFFSET,
                monitoring_port=self.base_port + data.NATS_MONITORING_OFFSET,
                sync_interval="always" if self.postgres.fsync else None,
                passwords=self.surroundings.secrets.nats_passwords,
                log=self.logs / "nats.log",
                port_setting=self.port_setting,
            )
        return self.nats

    def _server(self, name: str) -> Postgres | Nats | Running:
        if name == "postgres":
            return self.postgres
        if name == "nats":
            return self._nats()
        if name not in self.processes:
            known = ", ".join(["postgres", "nats", *self.processes])
            raise KeyError(f"no process {name!r}; there are: {known}")
        return self._children.get(name) or self._child(self.processes[name])

    def _child(self, spec: ProcessSpec | StepSpec, env: Mapping[str, str] | None = None) -> Running:
        log = self.log_path(spec.name.replace(" ", "-"))
        environment = self._environment(spec, env)
        if self.fork_parent is not None and spec.command[:2] == ("python", "-m"):
            return ForkedChild(
                spec.name, self.fork_parent, spec.command[2:], log=log, env=environment
            )
        executable = sys.executable if spec.command[0] == "python" else spec.command[0]
        return Child(
            spec.name,
            dies_with_parent([executable, *spec.command[1:]], signal.SIGTERM),
            log=log,
            env=environment,
            cwd=REPOSITORY,
        )

    def _fork_parent(self) -> ForkParent:
        specs: list[ProcessSpec | StepSpec] = [*self.processes.values(), *self.steps]
        commands = [spec.command for spec in specs]
        modules = [command[2] for command in commands if command[:2] == ("python", "-m")]
        return ForkParent(
            list(dict.fromkeys(modules)),
            log=self.log_path("fork-parent"),
            env=self._inherited(),
        )

    @staticmethod
    def _inherited() -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
        }

    def _environment(
        self, spec: ProcessSpec | StepSpec, env: Mapping[str, str] | None
    ) -> dict[str, str]:
        return {
            **self._inherited(),
            "TYPER_STANDARD_TRACEBACK": "1",  # plain ones: a log has no boxes
            **self.surroundings.environment(spec),
            **self.env,
            **(env or {}),
        }
