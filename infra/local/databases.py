"""One database per service and two roles for it: its owner, who migrates, and the role that the service runs as."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from infra.local.postgres import Postgres
from shared.runtime_role import RUNTIME_ROLE

REPORTING_ROLE = "press_reporting"

#: Whoever may make temporary tables may put one before a table that a trigger reads: only the rebuild of rights to read needs some.
WITH_TEMPORARY_TABLES = frozenset({"paywall"})


def owner_of(database: str) -> str:
    """The role that runs the database's migrations."""
    return f"{database}_owner"


def roles_of(databases: Iterable[str]) -> list[str]:
    """Every role that signs in for these databases."""
    return [role for name in databases for role in (name, owner_of(name))]


def ensure_runtime_group(server: Postgres) -> None:
    """The group that migrations grant to; safe to repeat."""
    if RUNTIME_ROLE not in server.execute("SELECT rolname FROM pg_roles").split():
        server.execute(f"CREATE ROLE {RUNTIME_ROLE} NOLOGIN")


def ensure_databases(
    server: Postgres, databases: Iterable[str], passwords: Mapping[str, str]
) -> None:
    """Create what is missing and set the passwords (by role); safe to repeat.

    The same as infra/postgres/create-databases.sh, which a test compares with this.
    """
    ensure_runtime_group(server)
    existing = set(server.execute("SELECT datname FROM pg_database").split())
    roles = set(server.execute("SELECT rolname FROM pg_roles").split())
    statements = []
    for name in databases:
        for role in roles_of([name]):
            verb = "ALTER" if role in roles else "CREATE"
            statements.append(f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{passwords[role]}';")
        if name not in existing:
            statements.append(f'CREATE DATABASE "{name}" OWNER "{owner_of(name)}";')
        statements.append(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC, "{name}";')
        temporary = ", TEMPORARY" if name in WITH_TEMPORARY_TABLES else ""
        statements.append(f'GRANT CONNECT{temporary} ON DATABASE "{name}" TO "{name}";')
        statements.append(f'GRANT {RUNTIME_ROLE} TO "{name}";')
    server.execute("\n".join(statements))


def ensure_reporting(server: Postgres, database: str, password: str) -> None:
    """The role that dashboards read with: reads what the layer's migrations grant, no more."""
    roles = server.execute("SELECT rolname FROM pg_roles").split()
    verb = "ALTER" if REPORTING_ROLE in roles else "CREATE"
    server.execute(
        f"{verb} ROLE {REPORTING_ROLE} LOGIN PASSWORD '{password}';\n"
        f"ALTER ROLE {REPORTING_ROLE} SET default_transaction_read_only = on;\n"
        f'GRANT CONNECT ON DATABASE "{database}" TO {REPORTING_ROLE};'
    )
