-- Days of reading that staff gave a reader, with their reason; nothing was paid for them. Neither table changes: days that were taken
-- back have a row of their own.
CREATE TABLE given_days (
    id uuid NOT NULL CONSTRAINT pk_given_days PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    days integer NOT NULL CONSTRAINT ck_given_days_days CHECK (days BETWEEN 1 AND 90),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reason text NOT NULL CONSTRAINT ck_given_days_reason CHECK (length(reason) BETWEEN 1 AND 200),
    -- The account that gave them, and the name people read.
    given_by text NOT NULL,
    given_name text NOT NULL,
    given_at timestamptz NOT NULL,
    CONSTRAINT ck_given_days_ends_at CHECK (ends_at > starts_at),
    CONSTRAINT ck_given_days_starts_at CHECK (starts_at >= given_at),
    CONSTRAINT uq_given_days_id_agency UNIQUE (id, agency),
    CONSTRAINT fk_given_days_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency)
);
CREATE INDEX ix_given_days_reader_id ON given_days (reader_id, given_at);

CREATE TABLE given_days_ended (
    given_id uuid NOT NULL CONSTRAINT pk_given_days_ended PRIMARY KEY,
    agency text NOT NULL,
    reason text NOT NULL CONSTRAINT ck_given_days_ended_reason CHECK (length(reason) BETWEEN 1 AND 200),
    ended_by text NOT NULL,
    ended_name text NOT NULL,
    ended_at timestamptz NOT NULL,
    CONSTRAINT fk_given_days_ended_given_id_given_days FOREIGN KEY (given_id, agency) REFERENCES given_days (id, agency)
);
