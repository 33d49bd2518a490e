"""Inbox and dead-letter tables."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import Session, UTCDateTime

#: For a service's first migration.
SCHEMA_V1 = """
CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_inbox PRIMARY KEY (consumer, event_id)
);
CREATE TABLE dead_letter (
    id uuid NOT NULL CONSTRAINT pk_dead_letter PRIMARY KEY,
    consumer text NOT NULL,
    event_id uuid,
    subject text NOT NULL,
    payload bytea NOT NULL,
    headers jsonb NOT NULL,
    deliveries integer NOT NULL,
    reason text NOT NULL,
    error text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz
);
CREATE INDEX ix_dead_letter_open ON dead_letter (consumer, created_at) WHERE replayed_at IS NULL;
"""

_CLAIM = text(
    """INSERT INTO inbox (consumer, event_id)
       SELECT :consumer, unnest(CAST(:event_ids AS uuid[]))
       ON CONFLICT DO NOTHING RETURNING event_id"""
)


def define_tables(metadata: MetaData) -> tuple[Table, Table]:
    """Inbox and dead letters among a service's tables."""
    inbox = Table(
        "inbox",
        metadata,
        Column("consumer", Text, nullable=False),
        Column("event_id", Uuid, nullable=False),
        Column("handled_at", UTCDateTime, nullable=False, server_default=text("now()")),
        PrimaryKeyConstraint("consumer", "event_id"),
    )
    dead_letter = Table(
        "dead_letter",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("consumer", Text, nullable=False),
        Column("event_id", Uuid),
        Column("subject", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("deliveries", Integer, nullable=False),
        Column("reason", Text, nullable=False),
        Column("error", Text, nullable=False),
        Column("created_at", UTCDateTime, nullable=False, server_default=text("now()")),
        Column("replayed_at", UTCDateTime),
    )
    Index(
        "ix_dead_letter_open",
        dead_letter.c.consumer,
        dead_letter.c.created_at,
        postgresql_where=text("replayed_at IS NULL"),
    )
    return inbox, dead_letter


async def claim(session: Session, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
    """Remember events as handled by ``consumer``, in this transaction. Returns those that are new."""
    statement = _CLAIM.bindparams(consumer=consumer)
    # In one order everywhere: two batches of the same events, delivered again to another worker, end in no deadlock.
    result = await session.execute(statement, {"event_ids": sorted(event_ids)})
    return {row[0] for row in result}
