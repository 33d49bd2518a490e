"""Debian packages that some words of make need; `make run` needs none of them.

As root they are installed; otherwise one line says what to type.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

# How to see that a package is not needed: the command it brings, or a file.
COMMANDS = {
    "buildah": "buildah",
    "caddy": "caddy",
    "chromium": "chromium",
    "debootstrap": "debootstrap",
    "docker-compose": "docker-compose",
    "prometheus": "promtool",
    "prometheus-alertmanager": "amtool",
    "wrk": "wrk",
}
FILES = {"fonts-noto-core": Path("/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf")}


def present(package: str) -> bool:
    """Whether what the package brings is on this machine, wherever it came from."""
    if package in COMMANDS:
        return shutil.which(COMMANDS[package]) is not None
    return FILES[package].exists()


def install(packages: Sequence[str]) -> bool:
    """Install with apt-get, as root; whether it worked."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (
        ["update", "-qq"],
        ["install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(
            ["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            print(done.stderr.strip(), file=sys.stderr)
            return False
    return True


def ensure(
    packages: Iterable[str],
    *,
    is_present: Callable[[str], bool] = present,
    may_install: bool | None = None,
    run_install: Callable[[Sequence[str]], bool] = install,
) -> str | None:
    """None when all is there now, else the line that tells what to do."""
    unknown = [name for name in packages if name not in COMMANDS and name not in FILES]
    if unknown:
        raise ValueError(f"unknown packages: {unknown}")
    missing = [name for name in packages if not is_present(name)]
    if not missing:
        return None
    line = f"missing: {', '.join(missing)}; type: sudo apt-get install {' '.join(missing)}"
    if may_install is None:
        may_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
    if not may_install:
        return line
    print(f"• installing Debian packages: {' '.join(missing)}", file=sys.stderr)
    return None if run_install(missing) and all(map(is_present, missing)) else line


if __name__ == "__main__":
    sys.exit(ensure(sys.argv[1:]))
