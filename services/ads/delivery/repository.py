"""Every SQL statement of delivery; the hot ones raw and set-based."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text

from services.ads.delivery.plan import PlanRow
from services.ads.delivery.rules import DayCount
from shared.database import ReadSession, Session

PLAN_CHANNEL = "ads_plan"

_PLACES = """SELECT g.id AS agency, g.time_zone, g.website, g.further_websites, p.id, p.code
    FROM agency g LEFT JOIN placement p ON p.agency_id = g.id ORDER BY g.id, p.code"""

_PLAN = """SELECT l.agency_id AS agency, l.id AS line_id, l.priority, l.pacing, l.quantity,
        l.starts_on, l.ends_on, pp.placement_id, c.id AS creative_id, c.kind, c.headline, c.body,
        c.call_to_action, c.click_url, c.theme,
        i.digest AS image_digest, i.width AS image_width, i.height AS image_height
    FROM line l JOIN agency g ON g.id = l.agency_id
    JOIN product_placement pp ON pp.product_id = l.product_id
    JOIN creative c ON c.line_id = l.id AND c.active
    LEFT JOIN creative_image i ON i.creative_id = c.id
    WHERE l.status IN ('Booked', 'InFlight')
      AND (clock_timestamp() AT TIME ZONE g.time_zone)::date BETWEEN l.starts_on AND l.ends_on"""


async def read_plan(pool: asyncpg.Pool) -> tuple[list[asyncpg.Record], list[PlanRow]]:
    """Places of every agency, and the lines that run today."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        places = await connection.fetch(_PLACES)
        rows = [PlanRow(*row) for row in await connection.fetch(_PLAN)]
    return places, rows


@dataclass(frozen=True, slots=True)
class Count:
    """One fact to be counted."""

    nonce: UUID
    kind: int
    agency: str
    line_id: UUID
    creative_id: UUID
    placement_id: UUID
    lease_id: int
    counted_on: date


# One statement, one commit: events that are new, the day's counters, the leases they came from. Rows arrive sorted, and
# each part waits for the one before it, so that two processes can never wait for each other in a circle.
_COUNT = """WITH fresh AS (
        INSERT INTO delivery_event
            (nonce, kind, agency_id, line_id, creative_id, placement_id, lease_id, counted_on)
        SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::uuid[], $5::uuid[],
            $6::uuid[], $7::bigint[], $8::date[])
        ON CONFLICT DO NOTHING RETURNING nonce, kind, line_id, lease_id, counted_on
    ), days AS (
        INSERT INTO line_day (line_id, counted_on, impressions, viewables, clicks)
        SELECT line_id, counted_on, count(*) FILTER (WHERE kind = 1),
            count(*) FILTER (WHERE kind = 2), count(*) FILTER (WHERE kind = 3)
        FROM fresh GROUP BY line_id, counted_on ORDER BY line_id, counted_on
        ON CONFLICT (line_id, counted_on) DO UPDATE SET
            impressions = line_day.impressions + excluded.impressions,
            viewables = line_day.viewables + excluded.viewables,
            clicks = line_day.clicks + excluded.clicks
        RETURNING line_id
    ), used AS (
        SELECT lease_id, count(*)::int AS units FROM fresh
        WHERE kind = 1 AND lease_id > 0 AND (SELECT count(*) FROM days) > 0
        GROUP BY lease_id ORDER BY lease_id
    ), leases AS (
        UPDATE lease SET counted = lease.counted + used.units FROM used WHERE lease.id = used.lease_id
    )
    SELECT nonce, kind FROM fresh"""


