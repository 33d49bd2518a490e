"""What only a deployment runs: the step that makes signing keys."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from shared.auth.tokens import InvalidTokenError, SigningKeySet
from tests.fixtures.servers import REPOSITORY

COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
NOW = datetime(2026, 11, 26, tzinfo=UTC)


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """What lies below: name → mode, time of the last change, content."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode & 0o777,
            path.stat().st_mtime_ns,
            path.read_bytes(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def make_keys(module: str, *files: str) -> subprocess.CompletedProcess[str]:
    """With a umask that leaves everything open."""
    return subprocess.run(
        [sys.executable, "-m", module, *files],
        cwd=REPOSITORY,
        umask=0,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_keys_of_production_are_made_once_and_sign(tmp_path):
    """The command of the step `keys`, into a folder of this machine."""
    module, *paths = COMPOSE["services"]["keys"]["command"][2:]
    files = [f"{tmp_path}{path}" for path in paths]
    first = make_keys(module, *files)
    made = state(tmp_path)
    again = make_keys(module, *files)
    assert (first.returncode, first.stdout.count(": made\n")) == (0, 2), first.stderr
    assert set(made) == {"keys/billing/billing.pem", "keys/paywall/paywall.pem"}
    assert {mode for mode, *_ in made.values()} == {0o600}
    assert (again.returncode, again.stdout.count(": is there already\n")) == (0, 2), again.stderr
    assert state(tmp_path) == made

    billing, paywall = (SigningKeySet.from_file("press-billing", file) for file in files)
    token = billing.sign({"sub": "a"}, audience="press-paywall", now=NOW, lifetime_seconds=60)
    assert billing.verify(token, audience="press-paywall", now=NOW)["sub"] == "a"
    with pytest.raises(InvalidTokenError):  # each service has a key of its own
        paywall.verify(token, audience="press-paywall", now=NOW)
