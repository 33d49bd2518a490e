"""The exporter's statements, on a raw connection inside one REPEATABLE READ transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import asyncpg

_AGENCIES = """SELECT a.id, a.time_zone, coalesce(r.revision, 0)
    FROM agency a LEFT JOIN agency_revision r ON r.agency = a.id ORDER BY a.id"""
_EDGES = "SELECT predecessor, segment, successor, effective_on FROM lineage"
# The whole year at once, less what is dated after today (seldom anything): a year of days is never read.
_REVENUE_YEAR = """SELECT agency, segment, stream, currency,
        coalesce(sum(amount) FILTER (WHERE year = $2), 0)::bigint
    FROM revenue_yearly WHERE agency = ANY($1::text[]) GROUP BY 1, 2, 3, 4"""
_REVENUE_LATER = """SELECT agency, segment, stream, currency, sum(amount)::bigint
    FROM revenue_daily WHERE agency = ANY($1::text[]) AND day > $2 AND day <= $3 GROUP BY 1, 2, 3, 4"""
_REVENUE_BETWEEN = """SELECT agency, segment, stream, currency, sum(amount)::bigint
    FROM revenue_daily WHERE agency = ANY($1::text[]) AND day BETWEEN $2 AND $3 GROUP BY 1, 2, 3, 4"""
_MRR = """SELECT agency, segment, stream, currency, movement, sum(amount)::bigint,
        coalesce(sum(amount) FILTER (WHERE day >= $2), 0)::bigint
    FROM mrr_daily WHERE agency = ANY($1::text[]) AND day <= $3 GROUP BY 1, 2, 3, 4, 5"""
_DEFERRED = """SELECT agency, segment, stream, currency, amount
    FROM deferred_total WHERE agency = ANY($1::text[])"""
_HEARD = """SELECT agency, segment, stream, currency, recorded_at
    FROM revenue_heard WHERE agency = ANY($1::text[])"""
_VERSIONS = """SELECT agency, max(version) FROM baseline_version
    WHERE agency = ANY($1::text[]) AND frozen_at IS NOT NULL GROUP BY 1"""
_BASELINE = """SELECT r.agency, r.segment, r.stream, r.currency, r.month, r.amount
    FROM baseline_row r JOIN unnest($1::text[], $2::int[]) AS v (agency, version) USING (agency, version)"""
_TARGETS = """SELECT agency, deadline, ratio FROM growth_target
    WHERE agency = ANY($1::text[]) ORDER BY agency, deadline"""

Rows = Sequence[Any]


async def _fetch(connection: asyncpg.Connection, statement: str, *values: object) -> Rows:
    rows: Rows = await connection.fetch(statement, *values)
    return rows


async def agencies(connection: asyncpg.Connection) -> Rows:
    return await _fetch(connection, _AGENCIES)


async def edges(connection: asyncpg.Connection) -> Rows:
    return await _fetch(connection, _EDGES)


async def revenue_year(connection: asyncpg.Connection, ids: list[str], year: int) -> Rows:
    return await _fetch(connection, _REVENUE_YEAR, ids, year)


async def revenue_later(
    connection: asyncpg.Connection, ids: list[str], after: date, last: date
) -> Rows:
    return await _fetch(connection, _REVENUE_LATER, ids, after, last)


async def revenue_between(
    connection: asyncpg.Connection, ids: list[str], first: date, last: date
) -> Rows:
    return await _fetch(connection, _REVENUE_BETWEEN, ids, first, last)


async def mrr(connection: asyncpg.Connection, ids: list[str], month: date, day: date) -> Rows:
    return await _fetch(connection, _MRR, ids, month, day)


async def deferred(connection: asyncpg.Connection, ids: list[str]) -> Rows:
    return await _fetch(connection, _DEFERRED, ids)


async def heard(connection: asyncpg.Connection, ids: list[str]) -> Rows:
    return await _fetch(connection, _HEARD, ids)


async def baseline_versions(connection: asyncpg.Connection, ids: list[str]) -> Rows:
    return await _fetch(connection, _VERSIONS, ids)


async def baseline_rows(connection: asyncpg.Connection, wanted: list[tuple[str, int]]) -> Rows:
    return await _fetch(
        connection, _BASELINE, [agency for agency, _ in wanted], [version for _, version in wanted]
    )


async def targets(connection: asyncpg.Connection, ids: list[str]) -> Rows:
    return await _fetch(connection, _TARGETS, ids)
