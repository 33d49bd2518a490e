CREATE TABLE webhook_event (
    source text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    payload bytea NOT NULL,
    agency text,
    via text NOT NULL CONSTRAINT ck_webhook_event_via CHECK (via IN ('webhook', 'sweep', 'statement')),
    created_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'waiting' CONSTRAINT ck_webhook_event_state
        CHECK (state IN ('waiting', 'handled', 'parked')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    handled_at timestamptz,
    error text NOT NULL DEFAULT '',
    CONSTRAINT pk_webhook_event PRIMARY KEY (source, event_id),
    CONSTRAINT ck_webhook_event_handled CHECK ((state = 'handled') = (handled_at IS NOT NULL))
);
CREATE INDEX ix_webhook_event_waiting ON webhook_event (next_attempt_at) WHERE state = 'waiting';
CREATE INDEX ix_webhook_event_told ON webhook_event (next_attempt_at) WHERE state = 'waiting' AND via <> 'statement';
CREATE INDEX ix_webhook_event_parked ON webhook_event (received_at) WHERE state = 'parked';
-- Old ones are looked for once an hour; rows come in this order, so that their blocks tell enough.
CREATE INDEX ix_webhook_event_received ON webhook_event USING brin (received_at);
CREATE FUNCTION webhook_notify() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('webhook', ''); RETURN NULL; END $$;
CREATE TRIGGER webhook_inserted AFTER INSERT ON webhook_event
    FOR EACH STATEMENT EXECUTE FUNCTION webhook_notify();

CREATE TABLE sweep_cursor (
    source text NOT NULL CONSTRAINT pk_sweep_cursor PRIMARY KEY,
    seen_until timestamptz NOT NULL
);
