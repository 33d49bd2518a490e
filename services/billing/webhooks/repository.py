"""Every SQL statement about notifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import or_, select, text

from services.billing.webhooks.models import WebhookEvent
from shared.database import ReadSession, Session

CHANNEL = "webhook"

_STORE = """INSERT INTO webhook_event (source, event_id, type, payload, agency, via, created_at, received_at,
                                       next_attempt_at)
    SELECT e.source, e.id, e.type, e.payload, e.agency, $1, e.created_at, $2, $2
    FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::timestamptz[])
         AS e(source, id, type, payload, agency, created_at)
    ON CONFLICT (source, event_id) DO NOTHING RETURNING source, event_id"""

_CLAIMS = [
    text(
        f"""SELECT source, event_id, type, payload, attempts, agency FROM webhook_event
            WHERE state = 'waiting' AND {which} AND next_attempt_at <= :now
            ORDER BY next_attempt_at, created_at, event_id LIMIT 1 FOR UPDATE SKIP LOCKED"""  # noqa: S608 - constants of ours
    )
    # Somebody waits for what is told; the thousands of rows of a statement come after it.
    for which in ("via <> 'statement'", "true")
]
_CLAIMED = "source, event_id, type, payload, attempts, agency"
_CLAIM_MANY = f"""SELECT {_CLAIMED} FROM webhook_event
    WHERE state = 'waiting' AND via <> 'statement' AND next_attempt_at <= $1
    ORDER BY next_attempt_at, created_at, event_id LIMIT $2 FOR UPDATE SKIP LOCKED"""  # noqa: S608 - constants of ours
_CLAIM_THESE = f"""SELECT {_CLAIMED} FROM webhook_event
    WHERE state = 'waiting' AND (source, event_id, attempts) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::integer[]))
    ORDER BY next_attempt_at, created_at, event_id FOR UPDATE SKIP LOCKED"""  # noqa: S608 - constants of ours
_HANDLED_MANY = """UPDATE webhook_event e SET state = 'handled', handled_at = $3, error = '', attempts = attempts + 1
    FROM unnest($1::text[], $2::text[]) AS d(source, id) WHERE e.source = d.source AND e.event_id = d.id"""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A notification on its way in, who sent it, and the agency that it names."""

    source: str
    id: str
    type: str
    created_at: datetime
    payload: bytes
    agency: str | None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same notification when it comes again."""
        return (self.source, self.id)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notification in somebody's hands, for as long as their transaction lives."""

    source: str
    event_id: str
    type: str
    payload: bytes
    attempts: int
    agency: str | None


@dataclass(frozen=True, slots=True)
class InboxState:
    """``oldest_at`` is when the oldest waiting one came in."""

    waiting: int
    parked: int
    oldest_at: datetime | None


async def store(
    connection: asyncpg.Connection, via: str, now: datetime, events: Sequence[Incoming]
) -> set[tuple[str, str]]:
    """Keep them; returns the keys that were new. One statement, so one commit."""
    # The same one twice in one statement is one row too; in one order everywhere, so that what two take in at once (a
    # notice, and the sweep's list with it) ends in no deadlock.
    unique = sorted({event.key: event for event in events}.values(), key=lambda event: event.key)
    rows = await connection.fetch(
        _STORE,
        via,
        now,
        [event.source for event in unique],
        [event.id for event in unique],
        [event.type for event in unique],
        [event.payload for event in unique],
        [event.agency for event in unique],
        [event.created_at for event in unique],
    )
    return {(row["source"], row["event_id"]) for row in rows}


async def claim(session: Session, now: datetime) -> Claimed | None:
    """The next due one, locked until the transaction ends: a crash gives it back at once."""
    for query in _CLAIMS:
        if row := (await session.execute(query, {"now": now})).one_or_none():
            return Claimed(*row)
    return None


async def claim_many(connection: asyncpg.Connection, now: datetime, limit: int) -> list[Claimed]:
    """The next due ones that somebody told, in the order of :func:`claim`; locked until the transaction ends."""
    return [Claimed(*row) for row in await connection.fetch(_CLAIM_MANY, now, limit)]


async def claim_these(connection: asyncpg.Connection, known: Sequence[Claimed]) -> list[Claimed]:
    """:func:`claim_again` of many."""
    keys = [(one.source, one.event_id, one.attempts) for one in known]
    rows = await connection.fetch(_CLAIM_THESE, *zip(*keys, strict=True))
    return [Claimed(*row) for row in rows]


async def mark_many_handled(
    connection: asyncpg.Connection, events: Sequence[Claimed], now: datetime
) -> None:
    sources, ids = [one.source for one in events], [one.event_id for one in events]
    await connection.execute(_HANDLED_MANY, sources, ids, now)


