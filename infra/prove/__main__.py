"""``make prove-compose``: the deployment proved without Docker, as root.

The real Dockerfile is built with buildah; every container of docker-compose.yml runs its command as its user, read-only where
the file says so, in a network namespace of its own on the networks it names; health checks run inside. Then a reader buys
through the TLS proxy, alerts are silent, and PostgreSQL, NATS (whose store is lost) and a worker are stopped in turn: which
alert fires is printed.
Only addresses in these namespaces are contacted; namespaces and mounts are removed at the end, also after a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.compose import configure
from infra.compose.model import Project, load, waves
from infra.local.stack import REPOSITORY
from infra.prove.containers import Container
from infra.prove.images import Builder, ProofError, run
from infra.prove.networks import Networks
from infra.prove.programs import program_for
from infra.prove.watch import Watch

FOLDER = Path("/var/tmp/press-proof")  # noqa: S108 - root's own, made 0700
TOOLS = ("buildah", "debootstrap", "caddy", "prometheus", "prometheus-alertmanager", "iproute2")
IMAGE = "press-revenue:local"
CLIENT = "reader"
CA_FILE = "caddy/pki/authorities/local/root.crt"
QUIET_SECONDS = 60.0
UP_SECONDS = 180.0
ALERT_SECONDS = 600.0
#: Laid over an image that was built before: this checkout's code, for quick repetition.
THIS_CHECKOUT = tuple(
    (str(REPOSITORY / name), f"/app/{name}", "ro") for name in ("services", "shared", "infra")
)
STOPPED = ("postgres", "paywall-worker", "nats")
#: Whose disk is lost with it, and the alert that says so for the next hour: what was on it comes back from the outboxes.
LOST = {"nats": "StreamForgot"}

app = typer.Typer(add_completion=False)
console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


@dataclass
class Proof:
    """Everything that has to be undone."""

    folder: Path
    builder: Builder
    project: Project
    networks: Networks
    values: dict[str, str]
    containers: dict[str, Container] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    _volumes: dict[str, Path] = field(default_factory=dict)

    def close(self) -> None:
        """Containers together, then networks, then what buildah mounted."""
        for container in self.containers.values():
            container.ask_to_stop()
        for container in self.containers.values():
            container.stop(15.0)
        self.networks.close()
        self.builder.close()

    def prepare(self, *, build: bool) -> None:
        image = (
            self.builder.product(IMAGE, self.folder / "build.log")
            if build
            else self.builder.mounted(IMAGE)
        )
        self.networks.open()
        for name, service in self.project.services.items():
            program = program_for(service, image, () if build else THIS_CHECKOUT)
            if program is None:
                self.missing.append(name)
                continue
            self.networks.join(name, service.networks)
            self.containers[name] = Container(
                service, program, self.networks, self.folder / "containers"
            )
        self.networks.join(CLIENT, ["front"])
        for name in self.containers:
            path = self._hosts(name)
            path.write_text(self.networks.hosts_file(name, self.project.services[name].networks))
        public = [
            configure_host(value) for name, value in self.values.items() if name.endswith("_URL")
        ]
        proxy = self.networks.addresses["front"]["proxy"]
        self._hosts(CLIENT).write_text(
            f"127.0.0.1 localhost\n{proxy} {' '.join(filter(None, public))}\n"
        )

    def _hosts(self, name: str) -> Path:
        folder = self.folder / "hosts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def volumes_of(self, container: Container) -> dict[str, Path]:
        """Named volumes belong, as with Docker, to the user of the image that fills them first."""
        for volume in container.service.volumes:
            if not volume.named:
                mine = self.folder / "deployment" / volume.source.removeprefix("./")
                if mine.exists():
                    self._volumes[volume.source] = mine
            elif volume.source not in self._volumes:
                path = self.folder / "volumes" / volume.source
                path.mkdir(parents=True)
                user, group = container.user
                os.chown(path, int(user), int(group))
                self._volumes[volume.source] = path
        return self._volumes

    def start(self, name: str) -> None:
        container = self.containers[name]
        container.start(self.volumes_of(container), self._hosts(name))

    def lose_store(self, name: str) -> None:
        """Empty the container's named volumes."""
        for volume in self.containers[name].service.volumes:
            if volume.named:
                for path in self._volumes[volume.source].iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def start_all(self) -> None:
        """In the order of depends_on; a wave's steps run to their end, its processes until they are healthy."""
        for wave in waves(self.project):
            names = [name for name in wave if name in self.containers]
            for name in names:
                self.start(name)
            for name in names:
                begun, container = time.monotonic(), self.containers[name]
                if container.service.once:
                    container.wait()
                else:
                    container.wait_healthy()
                    self.facts[name] = container.facts()
                self.seconds[name] = time.monotonic() - begun
                console.print(f"  {name:18} {'done' if container.service.once else 'healthy'}")
        self._check_facts()

    def _check_facts(self) -> None:
        for name, facts in self.facts.items():
            container = self.containers[name]
            wanted_root = "ro" if container.service.read_only else "rw"
            user = container.user[0]
            if not facts.startswith(f"uid {user} ") or not facts.endswith(f"root {wanted_root}"):
                raise ProofError(
                    f"{name} runs as {facts}, not as uid {user} with root {wanted_root}"
                )
            if container.service.ours and " caps 0 " not in facts:
                raise ProofError(f"{name} has capabilities: {facts}")

    def buy(self) -> list[str]:
        """A reader's purchase, from the reader's own namespace."""
        ca = self._volumes["proxy"] / CA_FILE
        done = subprocess.run(
            [
                *("nsenter", f"--net=/run/netns/{self.networks.namespace(CLIENT)}", "--"),
                *(
                    "unshare",
                    "--mount",
                    "--",
                    "sh",
                    "-c",
                    'mount --bind "$1" /etc/hosts; shift; exec "$@"',
                    "sh",
                ),
                *(str(self._hosts(CLIENT)), sys.executable, "-m", "infra.prove.purchase", str(ca)),
                *(
                    self.values[name]
                    for name in ("NEWS_SITE_URL", "BILLING_URL", "PAYWALL_URL", "AGENCY")
                ),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ProofError(f"the purchase failed: {done.stdout}{done.stderr}")
        return done.stdout.splitlines()

    def table(self) -> Table:
        table = Table(title="containers", title_justify="left")
        for heading in ("container", "software", "as", "networks", "state", "s"):
            table.add_column(heading, overflow="fold")
        for name, container in self.containers.items():
            table.add_row(
                name,
                "this image" if container.service.ours else container.program.software,
                self.facts.get(name, f"uid {container.user[0]}"),
                " ".join(container.service.networks),
                "done" if container.service.once else "healthy",
                f"{self.seconds[name]:.1f}",
            )
        for name in self.missing:
            table.add_row(name, "in no registry reached here", "", "", "not started", "")
        return table


def configure_host(url: str) -> str:
    return url.removeprefix("https://") if url.startswith("https://") else ""


def remove_left_over() -> None:
    """Namespaces of a proof that was killed, with what still runs in them: their names carry its process id."""
    for line in run(["ip", "netns", "list"]).splitlines():
        name = line.split()[0] if line.split() else ""
        found = re.match(r"pp(\d+)-", name)
        if found and not Path(f"/proc/{found[1]}").exists():
            for pid in run(["ip", "netns", "pids", name]).split():
                os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], check=False)


