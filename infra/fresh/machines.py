"""A fresh machine: a bare Debian in a chroot with its own mount and process namespaces, thrown away afterwards.

A chroot is the strictest usual place: the kernel refuses user namespaces in it, to root as well, as containers
with default settings do. What the machine has: Debian's minimal system and `PACKAGES`, nothing of this one's
Python, caches or environment, but the settings by which this machine's package clients reach their registries.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: What README asks for: Python with pip and venv, make, a C compiler.
PACKAGES = ("python3-venv", "python3-dev", "python3-pip", "make", "gcc", "libc6-dev")
SUPPORTING = ("ca-certificates", "util-linux")
ORDINARY = "doc-gia"  # the ordinary user's name
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
#: How this machine's package clients reach their registries; copied where they exist.
CLIENT_SETTINGS = (
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/pip.conf",
    "/etc/npmrc",
    "/usr/etc/npmrc",
    "/etc/ssl/certs/ca-certificates.crt",
)
CLIENT_HOME_SETTINGS = (".config/pip/pip.conf", ".npmrc")
CLIENT_VARIABLES = re.compile(
    r"^(https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|PIP_(CERT|INDEX_URL|DEFAULT_TIMEOUT)|SSL_CERT_FILE"
    r"|NODE_EXTRA_CA_CERTS|UV_(INDEX_URL|DEFAULT_INDEX))$"
)


class FreshError(RuntimeError):
    """The machine cannot be made; the message says why."""


def client_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by which package clients reach their registries, and no others."""
    return {name: value for name, value in environment.items() if CLIENT_VARIABLES.match(name)}


def mirror(sources: Iterable[str]) -> str:
    """The first Debian mirror that apt's sources name (one-line or deb822 style). Raises FreshError."""
    for line in sources:
        found = re.match(r"\s*(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(\S+)", line)
        if found and "security" not in found[1]:
            return found[1]
    raise FreshError("apt's sources name no Debian mirror to build a bare system from")


def _apt_sources() -> list[str]:
    folder = Path("/etc/apt")
    files = [
        folder / "sources.list",
        *sorted(folder.glob("sources.list.d/*.sources")),
        *sorted(folder.glob("sources.list.d/*.list")),
    ]
    return [line for file in files if file.exists() for line in file.read_text().splitlines()]


def build_base(suite: str, folder: Path, packages: Sequence[str] = PACKAGES) -> Path:
    """A bare system of `suite` below `folder`, made once."""
    base = folder / suite
    if (base / ".complete").exists():
        return base
    shutil.rmtree(base, ignore_errors=True)
    base.parent.mkdir(parents=True, exist_ok=True)
    include = ",".join((*packages, *SUPPORTING))
    done = subprocess.run(
        [
            "debootstrap",
            "--variant=minbase",
            f"--include={include}",
            suite,
            str(base),
            mirror(_apt_sources()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise FreshError(f"debootstrap {suite}: {(done.stderr or done.stdout).strip()[-800:]}")
    _copy_client_settings(base)
    (base / ".complete").touch()
    return base


def _copy_client_settings(base: Path) -> None:
    for name in CLIENT_SETTINGS:
        if Path(name).exists():
            target = base / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, target)
    for proxy in Path("/etc/apt/apt.conf.d").glob("*"):
        if "Acquire::http" in proxy.read_text(errors="replace"):
            shutil.copy(proxy, base / "etc/apt/apt.conf.d" / proxy.name)
    for name in CLIENT_HOME_SETTINGS:
        source = Path.home() / name
        for home in ("root", "etc/skel"):
            if source.exists():
                target = base / home / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)


@dataclass(frozen=True)
class Machine:
    """One fresh machine: `base` below a layer of its own in `layer`, used as root or as the ordinary user."""

    base: Path
    layer: Path
    as_root: bool

    @property
    def home(self) -> str:
        return "/root" if self.as_root else f"/home/{ORDINARY}"

    @property
    def checkout(self) -> str:
        return f"{self.home}/press-revenue"

    def create(self, archive: Path) -> None:
        """The user and the project's files (a tar archive of a commit), in a home nobody else may enter."""
        shutil.rmtree(self.layer, ignore_errors=True)
        for part in ("upper", "work", "root"):
            (self.layer / part).mkdir(parents=True)
        self._checked(
            [
                "sh",
                "-c",
                f"useradd --create-home --shell /bin/bash {ORDINARY} && chmod 700 /root /home/{ORDINARY}",
            ],
            as_root=True,
        )
        inside = self.layer / "upper" / "tmp" / "project.tar"
        inside.parent.mkdir(exist_ok=True)
        shutil.copy(archive, inside)
        inside.chmod(0o644)
        self._checked(
            ["sh", "-c", f"mkdir {self.checkout} && tar -xf /tmp/project.tar -C {self.checkout}"]
        )

    def destroy(self) -> None:
        shutil.rmtree(self.layer, ignore_errors=True)

    def command(self, words: Sequence[str], *, as_root: bool | None = None) -> list[str]:
        """The command that runs `words` inside; everything it started ends with it."""
        root = self.layer / "root"
        mounts = (
            f"mount -t overlay overlay -o lowerdir={self.base},upperdir={self.layer}/upper,"
            f"workdir={self.layer}/work {root} && mount -t proc proc {root}/proc"
            f' && mount --rbind /dev {root}/dev && exec chroot {root} "$@"'
        )
        user = [] if (self.as_root if as_root is None else as_root) else self._become_ordinary()
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("bash", "-c", mounts, "bash", *user, *words),
        ]

    def _become_ordinary(self) -> list[str]:
        return ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--init-groups"]

    def environment(self) -> dict[str, str]:
        """A new login's, and how to reach the registries."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self.home,
            "LANG": "C.UTF-8",
            **client_variables(os.environ),
        }

    def _checked(self, words: Sequence[str], *, as_root: bool | None = None) -> str:
        done = subprocess.run(
            self.command(words, as_root=as_root),
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise FreshError(f"{' '.join(words)[:60]}: {done.stderr.strip()[-500:]}")
        return done.stdout.strip()

    def python_version(self) -> str:
        return self._checked(["python3", "--version"])

    def forbids_user_namespaces(self) -> bool:
        """Whether it is the kind of machine that this proof is about."""
        done = subprocess.run(
            self.command(["unshare", "--user", "true"]),
            env=self.environment(),
            capture_output=True,
            check=False,
        )
        return done.returncode != 0

    def install(self, packages: Sequence[str]) -> None:
        """What an administrator does when an ordinary user's command names missing packages."""
        words = f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {' '.join(packages)}"
        self._checked(["sh", "-c", f"export DEBIAN_FRONTEND=noninteractive; {words}"], as_root=True)