async def claim_again(session: Session, known: Claimed) -> Claimed | None:
    """One that was claimed before, if it still waits, nobody else has it, and nobody has tried it meanwhile."""
    row = (
        await session.execute(
            text(
                """SELECT source, event_id, type, payload, attempts, agency FROM webhook_event
                   WHERE source = :source AND event_id = :id AND state = 'waiting' AND attempts = :attempts
                   FOR UPDATE SKIP LOCKED"""
            ),
            {"source": known.source, "id": known.event_id, "attempts": known.attempts},
        )
    ).one_or_none()
    return Claimed(*row) if row else None


async def mark_handled(session: Session, event: Claimed, now: datetime) -> None:
    await session.execute(
        text(
            """UPDATE webhook_event SET state = 'handled', handled_at = :now, error = '',
                      attempts = attempts + 1
               WHERE source = :source AND event_id = :id"""
        ),
        {"source": event.source, "id": event.event_id, "now": now},
    )


async def mark_failed(
    session: Session, event: Claimed, next_attempt_at: datetime, error: str, *, parked: bool
) -> None:
    """A try that failed, counted once: whoever took it up before this was written may have failed as well."""
    await session.execute(
        text(
            """UPDATE webhook_event SET state = :state, attempts = attempts + 1,
                      next_attempt_at = :next, error = :error
               WHERE source = :source AND event_id = :id AND state = 'waiting' AND attempts = :attempts"""
        ),
        {
            "attempts": event.attempts,
            "state": "parked" if parked else "waiting",
            "next": next_attempt_at,
            "error": error[:2000],
            "source": event.source,
            "id": event.event_id,
        },
    )


async def replay(session: Session, now: datetime, event_ids: Sequence[str] | None) -> list[str]:
    """Give parked ones (all, or these) another round of tries."""
    rows = await session.execute(
        text(
            """UPDATE webhook_event SET state = 'waiting', attempts = 0, next_attempt_at = :now
               WHERE state = 'parked'
                 AND (CAST(:ids AS text[]) IS NULL OR event_id = ANY(CAST(:ids AS text[])))
               RETURNING event_id"""
        ),
        {"now": now, "ids": list(event_ids) if event_ids is not None else None},
    )
    await session.execute(text("SELECT pg_notify('webhook', '')"))
    return [row[0] for row in rows]


async def listing(
    session: Session | ReadSession, state: str | None, limit: int
) -> Sequence[WebhookEvent]:
    query = select(WebhookEvent).order_by(WebhookEvent.received_at.desc()).limit(limit)  # type: ignore[attr-defined]
    if state is not None:
        query = query.where(WebhookEvent.state == state)  # type: ignore[arg-type]
    return (await session.scalars(query)).all()


async def parked_of(
    session: Session | ReadSession, agency: str, limit: int
) -> Sequence[WebhookEvent]:
    """Parked ones of an agency, and those that name none; newest first."""
    query = (
        select(WebhookEvent)
        .where(
            WebhookEvent.state == "parked",  # type: ignore[arg-type]
            or_(WebhookEvent.agency == agency, WebhookEvent.agency.is_(None)),  # type: ignore[arg-type,union-attr]
        )
        .order_by(WebhookEvent.received_at.desc())  # type: ignore[attr-defined]
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def inbox_state(session: Session | ReadSession, agency: str | None = None) -> InboxState:
    """Of one agency, or of all."""
    row = (
        await session.execute(
            text(
                """SELECT count(*) FILTER (WHERE state = 'waiting'),
                          count(*) FILTER (WHERE state = 'parked'),
                          min(received_at) FILTER (WHERE state = 'waiting')
                   FROM webhook_event WHERE state IN ('waiting', 'parked')
                     AND (CAST(:agency AS text) IS NULL OR agency = :agency)"""
            ),
            {"agency": agency},
        )
    ).one()
    return InboxState(*row)


async def forget(session: Session, before: datetime, limit: int) -> int:
    """Delete what was handled and came before a moment, so many at most; how many those were."""
    done: Any = await session.execute(
        text(
            """DELETE FROM webhook_event WHERE ctid = ANY(ARRAY(
                   SELECT ctid FROM webhook_event WHERE received_at < :before AND state = 'handled'
                   LIMIT :limit FOR UPDATE SKIP LOCKED))"""
        ),
        {"before": before, "limit": limit},
    )
    return int(done.rowcount)


async def seen_until(session: Session | ReadSession, source: str) -> datetime | None:
    found: datetime | None = await session.scalar(
        text("SELECT seen_until FROM sweep_cursor WHERE source = :source"), {"source": source}
    )
    return found


async def save_seen_until(session: Session, source: str, at: datetime) -> None:
    """Only forward."""
    values: dict[str, Any] = {"source": source, "at": at}
    await session.execute(
        text(
            """INSERT INTO sweep_cursor (source, seen_until) VALUES (:source, :at)
               ON CONFLICT (source) DO UPDATE
               SET seen_until = greatest(sweep_cursor.seen_until, excluded.seen_until)"""
        ),
        values,
    )