def outage(proof: Proof, watch: Watch, name: str) -> tuple[str, str, str, str]:
    """Stop one container until an alert fires and Alertmanager has it; start it again until all is silent."""
    console.print(f"  {name} is stopped …")
    proof.containers[name].stop()
    seconds = watch.until(watch.alerts, f"{name} is stopped and no alert fires", ALERT_SECONDS)
    first = watch.alerts()
    watch.until(lambda: watch.called() & set(first), f"{first} does not reach Alertmanager", 120.0)
    if name in LOST:
        proof.lose_store(name)
    proof.start(name)
    proof.containers[name].wait_healthy()
    told = {LOST[name]} if name in LOST else set()
    again = watch.until(
        lambda: not watch.targets_down() and set(watch.alerts()) == told,
        f"{name} is back, and the alerts are not {told or 'silent'}",
        ALERT_SECONDS,
    )
    shown = ", ".join(f"{alert} ({about})" if about else alert for alert, about in first.items())
    if not told:
        return name, shown, f"{seconds:.0f}", f"{again:.0f}"
    return (
        f"{name}, its store lost",
        f"{shown}, then {LOST[name]}",
        f"{seconds:.0f}",
        f"{again:.0f}",
    )


def prove(proof: Proof, *, build: bool, outages: bool) -> None:
    """The whole proof, each part with its line."""
    begun = time.monotonic()
    proof.prepare(build=build)
    console.print(
        f"{'image built, ' if build else ''}{len(proof.containers)} containers to start ({time.monotonic() - begun:.0f} s)"
    )
    proof.start_all()
    console.print(proof.table())
    for line in proof.buy():
        console.print(f"  reader: {line}", markup=False)
    watch = Watch(proof.networks)
    watch.until(
        lambda: not watch.targets_down(), f"not scraped: {watch.targets_down()}", UP_SECONDS
    )
    quiet = time.monotonic() + QUIET_SECONDS
    watch.until(lambda: watch.alerts() or time.monotonic() > quiet, "", QUIET_SECONDS + 30)
    if watch.alerts():
        raise ProofError(f"alerts fire while all is well: {watch.alerts()}")
    console.print(f"  every target is scraped; no alert in {QUIET_SECONDS:.0f} s")
    if outages:
        table = Table(title="outages", title_justify="left")
        for heading in ("stopped", "alert", "fires after s", "silent again after s"):
            table.add_column(heading, overflow="fold")
        for name in STOPPED:
            table.add_row(*outage(proof, watch, name))
        console.print(table)
        for line in proof.buy():
            console.print(f"  another reader: {line}", markup=False)
    console.print(f"proved in {time.monotonic() - begun:.0f} s")


@app.command()
def main(
    folder: Annotated[Path, typer.Option(help="Where images and logs go")] = FOLDER,
    outages: Annotated[bool, typer.Option(help="Also stop servers and wait for the alerts")] = True,
    build: Annotated[
        bool, typer.Option(help="No: this checkout's code over the image built before")
    ] = True,
) -> None:
    """Prove the compose file. Needs root, and Debian's buildah, debootstrap, caddy, prometheus, prometheus-alertmanager."""
    if os.geteuid() != 0:
        sys.exit("the proof makes namespaces and mounts: run it as root")

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise ProofError("stopped")

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, end)
    remove_left_over()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in ("deployment", "volumes", "containers", "hosts"):
        shutil.rmtree(folder / old, ignore_errors=True)
    deployment = folder / "deployment"
    deployment.mkdir()
    configure.configure(deployment, {}, demo=True, ask=None)
    values = configure.read_env(deployment / ".env")
    project = load(values, profiles=frozenset({"demo"}))
    builder = Builder(folder)
    proof = Proof(folder, builder, project, Networks(f"pp{os.getpid()}", project.networks), values)
    try:
        builder.bases()
        prove(proof, build=build, outages=outages)
    except ProofError as error:
        console.print(f"[red]✗[/] {error!s}", markup=False)
        console.print(f"logs: {folder / 'containers'}")
        raise typer.Exit(1) from None
    finally:
        proof.close()


if __name__ == "__main__":
    app()
