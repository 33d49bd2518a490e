"""The outbox table and how events get into it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
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
#: A row is fresh (never confirmed, never refused), or published, and in either case may be due again: refused by the
#: bus (``refusal`` says why) or to be published once more. ``outbox_stream`` is what the sweep knew of each stream.
SCHEMA_V1 = f"""
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_outbox PRIMARY KEY,
    event_id uuid NOT NULL CONSTRAINT uq_outbox_event_id UNIQUE,
    subject text NOT NULL,
    payload bytea NOT NULL,
    headers jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    stream text,
    stream_sequence bigint,
    due_at timestamptz,
    refusals integer NOT NULL DEFAULT 0,
    refusal text,
    CONSTRAINT ck_outbox_confirmed CHECK (
        (published_at IS NULL) = (stream IS NULL) AND (stream IS NULL) = (stream_sequence IS NULL))
);
CREATE INDEX ix_outbox_fresh ON outbox (id) WHERE published_at IS NULL AND due_at IS NULL;
CREATE INDEX ix_outbox_due ON outbox (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX ix_outbox_published_at ON outbox (stream, published_at) WHERE published_at IS NOT NULL;
CREATE TABLE outbox_stream (
    stream text NOT NULL CONSTRAINT pk_outbox_stream PRIMARY KEY,
    identity text NOT NULL,
    checked_at timestamptz NOT NULL
);
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


def define_tables(metadata: MetaData) -> Table:
    """The outbox, and what its sweep remembers, among a service's tables. Returns the outbox."""
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
        Column("stream", Text),
        Column("stream_sequence", BigInteger),
        Column("due_at", UTCDateTime),
        Column("refusals", Integer, nullable=False, server_default=text("0")),
        Column("refusal", Text),
        CheckConstraint(
            "(published_at IS NULL) = (stream IS NULL)"
            " AND (stream IS NULL) = (stream_sequence IS NULL)",
            name="ck_outbox_confirmed",
        ),
    )
    Table(
        "outbox_stream",
        metadata,
        Column("stream", Text, primary_key=True),
        Column("identity", Text, nullable=False),
        Column("checked_at", UTCDateTime, nullable=False),
    )
    Index(
        "ix_outbox_fresh",
        table.c.id,
        postgresql_where=text("published_at IS NULL AND due_at IS NULL"),
    )
    Index("ix_outbox_due", table.c.due_at, table.c.id, postgresql_where=text("due_at IS NOT NULL"))
    Index(
        "ix_outbox_published_at",
        table.c.stream,
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
