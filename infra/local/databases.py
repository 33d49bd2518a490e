"""One database per service, owned by a role of the same name that may enter no other."""

from __future__ import annotations

from collections.abc import Mapping

from infra.local.postgres import Postgres


def ensure_databases(server: Postgres, passwords: Mapping[str, str]) -> None:
    """Create what is missing and set the passwords; safe to repeat."""
    existing = set(server.execute("SELECT datname FROM pg_database").split())
    roles = set(server.execute("SELECT rolname FROM pg_roles").split())
    statements = []
    for name, password in passwords.items():
        verb = "ALTER" if name in roles else "CREATE"
        statements.append(f"{verb} ROLE \"{name}\" LOGIN PASSWORD '{password}';")
        if name not in existing:
            statements.append(f'CREATE DATABASE "{name}" OWNER "{name}";')
            statements.append(f'REVOKE CONNECT, TEMPORARY ON DATABASE "{name}" FROM PUBLIC;')
    server.execute("\n".join(statements))


REPORTING_ROLE = "press_reporting"


def ensure_reporting(server: Postgres, database: str, password: str) -> None:
    """The role that dashboards read with: reads what the layer's migrations grant, no more."""
    roles = server.execute("SELECT rolname FROM pg_roles").split()
    verb = "ALTER" if REPORTING_ROLE in roles else "CREATE"
    server.execute(
        f"{verb} ROLE {REPORTING_ROLE} LOGIN PASSWORD '{password}';\n"
        f"ALTER ROLE {REPORTING_ROLE} SET default_transaction_read_only = on;\n"
        f'GRANT CONNECT ON DATABASE "{database}" TO {REPORTING_ROLE};'
    )
