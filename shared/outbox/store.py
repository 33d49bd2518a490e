"""The outbox table and how events get into it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.contracts import Event, encode
from shared.database import Session, UTCDateTime
from shared.telemetry.tracing import inject_headers

CHANNEL = "outbox"

#: For a service's first migration. The trigger wakes the relay at commit; polling is only the fallback.
SCHEMA_V1 = f"""
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_outbox PRIMARY KEY,
    event_id uuid NOT NULL CONSTRAINT uq_outbox_event_id UNIQUE,
    subject text NOT NULL,
    payload bytea NOT NULL,
    headers jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX ix_outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE INDEX ix_outbox_published_at ON outbox (published_at) WHERE published_at IS NOT NULL;
CREATE FUNCTION outbox_notify() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('{CHANNEL}', ''); RETURN NULL; END $$;
CREATE TRIGGER outbox_inserted AFTER INSERT ON outbox
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_notify();
"""

_INSERT = text(
    """INSERT INTO outbox (event_id, subject, payload, headers)
       VALUES (:event_id, :subject, :payload, CAST(:headers AS jsonb))"""
)
_INSERT_RAW = """INSERT INTO outbox (event_id, subject, payload, headers)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::jsonb[])"""


def define_table(metadata: MetaData) -> Table:
    """The outbox among a service's tables."""
    table = Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Uuid, nullable=False, unique=True),
        Column("subject", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("created_at", UTCDateTime, nullable=False, server_default=text("now()")),
        Column("published_at", UTCDateTime),
    )
    Index("ix_outbox_unpublished", table.c.id, postgresql_where=text("published_at IS NULL"))
    Index(
        "ix_outbox_published_at",
        table.c.published_at,
        postgresql_where=text("published_at IS NOT NULL"),
    )
    return table


async def record(session: Session, *events: Event[Any]) -> None:
    """Store events in the caller's transaction. They are published if, and only if, it commits."""
    if not events:
        return
    headers = json.dumps(inject_headers())
    await session.execute(
        _INSERT,
        [
            {
                "event_id": event.id,
                "subject": event.bus_subject,
                "payload": encode(event),
                "headers": headers,
            }
            for event in events
        ],
    )


async def record_raw(connection: asyncpg.Connection, events: Sequence[Event[Any]]) -> None:
    """The same on a raw connection that is inside a transaction, in one statement."""
    headers = json.dumps(inject_headers())
    await connection.execute(
        _INSERT_RAW,
        [event.id for event in events],
        [event.bus_subject for event in events],
        [encode(event) for event in events],
        [headers] * len(events),
    )
