"""What the role a service runs as may not do in its own database, tried; and that the owner meets the triggers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import asyncpg
import pytest

from infra.local.databases import ensure_databases, roles_of
from infra.local.processes import DATABASES, PACKAGES
from shared.database.migrations import migrate
from shared.database.privileges import RuntimeRoleMissingError
from tests.fixtures.documented import ROOT, documented
from tests.fixtures.roles import as_owner

NEVER = (
    "TRUNCATE {}",
    "ALTER TABLE {} DISABLE TRIGGER USER",
    "ALTER TABLE {} ADD COLUMN extra integer",
    "CREATE TRIGGER extra BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "DROP TABLE {} CASCADE",
    "ALTER TABLE {} OWNER TO CURRENT_USER",
)
NEVER_AT_ALL = (
    "CREATE TABLE mine (n integer)",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "DROP FUNCTION refuse_change() CASCADE",
    "SET session_replication_role = replica",
    "UPDATE alembic_version SET version_num = version_num",
    "CREATE ROLE thief",
    "COPY agency TO PROGRAM 'cat'",
)
COLUMN = """SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1
    AND is_identity = 'NO' AND is_generated = 'NEVER' ORDER BY ordinal_position LIMIT 1"""
TABLES = """SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"""


async def refused(connection: asyncpg.Connection, statement: str) -> bool:
    """Whether the role has no right to it (a guard's trigger or a constraint is another matter). Leaves nothing."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    except asyncpg.PostgresError:
        return False
    finally:
        await transaction.rollback()
    return False


async def tried(url: str) -> dict[str, list[str]]:
    """Tables by what is refused of their rows; asserts what is never allowed."""
    found: dict[str, list[str]] = {"UPDATE, DELETE": [], "DELETE": [], "": []}
    owner = await asyncpg.connect(as_owner(url))
    tables = {row[0]: await owner.fetchval(COLUMN, row[0]) for row in await owner.fetch(TABLES)}
    await owner.close()
    connection = await asyncpg.connect(url)
    try:
        for statement in NEVER_AT_ALL:
            assert await refused(connection, statement), statement
        for table, column in tables.items():
            name = f'public."{table}"'
            for pattern in NEVER:
                assert await refused(connection, pattern.format(name)), pattern.format(name)
            assert not await refused(connection, f"SELECT FROM {name} LIMIT 0")
            assert not await refused(connection, f"INSERT INTO {name} SELECT * FROM {name} LIMIT 0")
            rows = {
                "UPDATE": f'UPDATE {name} SET "{column}" = "{column}" WHERE false',
                "DELETE": f"DELETE FROM {name} WHERE false",
            }
            withheld = [word for word, one in rows.items() if await refused(connection, one)]
            found[", ".join(withheld)].append(table)
    finally:
        await connection.close()
    return found


@pytest.fixture
def migrated(create_database, template_database) -> Callable[[str], str]:
    def make(database: str) -> str:
        package = PACKAGES[database]
        name = f"roles_{database}"
        template = template_database(name, lambda url: asyncio.run(migrate(url, package)))
        return create_database(database, template)

    return make


async def test_a_run_time_role_reads_and_adds_changes_what_may_change_and_owns_nothing(migrated):
    lines = [
        "| database | rows are added and read only | rows may change, and never go | rows may change and go |",
        "|---|---|---|---|",
    ]
    for database in DATABASES:
        found = await tried(migrated(database))
        columns = (found["UPDATE, DELETE"], found["DELETE"], found[""])
        lines.append(f"| {database} | " + " | ".join(", ".join(c) or "–" for c in columns) + " |")
    lines.append("")
    lines.append("Refused to every one of them, on every table:")
    lines.append("")
    lines += [f"- `{statement.format('…')}`" for statement in (*NEVER, *NEVER_AT_ALL)]
    print("\n".join(lines))
    documented("docs/security/least-privilege.md", "database roles", lines)


@pytest.mark.parametrize(
    ("database", "tables"),
    [
        (
            "billing",
            "audit_entry audit_seal journal_entry journal_line invoice invoice_line given_days "
            "subscription_transition mrr_movement given_days_ended",
        ),
        ("paywall", "audit_entry audit_seal policy_version"),
        ("ads", "audit_entry audit_seal line_change"),
        ("metrics", "audit_entry audit_seal revenue_entry deferred_entry mrr_movement"),
        ("identity", "audit_entry audit_seal"),
    ],
)
async def test_what_is_only_added_to_refuses_its_owner_too(migrated, database, tables):
    connection = await asyncpg.connect(as_owner(migrated(database)))
    try:
        for table in tables.split():
            column = await connection.fetchval(COLUMN, table)
            for statement in (
                f"UPDATE {table} SET {column} = {column}",
                f"DELETE FROM {table}",
                f"TRUNCATE {table} CASCADE",
            ):
                with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                    await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("database", "tables"),
    [
        ("billing", "payment invoice_series subscription entitlement plan_price"),
        ("metrics", "baseline_version baseline_row"),
    ],
)
async def test_money_is_not_emptied_even_by_the_owner(migrated, database, tables):
    connection = await asyncpg.connect(as_owner(migrated(database)))
    try:
        for table in tables.split():
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(f"TRUNCATE {table} CASCADE")
    finally:
        await connection.close()


async def test_without_the_group_of_run_time_roles_a_migration_says_what_is_missing(
    create_database, monkeypatch
):
    monkeypatch.setattr("shared.database.privileges.RUNTIME_ROLE", "press_nobody")
    with pytest.raises(RuntimeRoleMissingError, match=r"create-databases\.sh"):
        await migrate(create_database("ungranted"), "services.ads")


def test_compose_makes_the_roles_of_the_local_start():
    """The same statements, with psql's variables for Python's; the local start's are the ones tried above."""

    class Recorder:
        def __init__(self) -> None:
            self.said: list[str] = []

        def execute(self, sql: str) -> str:
            self.said += [
                line.strip(";") for line in sql.splitlines() if not line.startswith("SELECT")
            ]
            return ""

    server = Recorder()
    ensure_databases(server, ["svc"], dict.fromkeys(roles_of(["svc"]), "pw"))  # type: ignore[arg-type]
    script = (ROOT / "infra/postgres/create-databases.sh").read_text(encoding="utf-8")
    said = script.replace(
        "'CREATE ROLE press_runtime NOLOGIN'", "\nCREATE ROLE press_runtime NOLOGIN\n"
    )
    for variable, value in {
        ':"service"': '"svc"',
        ':"owner"': '"svc_owner"',
        ":'password'": "'pw'",
        ":'owner_password'": "'pw'",
    }.items():
        said = said.replace(variable, value)
    assert {line.strip().rstrip(";") for line in said.splitlines()} >= set(server.said)
    assert re.findall(r"TEMPORARY ON DATABASE \S+ TO \S+?'", script) == [
        "TEMPORARY ON DATABASE paywall TO paywall'"
    ]
