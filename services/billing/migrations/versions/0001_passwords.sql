-- A reader's password, for who wants one: only its hash. Who is erased takes it along.
CREATE TABLE reader_password (
    reader_id uuid NOT NULL CONSTRAINT pk_reader_password PRIMARY KEY,
    agency text NOT NULL,
    -- Another one with each choice: what was found right of the one before is worth nothing.
    id uuid NOT NULL CONSTRAINT uq_reader_password_id UNIQUE,
    password_hash text NOT NULL CONSTRAINT ck_reader_password_hash CHECK (password_hash LIKE '$argon2id$%'),
    set_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT ck_reader_password_changed_at CHECK (changed_at >= set_at),
    CONSTRAINT fk_reader_password_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency) ON DELETE CASCADE
);

-- A code for setting or removing one. It is of the mailbox that it was sent to, and worth nothing once the address is another.
CREATE TABLE password_code (
    id uuid NOT NULL CONSTRAINT pk_password_code PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    address text NOT NULL,
    code_hash bytea NOT NULL,
    tries integer NOT NULL DEFAULT 0 CONSTRAINT ck_password_code_tries CHECK (tries BETWEEN 0 AND 5),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT fk_password_code_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency) ON DELETE CASCADE
);
CREATE INDEX ix_password_code_reader_id ON password_code (reader_id, created_at);
CREATE INDEX ix_password_code_expires_at ON password_code (expires_at);
