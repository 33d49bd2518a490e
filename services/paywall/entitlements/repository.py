"""Every SQL statement of entitlements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text

from shared.contracts import Event
from shared.contracts.billing import Entitlement, EntitlementRevoked
from shared.database import Session

CHANNEL = "paywall_entitlement"

_COLUMNS = (
    "id, agency, reader_id, plan_code, scope, valid_from, valid_until, revoked, version, "
    "event_id, event_at"
)
# The newer version wins in whatever order events arrive. The event's id settles a tie, so that every order ends
# the same.
_APPLY = """INSERT INTO {table} AS e ({columns})
    SELECT DISTINCT ON (id) {columns} FROM unnest(
        CAST(:id AS uuid[]), CAST(:agency AS text[]), CAST(:reader_id AS uuid[]),
        CAST(:plan_code AS text[]), CAST(:scope AS text[]), CAST(:valid_from AS timestamptz[]),
        CAST(:valid_until AS timestamptz[]), CAST(:revoked AS boolean[]),
        CAST(:version AS bigint[]), CAST(:event_id AS uuid[]), CAST(:event_at AS timestamptz[])
    ) AS n ({columns}) ORDER BY id, version DESC, event_id DESC
    ON CONFLICT (id) DO UPDATE SET agency = excluded.agency, reader_id = excluded.reader_id,
        plan_code = excluded.plan_code, scope = excluded.scope,
        valid_from = excluded.valid_from, valid_until = excluded.valid_until,
        revoked = excluded.revoked, version = excluded.version, event_id = excluded.event_id,
        event_at = excluded.event_at, updated_at = now()
    WHERE (excluded.version, excluded.event_id) > (e.version, e.event_id)"""
_RIGHTS = """SELECT i.n, e.scope, e.valid_from, e.valid_until
    FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS i (agency, reader_id, n)
    JOIN entitlement e USING (agency, reader_id) WHERE NOT e.revoked ORDER BY i.n"""

_START_REBUILD = """CREATE TEMPORARY TABLE entitlement_rebuilt
    (LIKE entitlement INCLUDING ALL) ON COMMIT DROP"""
_FORGET = """DELETE FROM entitlement e WHERE e.event_at >= :since AND e.event_at < :until
    AND NOT EXISTS (SELECT FROM entitlement_rebuilt r WHERE r.id = e.id)"""
# Deleted and inserted, not updated: a row that had gone wrong may stand at the same version.
_REPLACE = """DELETE FROM entitlement e USING entitlement_rebuilt r
    WHERE e.id = r.id AND e.version <= r.version
    AND (to_jsonb(e) - 'updated_at') IS DISTINCT FROM (to_jsonb(r) - 'updated_at')"""
_TAKE_OVER = (
    """INSERT INTO entitlement SELECT * FROM entitlement_rebuilt ON CONFLICT (id) DO NOTHING"""
)


async def apply(
    session: Session, events: Sequence[Event[Entitlement]], *, table: str = "entitlement"
) -> None:
    """Take events in, in any order, any number of times."""
    await session.execute(
        text(_APPLY.format(table=table, columns=_COLUMNS)),
        {
            "id": [event.data.entitlement_id for event in events],
            "agency": [event.agency for event in events],
            "reader_id": [event.data.reader_id for event in events],
            "plan_code": [event.data.plan_code for event in events],
            "scope": [event.data.scope for event in events],
            "valid_from": [event.data.valid_from for event in events],
            "valid_until": [event.data.valid_until for event in events],
            "revoked": [isinstance(event.data, EntitlementRevoked) for event in events],
            "version": [event.version for event in events],
            "event_id": [event.id for event in events],
            "event_at": [event.time for event in events],
        },
    )


async def rights(
    connection: asyncpg.Connection, readers: Sequence[tuple[str, UUID]], timeout_seconds: float
) -> list[list[tuple[str, datetime, datetime]]]:
    """(scope, valid_from, valid_until) of every right of each (agency, reader)."""
    found: list[list[tuple[str, datetime, datetime]]] = [[] for _ in readers]
    rows = await connection.fetch(
        _RIGHTS,
        [agency for agency, _ in readers],
        [reader for _, reader in readers],
        timeout=timeout_seconds,
    )
    for n, scope, valid_from, valid_until in rows:
        found[n - 1].append((scope, valid_from, valid_until))
    return found


async def start_rebuild(session: Session) -> None:
    """A temporary table beside the one in use."""
    await session.execute(text(_START_REBUILD))


async def apply_to_rebuilt(session: Session, events: Sequence[Event[Any]]) -> None:
    await apply(session, events, table="entitlement_rebuilt")


async def take_over(session: Session, *, since: datetime, until: datetime) -> tuple[int, int]:
    """Put the rebuilt rows in place, in the caller's transaction. Returns (forgotten, mended or added).

    A row whose event should be among those replayed, and is not, goes. One that is older than the stream stays: the
    stream no longer tells about it.
    """
    await session.execute(text("LOCK TABLE entitlement IN SHARE ROW EXCLUSIVE MODE"))
    forgotten = await session.execute(text(_FORGET), {"since": since, "until": until})
    await session.execute(text(_REPLACE))
    taken = await session.execute(text(_TAKE_OVER))
    return _rows(forgotten), _rows(taken)


def _rows(result: Any) -> int:
    count: int = result.rowcount
    return count
