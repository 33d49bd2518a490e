"""Alembic for a service, without a file of boilerplate each: ``migrate(url, "services.billing", metadata)``.

A service's ``migrations/`` holds ``versions/`` only; the environment is here. Version table: ``alembic_version``
of the service's own database. Revisions are plain SQL (``op.execute``), so that a later change of the models never
changes history; a test compares the migrated schema with the models. The database's owner runs them; what the run-time
role may do is granted in the same transaction (:mod:`shared.database.privileges`). Migrations run under an advisory lock, so that several starting at once are safe.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, text
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from shared.database.core import open_engine
from shared.database.privileges import grant_runtime

LOCK_KEY = 7_305_411_902  # any constant: one migration at a time in a database


def script_directory(package: str) -> ScriptDirectory:
    """The Alembic scripts of a package (``services.billing`` → ``services/billing/migrations``)."""
    module = import_module(package)
    assert module.__file__ is not None
    location = Path(module.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def run_script(*scripts: str) -> None:
    """For migrations: run SQL of several statements, as it stands (``op.execute`` takes one at a time)."""
    connection: Any = op.get_bind().connection.dbapi_connection
    for script in scripts:
        # Already inside the migration's transaction: its advisory lock was the first statement.
        connection.run_async(lambda raw, sql=script: raw.execute(sql))


def _upgrade(connection: Connection, package: str, revision: str) -> list[str]:
    script = script_directory(package)
    applied: list[str] = []

    def steps(current: Any, _context: Any) -> Any:
        todo = script._upgrade_revs(revision, current)
        applied.extend(step.revision.revision for step in todo)
        return todo

    environment = EnvironmentContext(Config(), script, fn=steps, destination_rev=revision)
    environment.configure(connection=connection, transactional_ddl=True)
    with environment:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        environment.run_migrations()
    grant_runtime(connection)
    return applied


async def migrate(url: str, package: str, revision: str = "head") -> list[str]:
    """Bring a database to ``revision``, as its owner. Returns the revisions applied now. Idempotent."""
    engine = open_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_upgrade, package, revision)
    finally:
        await engine.dispose()


async def schema_differences(url: str, metadata: MetaData) -> list[Any]:
    """What Alembic's autogenerate would change: empty when migrations match the models."""

    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": False}
        )
        return list(compare_metadata(context, metadata))

    engine = open_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(compare)
    finally:
        await engine.dispose()
