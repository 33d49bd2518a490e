"""Every row of billing's tables (but for who checked them), named by what it is and not by the ids it happened to get."""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import text

from services.billing.composition import Billing

#: What each table's new rows are known by: an expression for the name, of what was named before.
NAMED = {
    "payment": "provider || ':' || reference",
    "journal_entry": "agency || ':' || business_key",
    "recognition_schedule": "payment_id || ':' || starts_on || ':' || total_vnd",
    "recognition_day": "agency || ':' || day",
    "invoice": "'of ' || payment_id",
    "letter": "business_key",
    "entitlement": "coalesce(subscription_id, order_id, given_id) || ':' || stretch",
    "refund": "provider_refund",
    "foreign_money": "provider || ':' || reference",
}
#: Numbers of the database's own, and its clock.
LEFT_OUT = {
    "*": {"created_xid"},
    "outbox": {"id", "created_at"},
    "subscription_transition": {"id", "made_at"},
    "mrr_movement": {"id", "made_at"},
    "recognition_due": {"id"},
    "audit_entry": {"id"},
}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def rows(billing: Billing, known: set[str] | None = None) -> dict[str, list[str]]:
    """By table, each row as text, sorted. Ids that are not ``known`` are replaced by what the row is."""
    async with billing.database.read() as session:

        async def ask(sql: str) -> list[Any]:
            return [row[0] for row in await session.execute(text(sql))]

        tables = await ask(
            """SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
               AND table_name NOT LIKE 'alembic%' AND table_name NOT LIKE 'invariant%' ORDER BY 1"""
        )
        names: dict[str, str] = {}

        def renamed(words: str) -> str:
            return _UUID.sub(lambda found: names.get(found[0], found[0]), words)

        for table, expression in NAMED.items():
            found = await session.execute(text(f"SELECT id::text, {expression} FROM {table}"))
            for id_, name in found.all():
                if known is None or id_ not in known:
                    names[id_] = f"<{table} {renamed(name)}>"
        picture = {}
        for table in tables:
            order = "ORDER BY id" if table == "outbox" else ""
            lines = []
            for row in await ask(f"SELECT to_jsonb(t) FROM {table} t {order}"):
                for column in LEFT_OUT["*"] | LEFT_OUT.get(table, set()):
                    row.pop(column, None)
                if table == "outbox":
                    lines.append(renamed(_event(row)))
                else:
                    lines.append(renamed(json.dumps(row, sort_keys=True, ensure_ascii=False)))
            picture[table] = lines if table == "outbox" else sorted(lines)
        return picture


def _event(row: dict[str, Any]) -> str:
    """An event of the outbox, without its own id."""
    payload = json.loads(bytes.fromhex(row.pop("payload").removeprefix("\\x")))
    payload.pop("id")
    row.pop("event_id")
    return json.dumps({**row, "payload": payload}, sort_keys=True, ensure_ascii=False)


async def ids(billing: Billing) -> set[str]:
    """Every id that is there now."""
    async with billing.database.read() as session:
        found: set[str] = set()
        for table in NAMED:
            found |= {
                row[0] for row in await session.execute(text(f"SELECT id::text FROM {table}"))
            }
        return found
