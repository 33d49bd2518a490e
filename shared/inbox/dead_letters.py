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
from shared.bus.base import Bus, InboundMessage, OutboundMessage
from shared.database import Database, Session
from shared.ids import new_id


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


async def replay_dead_letters(database: Database, bus: Bus, ids: Sequence[UUID]) -> int:
    """Publish dead letters again (each reader's inbox drops what it has handled). Returns how many.

    The row is marked in the transaction that ends after the bus has confirmed: a crash replays twice, never zero
    times.
    """
    replayed = 0
    for id_ in ids:
        async with database.transaction() as session:
            row = (
                (
                    await session.execute(
                        text(
                            """UPDATE dead_letter SET replayed_at = now()
                               WHERE id = :id AND replayed_at IS NULL
                               RETURNING consumer, event_id, subject, payload, headers,
                                         replayed_at"""
                        ).columns(headers=JSONB),
                        {"id": id_},
                    )
                )
                .mappings()
                .one_or_none()
            )
            if row is None:
                continue
            headers = {k: v for k, v in row["headers"].items() if not k.startswith("Nats-")}
            # A message id of its own: the first copy may still be inside the de-duplication window.
            await bus.publish(
                [OutboundMessage(row["subject"], row["payload"], f"replay-{new_id()}", headers)]
            )
            await audit.record(
                session,
                audit.Action.DEAD_LETTERS_REPLAYED,
                agency=None,
                at=row["replayed_at"],
                subject=f"dead-letter/{id_}",
                label=row["subject"],
                after={"consumer": row["consumer"], "event": row["event_id"]},
            )
            replayed += 1
    return replayed