async def count(pool: asyncpg.Pool, facts: Sequence[Count]) -> list[bool]:
    """Count each fact at most once, ever. True where it was counted now; committed when this returns."""
    first: dict[tuple[UUID, int], int] = {}
    for index, fact in enumerate(facts):
        first.setdefault((fact.nonce, fact.kind), index)
    chosen = [facts[first[key]] for key in sorted(first)]
    rows = await pool.fetch(
        _COUNT,
        [fact.nonce for fact in chosen],
        [fact.kind for fact in chosen],
        [fact.agency for fact in chosen],
        [fact.line_id for fact in chosen],
        [fact.creative_id for fact in chosen],
        [fact.placement_id for fact in chosen],
        [fact.lease_id for fact in chosen],
        [fact.counted_on for fact in chosen],
    )
    results = [False] * len(facts)
    for row in rows:
        # asyncpg's UUIDs hash like the standard ones
        results[first[row["nonce"], row["kind"]]] = True
    return results


_LOCK_LINES = "SELECT id FROM line WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"
# Everything in one statement: a unit that is being counted right now is in exactly one of the two sums.
_FACTS = """SELECT l.id, l.quantity, l.pacing, l.ends_on, g.time_zone, clock_timestamp() AS now,
        (l.status IN ('Booked', 'InFlight')) AS live,
        coalesce(d.delivered, 0)::bigint AS delivered,
        coalesce(d.today, 0)::bigint AS delivered_today,
        coalesce(o.outstanding, 0)::bigint AS outstanding
    FROM line l JOIN agency g ON g.id = l.agency_id
    LEFT JOIN LATERAL (SELECT sum(impressions) AS delivered, sum(impressions) FILTER
        (WHERE counted_on = (clock_timestamp() AT TIME ZONE g.time_zone)::date) AS today
        FROM line_day WHERE line_id = l.id) d ON true
    LEFT JOIN LATERAL (SELECT sum(units - counted) AS outstanding FROM lease
        WHERE line_id = l.id AND expires_at > clock_timestamp()) o ON true
    WHERE l.id = ANY($1::uuid[]) ORDER BY l.id"""
_GRANT = """INSERT INTO lease (line_id, units, expires_at)
    SELECT line_id, units, clock_timestamp() + make_interval(secs => $3::float8)
    FROM unnest($1::uuid[], $2::int[]) AS wanted (line_id, units) RETURNING id, line_id, units"""
_GIVE_BACK = """UPDATE lease SET units = lease.units - unused.units
    FROM unnest($1::bigint[], $2::int[]) AS unused (id, units) WHERE lease.id = unused.id"""


async def lock_lines(connection: asyncpg.Connection, lines: Sequence[UUID]) -> None:
    await connection.execute(_LOCK_LINES, lines)


async def lease_facts(connection: asyncpg.Connection, lines: Sequence[UUID]) -> list[Any]:
    return list(await connection.fetch(_FACTS, lines))


async def grant(
    connection: asyncpg.Connection, units: dict[UUID, int], seconds: float
) -> list[tuple[int, UUID, int]]:
    rows = await connection.fetch(_GRANT, list(units), list(units.values()), seconds)
    return [(row["id"], row["line_id"], row["units"]) for row in rows]


async def give_back(pool: asyncpg.Pool, unused: dict[int, int]) -> None:
    """Units of a lease that were never handed out are free again at once."""
    await pool.execute(_GIVE_BACK, list(unused), list(unused.values()))


async def forget_old_leases(session: Session) -> int:
    """Expired leases no longer count for anything."""
    done = await session.execute(
        text(
            "DELETE FROM lease WHERE expires_at < clock_timestamp() - interval '1 day' RETURNING id"
        )
    )
    return len(done.all())


async def click_url(pool: asyncpg.Pool, creative_id: UUID) -> str | None:
    found = await pool.fetchval("SELECT click_url FROM creative WHERE id = $1", creative_id)
    return None if found is None else str(found)


@dataclass(frozen=True, slots=True)
class Unposted:
    """A line with delivered units that are not yet revenue."""

    line_id: UUID
    agency: str
    product_code: str
    quantity: int
    amount_vnd: int
    days: list[DayCount]


