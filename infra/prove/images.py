"""The real Dockerfile built with buildah, on base images made here: Debian by debootstrap, with this machine's Node where asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.fresh.machines import build_base, client_variables
from infra.local.stack import REPOSITORY

SUITE = "bookworm"
PYTHON_IMAGE = "python:3.11-slim-bookworm"
NODE_IMAGE = "node:20-bookworm-slim"
PACKAGES = ("python3-venv",)


class ProofError(RuntimeError):
    """The proof cannot go on; the message says why."""


def run(words: list[str], *, cwd: Path | None = None, log: Path | None = None) -> str:
    """Standard output of a command. Raises :class:`ProofError` with the end of what it said."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd)
    if log is not None:
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise ProofError(f"{' '.join(words[:6])} …: {said}")
    return done.stdout


@dataclass(frozen=True)
class Image:
    """A root folder, and what the image says about how it is run."""

    root: Path
    environment: dict[str, str]
    folder: str


class Builder:
    """buildah with a store of its own, so that no other image of this machine is touched."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.words = [
            "buildah",
            *("--root", str(store / "storage"), "--runroot", str(store / "run")),
            *("--storage-driver", "vfs"),
        ]

    def __call__(self, *words: str, log: Path | None = None) -> str:
        return run([*self.words, *words], log=log).strip()

    def bases(self) -> None:
        """Debian with Python, and the same with Node, under the names that the Dockerfile has."""
        debian = build_base(SUITE, self.store / "debian", packages=PACKAGES)
        python = debian / "usr/bin/python"
        if not python.is_symlink():
            python.symlink_to("python3")
        if not self._has(PYTHON_IMAGE):
            self._commit(debian, PYTHON_IMAGE)
        if not self._has(NODE_IMAGE):
            node = self.store / "node"
            copy_node(node)
            self._commit(node, NODE_IMAGE, base=f"localhost/{PYTHON_IMAGE}")

    def _has(self, name: str) -> bool:
        return bool(self("images", "--quiet", "--filter", f"reference=localhost/{name}"))

    def _commit(self, folder: Path, name: str, base: str = "scratch") -> None:
        container = self("from", "--pull=never", base)
        self("copy", "--quiet", container, f"{folder}/", "/")
        for variable, value in client_variables(os.environ).items():
            self("config", "--env", f"{variable}={value}", container)
        self("commit", "--quiet", container, f"localhost/{name}")
        self("rm", container)

    def product(self, name: str, log: Path) -> Image:
        """The product's image from the files under version control, as `make up` builds it."""
        context = self.store / "context"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir()
        files = run(["git", "ls-files", "-z"], cwd=REPOSITORY)
        listed = self.store / "files"
        listed.write_text(files, encoding="utf-8")
        archive = self.store / "context.tar"
        run(["tar", "--null", "-T", str(listed), "-cf", str(archive)], cwd=REPOSITORY)
        run(["tar", "-xf", str(archive), "-C", str(context)])
        self(
            "build",
            *("--isolation", "chroot", "--network", "host", "--pull=never"),
            *("--file", str(context / "infra/docker/Dockerfile"), "--tag", name, str(context)),
            log=log,
        )
        return self.mounted(name)

    def mounted(self, name: str) -> Image:
        container = self("from", "--pull=never", f"localhost/{name}")
        root = Path(self("mount", container))
        facts: dict[str, Any] = json.loads(self("inspect", "--type", "image", f"localhost/{name}"))
        config = facts["OCIv1"]["config"]
        environment = dict(one.split("=", 1) for one in config.get("Env", []))
        for variable in client_variables(os.environ):
            environment.pop(variable, None)
        return Image(root, environment, config.get("WorkingDir") or "/")

    def close(self) -> None:
        """Unmount and remove the containers; images stay, so that the next proof is quicker."""
        for words in (("umount", "--all"), ("rm", "--all")):
            subprocess.run([*self.words, *words], capture_output=True, check=False)


def copy_node(folder: Path) -> None:
    """This machine's Node and npm, with the libraries that a bare Debian lacks."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise ProofError("Node is missing (Debian: apt-get install nodejs npm)")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "usr/bin").mkdir(parents=True)
    binary = Path(node).resolve()
    shutil.copy(binary, folder / "usr/bin/node")
    package = next(one for one in Path(npm).resolve().parents if one.name == "npm")
    shutil.copytree(package, folder / "usr/lib/node_modules/npm", symlinks=True)
    (folder / "usr/bin/npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    for line in run(["ldd", str(binary)]).splitlines():
        words = line.split()
        if "node" in line and "=>" in words and words[2].startswith("/"):
            target = folder / words[2].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(words[2]).resolve(), target)
