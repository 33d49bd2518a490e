"""nats-server's configuration, from one table for the local start and for compose.

``python -m infra.nats server-config`` prints the one that compose mounts (``infra/nats/server.conf``); passwords in it are
names of variables of the server's environment, so none is in a file or on a command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.nats.permissions import SETUP, password_variable, users

DEPLOYED_FILE = Path(__file__).with_name("server.conf")


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a server that speaks TLS only, from the first byte."""

    certificate: str
    key: str


def server_config(
    *,
    listen: str,
    store: str,
    password: Callable[[str], str],
    sync_interval: str | None = None,
    monitoring: str | None = None,
    tls: Tls | None = None,
) -> str:
    """``password`` gives a user's password as it stands in the file: quoted, or a ``$VARIABLE``.

    ``monitoring`` is an address to listen on without a password: loopback only.
    """
    lines = [
        f"listen: {json.dumps(listen)}",
        "jetstream {",
        f"  store_dir: {json.dumps(store)}",
        *([f"  sync_interval: {json.dumps(sync_interval)}"] if sync_interval else []),
        "}",
    ]
    if monitoring is not None:
        lines.append(f"http: {json.dumps(monitoring)}")
    if tls is not None:
        lines += [
            "tls {",
            f"  cert_file: {json.dumps(tls.certificate)}",
            f"  key_file: {json.dumps(tls.key)}",
            "  handshake_first: true",
            "}",
        ]
    lines += ["authorization {", "  users = ["]
    lines.append(f"    {{user: {json.dumps(SETUP)}, password: {password(SETUP)}}}")
    for user in users():
        lines += [
            f"    {{user: {json.dumps(user.name)}, password: {password(user.name)}, permissions: {{",
            *_allow("publish", user.publish),
            *_allow("subscribe", user.subscribe),
            "    }}",
        ]
    return "\n".join([*lines, "  ]", "}"]) + "\n"


def _allow(what: str, subjects: Iterable[str]) -> list[str]:
    quoted = [f"        {json.dumps(subject)}" for subject in subjects]
    return [f"      {what}: {{allow: [", *quoted, "      ]}"]


def deployed_config() -> str:
    """The one for compose: every address of the container, monitoring for its own health check only."""
    head = (
        "# Made by `python -m infra.nats server-config > infra/nats/server.conf` from users.toml, topology.toml and the\n"
        "# contracts; a test compares. A password begins with a letter (nats-server reads `12e4` as a number).\n"
    )
    return head + server_config(
        listen="0.0.0.0:4222",
        store="/data",
        password=lambda user: f"${password_variable(user)}",
        sync_interval="always",  # it stands alone: what it has acknowledged survives the machine
        monitoring="127.0.0.1:8222",
    )


def quoted(passwords: Mapping[str, str]) -> Callable[[str], str]:
    """Passwords as they stand in a configuration file that nobody else may read."""
    return lambda user: json.dumps(passwords[user])