async def lines_to_post(session: Session, since: date, limit: int) -> list[UUID]:
    rows = await session.execute(
        text(
            """SELECT DISTINCT d.line_id FROM line_day d JOIN line l ON l.id = d.line_id
               WHERE d.counted_on >= :since AND d.impressions > d.recognised AND l.priority = 'guaranteed'
               ORDER BY d.line_id LIMIT :limit"""
        ),
        {"since": since, "limit": limit},
    )
    return [row.line_id for row in rows]


async def lock_unposted(session: Session, line_id: UUID) -> Unposted:
    """The line's days, locked: what is recognised changes with them or not at all."""
    line = (
        await session.execute(
            text(
                """SELECT l.id, l.agency_id, p.code, l.quantity, l.amount_vnd FROM line l
                   JOIN product p ON p.id = l.product_id WHERE l.id = :id FOR NO KEY UPDATE OF l"""
            ),
            {"id": line_id},
        )
    ).one()
    days = await session.execute(
        text(
            """SELECT counted_on, impressions, recognised FROM line_day WHERE line_id = :id
               ORDER BY counted_on FOR UPDATE"""
        ),
        {"id": line_id},
    )
    return Unposted(
        line.id,
        line.agency_id,
        line.code,
        line.quantity,
        line.amount_vnd,
        [DayCount(*row) for row in days],
    )


async def mark_recognised(
    session: Session, line_id: UUID, day: date, units: int, amount_vnd: int
) -> None:
    await session.execute(
        text(
            """UPDATE line_day SET recognised = recognised + :units,
                   recognised_vnd = recognised_vnd + :amount
               WHERE line_id = :id AND counted_on = :day"""
        ),
        {"id": line_id, "day": day, "units": units, "amount": amount_vnd},
    )


async def stats(session: Session | ReadSession, line_id: UUID) -> list[Any]:
    """Counters by day."""
    rows = await session.execute(
        text(
            """SELECT counted_on, impressions, viewables, clicks, recognised_vnd FROM line_day
               WHERE line_id = :id ORDER BY counted_on"""
        ),
        {"id": line_id},
    )
    return list(rows.all())


_FOLD = """SELECT line_id, counted_on, count(*) FILTER (WHERE kind = 1) AS impressions,
    count(*) FILTER (WHERE kind = 2) AS viewables, count(*) FILTER (WHERE kind = 3) AS clicks
    FROM delivery_event GROUP BY line_id, counted_on"""


async def rebuild(session: Session) -> list[tuple[UUID, date]]:
    """Fold the event table anew; write what differs. Returns the days that differed."""
    await session.execute(text("LOCK TABLE line_day IN EXCLUSIVE MODE"))
    rows = await session.execute(
        text(
            f"""WITH fold AS ({_FOLD}), wrong AS (
                SELECT coalesce(f.line_id, d.line_id) AS line_id,
                       coalesce(f.counted_on, d.counted_on) AS counted_on,
                       coalesce(f.impressions, 0) AS impressions,
                       coalesce(f.viewables, 0) AS viewables, coalesce(f.clicks, 0) AS clicks
                FROM fold f FULL JOIN line_day d USING (line_id, counted_on)
                WHERE (coalesce(f.impressions, 0), coalesce(f.viewables, 0), coalesce(f.clicks, 0))
                   IS DISTINCT FROM (d.impressions, d.viewables, d.clicks))
            INSERT INTO line_day (line_id, counted_on, impressions, viewables, clicks)
            SELECT line_id, counted_on, impressions, viewables, clicks FROM wrong
            ON CONFLICT (line_id, counted_on) DO UPDATE SET impressions = excluded.impressions,
                viewables = excluded.viewables, clicks = excluded.clicks
            RETURNING line_id, counted_on"""  # noqa: S608
        )
    )
    return [(row.line_id, row.counted_on) for row in rows]


async def now(pool: asyncpg.Pool) -> datetime:
    found: datetime = await pool.fetchval("SELECT clock_timestamp()")
    return found
