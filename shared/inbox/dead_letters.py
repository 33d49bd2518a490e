"""Dead letters: listed and replayed by command (``python -m services.<name> dead-letters``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB

from shared import audit
from shared.bus.base import InboundMessage
from shared.database import Database, Session
from shared.ids import new_id
from shared.inbox.consumer import Consumer, PermanentError

_TAKE = text(
    """UPDATE dead_letter SET replayed_at = now() WHERE id = :id AND replayed_at IS NULL
       RETURNING consumer, event_id, subject, payload, replayed_at"""
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be handled, whole."""

    id: UUID
    consumer: str
    event_id: UUID | None
    subject: str
    payload: bytes
    headers: dict[str, str]
    deliveries: int
    reason: str
    error: str
    created_at: datetime


async def store_dead_letter(
    session: Session,
    consumer: str,
    message: InboundMessage,
    event_id: UUID | None,
    reason: str,
    error: Exception,
) -> None:
    """Keep a full copy in the caller's transaction."""
    await session.execute(
        text(
            """INSERT INTO dead_letter
               (id, consumer, event_id, subject, payload, headers, deliveries, reason, error)
               VALUES (:id, :consumer, :event_id, :subject, :payload, CAST(:headers AS jsonb),
                       :deliveries, :reason, :error)"""
        ),
        {
            "id": new_id(),
            "consumer": consumer,
            "event_id": event_id,
            "subject": message.subject,
            "payload": message.payload,
            "headers": json.dumps(message.headers),
            "deliveries": message.deliveries,
            "reason": reason,
            "error": f"{type(error).__name__}: {error}"[:2000],
        },
    )


async def list_dead_letters(database: Database, *, limit: int = 100) -> list[DeadLetter]:
    """Those not yet replayed, oldest first."""
    async with database.read() as session:
        rows = await session.execute(
            text(
                """SELECT id, consumer, event_id, subject, payload, headers, deliveries, reason,
                          error, created_at
                   FROM dead_letter WHERE replayed_at IS NULL ORDER BY created_at LIMIT :limit"""
            ).columns(headers=JSONB),
            {"limit": limit},
        )
        return [DeadLetter(**row) for row in rows.mappings()]


async def count_dead_letters(database: Database, consumer: str) -> int:
    """How many of one consumer's wait for somebody."""
    async with database.read() as session:
        found = await session.execute(
            text(
                "SELECT count(*) FROM dead_letter WHERE consumer = :consumer AND replayed_at IS NULL"
            ),
            {"consumer": consumer},
        )
        return int(found.scalar_one())


async def open_letters(database: Database) -> list[UUID]:
    """All not yet replayed, oldest first."""
    async with database.read() as session:
        rows = await session.execute(
            text("SELECT id FROM dead_letter WHERE replayed_at IS NULL ORDER BY created_at, id")
        )
        return list(rows.scalars())


async def replay_dead_letter(database: Database, consumers: Sequence[Consumer], id_: UUID) -> bool:
    """Hand a dead letter to its consumer's handlers once more; False where it is none that waits.

    Nothing is published: what has taken effect, the memory of it and the letter's mark are one transaction. Raises what
    the handler raises, and for what is still no event of its subject; the letter then waits on.
    """
    async with database.transaction() as session:
        found = await session.execute(_TAKE, {"id": id_})
        row = found.mappings().one_or_none()
        if row is None:
            return False
        consumer = next((one for one in consumers if one.name == row["consumer"]), None)
        if consumer is None:
            raise PermanentError(f"no consumer here is called {row['consumer']}")
        event = consumer.read(row["payload"], row["subject"])
        await consumer.take_effect(session, [event])
        await audit.record(
            session,
            audit.Action.DEAD_LETTERS_REPLAYED,
            agency=None,
            at=row["replayed_at"],
            subject=f"dead-letter/{id_}",
            label=row["subject"],
            after={"consumer": row["consumer"], "event": row["event_id"]},
        )
        return True
