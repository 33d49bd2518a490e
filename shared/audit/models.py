"""The tables: entries, the seals that chain them, and how far the chain was verified.

An entry is inserted whenever its use case comes to it; its seal is made by a *deferred* trigger, at the commit. Only
there the agency's chain is locked (an advisory lock until the commit is through): rivals wait for a commit and not for
a use case, two of them cannot both follow the same entry, and no row that a use case holds can be part of a deadlock.
Whoever records for several agencies in one transaction does it in the order of their ids.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import UTCDateTime
from shared.database.privileges import REFUSE_CHANGE_V1, append_only

_TABLES = """
CREATE TABLE audit_entry (
    id uuid NOT NULL CONSTRAINT pk_audit_entry PRIMARY KEY,
    at timestamptz NOT NULL,
    agency text,
    action text NOT NULL,
    actor_kind text NOT NULL CONSTRAINT ck_audit_entry_actor_kind
        CHECK (actor_kind IN ('staff', 'key', 'command', 'system', 'stranger')),
    actor_id text NOT NULL CONSTRAINT ck_audit_entry_actor_id CHECK (actor_id <> ''),
    actor text NOT NULL,
    subject text NOT NULL,
    label text NOT NULL,
    before jsonb,
    after jsonb,
    request_id text NOT NULL,
    network text NOT NULL,
    digest bytea NOT NULL CONSTRAINT ck_audit_entry_digest CHECK (length(digest) = 32)
);
CREATE INDEX ix_audit_entry_agency_at ON audit_entry (agency, at);
CREATE TABLE audit_seal (
    chain text NOT NULL,
    position bigint NOT NULL CONSTRAINT ck_audit_seal_position CHECK (position > 0),
    entry_id uuid NOT NULL CONSTRAINT uq_audit_seal_entry_id UNIQUE,
    hash bytea NOT NULL,
    CONSTRAINT pk_audit_seal PRIMARY KEY (chain, position)
);
CREATE TABLE audit_checkpoint (
    chain text NOT NULL CONSTRAINT pk_audit_checkpoint PRIMARY KEY,
    position bigint NOT NULL,
    hash bytea NOT NULL
);

CREATE FUNCTION audit_seal_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ours text := coalesce(NEW.agency, '');
    before audit_seal;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit ' || ours, 0));
    -- A statement of its own: under READ COMMITTED it sees what the last holder of the lock has committed.
    SELECT * INTO before FROM audit_seal WHERE chain = ours ORDER BY position DESC LIMIT 1;
    INSERT INTO audit_seal (chain, position, entry_id, hash) VALUES (
        ours, coalesce(before.position, 0) + 1, NEW.id, sha256(coalesce(before.hash, ''::bytea) || NEW.digest));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER audit_entry_is_sealed AFTER INSERT ON audit_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_seal_entry();
"""
#: For a service's first migration. Run-time roles get INSERT and SELECT on the first two, UPDATE on the third besides.
SCHEMA_V1 = REFUSE_CHANGE_V1 + _TABLES + append_only("audit_entry", "audit_seal")


def define_tables(metadata: MetaData) -> tuple[Table, Table, Table]:
    """``audit_entry``, ``audit_seal`` and ``audit_checkpoint`` among a service's tables."""
    entry = Table(
        "audit_entry",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("at", UTCDateTime, nullable=False),
        Column("agency", Text),
        Column("action", Text, nullable=False),
        Column("actor_kind", Text, nullable=False),
        Column("actor_id", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("label", Text, nullable=False),
        Column("before", JSONB),
        Column("after", JSONB),
        Column("request_id", Text, nullable=False),
        Column("network", Text, nullable=False),
        Column("digest", LargeBinary, nullable=False),
    )
    Index("ix_audit_entry_agency_at", entry.c.agency, entry.c.at)
    seal = Table(
        "audit_seal",
        metadata,
        Column("chain", Text, primary_key=True),
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("entry_id", Uuid, nullable=False, unique=True),
        Column("hash", LargeBinary, nullable=False),
    )
    checkpoint = Table(
        "audit_checkpoint",
        metadata,
        Column("chain", Text, primary_key=True),
        Column("position", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
    )
    return entry, seal, checkpoint
