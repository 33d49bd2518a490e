"""What the process that serves may do in its own database, and what only the owner may.

Two roles a database: the **owner** (``billing_owner``) runs migrations and nothing else; the **run-time role**
(``billing``) is a member of :data:`RUNTIME_ROLE`, owns nothing, and gets exactly what :func:`grant_runtime` gives it after
each migration: rows of ordinary tables, no TRUNCATE, no DDL, no trigger switched off.

Tables that are only added to are declared once, where they are made: a migration runs ``append_only("journal_entry")``
(or ``kept("payment")``: changed, never deleted). The trigger refuses everybody, the owner too; the grants are read from
the triggers, so the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.engine import Connection

from shared.runtime_role import RUNTIME_ROLE

#: For a migration, before :func:`append_only` and :func:`kept`.
REFUSE_CHANGE_V1 = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused; record a correction instead', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
"""

ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_EVENT_BITS = {"DELETE": 8, "UPDATE": 16}  # pg_trigger.tgtype (PostgreSQL, catalog pg_trigger)


def append_only(*tables: str) -> str:
    """SQL for a migration: rows of these tables are added and read, never changed or deleted."""
    return _guards("append_only", "UPDATE OR DELETE OR TRUNCATE", tables)


def kept(*tables: str) -> str:
    """SQL for a migration: rows of these tables may change, but none ever goes."""
    return _guards("kept", "DELETE OR TRUNCATE", tables)


def _guards(name: str, events: str, tables: tuple[str, ...]) -> str:
    return "".join(
        f"CREATE TRIGGER {table}_{name} BEFORE {events} ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();\n"
        for table in tables
    )


@dataclass(frozen=True, slots=True)
class TableRights:
    """A table or view and what the run-time role may do with its rows."""

    schema: str
    table: str
    rights: tuple[str, ...]


class RuntimeRoleMissingError(RuntimeError):
    """The database server has no :data:`RUNTIME_ROLE`."""


def table_rights(connection: Connection) -> list[TableRights]:
    """What each table's own guards leave to the run-time role, by schema and name."""
    rows = connection.execute(
        text(
            """SELECT n.nspname, c.relname, c.relkind IN ('v', 'm') AS is_view,
                      coalesce(bit_or(t.tgtype), 0) AS guarded
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgqual IS NULL
                   AND t.tgattr = '' AND t.tgfoid::regproc::text = 'refuse_change'
               WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_'
                 AND n.nspname <> 'information_schema'
                 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
               GROUP BY 1, 2, 3 ORDER BY 1, 2"""
        )
    )
    return [TableRights(row.nspname, row.relname, _rights(row)) for row in rows]


def _rights(row: object) -> tuple[str, ...]:
    name, is_view, guarded = row.relname, row.is_view, row.guarded  # type: ignore[attr-defined]
    if is_view or name == "alembic_version":
        return ("SELECT",)
    return tuple(right for right in ROWS if not guarded & _EVENT_BITS.get(right, 0))


def grant_runtime(connection: Connection) -> None:
    """Give the run-time role what this schema leaves it, and take everything else. Safe to repeat.

    Runs as the owner, in the transaction of the migration. Raises :class:`RuntimeRoleMissingError`.
    """
    role = RUNTIME_ROLE
    if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
        raise RuntimeRoleMissingError(
            f"The role {role} is missing: infra/postgres/create-databases.sh makes it, with the two roles a database"
        )
    found = table_rights(connection)
    statements = []
    for schema in dict.fromkeys(rights.schema for rights in found):
        statements += [
            f'GRANT USAGE ON SCHEMA "{schema}" TO {role}',
            f'REVOKE ALL ON ALL TABLES IN SCHEMA "{schema}" FROM {role}',
            f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{schema}" TO {role}',
        ]
    statements += [
        f'GRANT {", ".join(rights.rights)} ON "{rights.schema}"."{rights.table}" TO {role}'
        for rights in found
    ]
    for statement in statements:
        connection.execute(text(statement))
