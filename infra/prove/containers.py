"""Containers as Docker would run them, made of namespaces: own root (read-only where the file says so), user, rights, network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.compose.model import COMPOSE_FILE, HealthCheck, Service
from infra.prove.images import Image, ProofError
from infra.prove.networks import Networks

HERE = Path(__file__).parent
ONCE_SECONDS = 300.0
HEALTHY_SECONDS = 240.0


@dataclass(frozen=True)
class Program:
    """What stands in an image that cannot be had here: the same software, and how its image starts it."""

    image: Image
    user: str
    entrypoint: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str, str], ...] = ()
    software: str = ""
    stop_signal: int = signal.SIGTERM


class Container:
    """One service of the compose file, running."""

    def __init__(
        self, service: Service, program: Program, networks: Networks, folder: Path
    ) -> None:
        self.service = service
        self.program = program
        self.networks = networks
        self.folder = folder / service.name
        self.log = folder / f"{service.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def user(self) -> tuple[str, str]:
        user, _, group = (self.service.user or self.program.user).partition(":")
        return user, group or user

    @property
    def kept(self) -> str:
        """Capabilities that are left; ``all`` is what Docker leaves an image that drops none."""
        if "ALL" not in self.service.cap_drop:
            return "all"
        return ",".join(one.lower() for one in self.service.cap_add)

    @property
    def environment(self) -> dict[str, str]:
        usual = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/",
        }
        return {**usual, **self.program.image.environment, **self.service.environment}

    def start(self, volumes: Mapping[str, Path], hosts: Path) -> None:
        """Start the command; its output goes to ``log``."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        mounts: list[str] = []
        for source, target, mode in (*self._volumes(volumes), *self.program.mounts):
            mounts += [source, target, mode]
        for target in self.service.tmpfs:
            mounts += ["-", target.partition(":")[0], "tmpfs"]
        mounts += [str(hosts), "/etc/hosts", "ro"]
        words = [
            *("nsenter", f"--net=/run/netns/{self.networks.namespace(self.service.name)}", "--"),
            *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--"),
            *("bash", str(HERE / "enter.sh"), str(self.program.image.root), str(self.folder)),
            *(*self.user, self.kept, "yes" if self.service.read_only else "no"),
            *(self.program.image.folder, *mounts, "--"),
            *(*self.program.entrypoint, *self.service.command),
        ]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _volumes(self, volumes: Mapping[str, Path]) -> list[tuple[str, str, str]]:
        found = []
        for volume in self.service.volumes:
            source = volumes[volume.source] if volume.named else COMPOSE_FILE.parent / volume.source
            if not volume.named:
                source = volumes.get(volume.source, source)
            found.append((str(source), volume.target, "ro" if volume.read_only else "rw"))
        return found

    @property
    def pid(self) -> int | None:
        """The container's first process, as this machine numbers it."""
        if self._process is None or self._process.poll() is not None:
            return None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            return int(children.read_text().split()[0])
        except (OSError, IndexError):
            return None

    @property
    def returncode(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def wait(self) -> None:
        """For a step that ends. Raises :class:`ProofError` when it fails or lasts too long."""
        assert self._process is not None
        try:
            code = self._process.wait(ONCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise ProofError(f"{self.service.name} does not end\n{self.last_lines()}") from None
        if code != 0:
            raise ProofError(f"{self.service.name} failed ({code})\n{self.last_lines()}")

    def check(self, health: HealthCheck) -> bool:
        """Run the health check inside, as the container's user."""
        pid = self.pid
        if pid is None:
            return False
        user, group = self.user
        words = [
            *("nsenter", "--target", str(pid), "--mount", "--pid", "--net", "--ipc", "--uts"),
            *("--root", f"--wdns={self.program.image.folder}", "--"),
            *("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--"),
            *health.command,
        ]
        try:
            done = subprocess.run(
                words,
                env=self.environment,
                capture_output=True,
                timeout=health.timeout + 10,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def wait_healthy(self) -> float:
        """Seconds until the check passed. Raises :class:`ProofError`."""
        health, begun = self.service.health, time.monotonic()
        while health is not None and not self.check(health):
            if self.returncode is not None:
                raise ProofError(
                    f"{self.service.name} ended ({self.returncode})\n{self.last_lines()}"
                )
            if time.monotonic() - begun > HEALTHY_SECONDS:
                raise ProofError(f"{self.service.name} is not healthy\n{self.last_lines()}")
            time.sleep(min(health.interval, 1.0))
        return time.monotonic() - begun

    def facts(self) -> str:
        """What the kernel says of it: user, capabilities, whether its root is written to."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        mounts = Path(f"/proc/{self.pid}/mounts").read_text().splitlines()
        root = next(line for line in mounts if line.split()[1] == "/")
        mode = root.split()[3].split(",")[0]
        return f"uid {lines['Uid'].split()[0]} caps {int(lines['CapEff'], 16):x} root {mode}"

    def ask_to_stop(self) -> None:
        """The image's stop signal to the first process."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, self.program.stop_signal)

    def stop(self, seconds: float = 30.0) -> None:
        """The stop signal, and SIGKILL when the first process does not end; everything in its namespace ends with it."""
        if self._process is None or self._process.poll() is not None:
            return
        pid = self.pid
        self.ask_to_stop()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            # Directly: a process that has changed its user no longer ends with its parent (prctl(2), PR_SET_PDEATHSIG).
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            self._process.wait(10)

    def last_lines(self, count: int = 15) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(line[:400] for line in text.splitlines()[-count:])
