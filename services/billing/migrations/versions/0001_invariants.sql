-- What must always be true: how far each invariant was read (read_from by this server's clock, the rest by billing's), what was found, and
-- that somebody asks for everything to be read. Written by the worker that holds the advisory lock 'billing_invariants'.
CREATE TABLE invariant_reading (
    name text NOT NULL CONSTRAINT pk_invariant_reading PRIMARY KEY,
    read_from timestamptz,
    checked_at timestamptz,
    took_ms integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    whole_at timestamptz,
    whole_tried_at timestamptz,
    whole_took_ms integer NOT NULL DEFAULT 0,
    whole_error text NOT NULL DEFAULT ''
);
-- A subject ('' is the agency as a whole) stays until it, or everything, was read again and is right. No foreign keys: what is found may
-- be wrong in just that.
CREATE TABLE invariant_finding (
    name text NOT NULL,
    agency text NOT NULL,
    subject text NOT NULL,
    violations bigint NOT NULL CONSTRAINT ck_invariant_finding_violations CHECK (violations > 0),
    found_at timestamptz NOT NULL,
    CONSTRAINT pk_invariant_finding PRIMARY KEY (name, agency, subject)
);
CREATE TABLE invariant_wish (
    agency text NOT NULL CONSTRAINT pk_invariant_wish PRIMARY KEY CONSTRAINT fk_invariant_wish_agency_agency REFERENCES agency,
    asked_at timestamptz NOT NULL
);
-- What changed since a reading is found by the ids, which are of the time they were made. These have none:
CREATE INDEX ix_mrr_movement_made_at ON mrr_movement USING brin (made_at) WITH (autosummarize = on);
CREATE INDEX ix_subscription_transition_made_at ON subscription_transition USING brin (made_at) WITH (autosummarize = on);
CREATE INDEX ix_refund_failed_at ON refund (failed_at) WHERE failed_at IS NOT NULL;
CREATE INDEX ix_seat_ended_at ON seat (ended_at) WHERE ended_at IS NOT NULL;
