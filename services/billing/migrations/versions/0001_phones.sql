-- Mobile numbers that readers sign in with, beside their e-mail address. Who is erased takes them along.
CREATE TABLE reader_phone (
    -- A reader has one number, and a number is one reader's of an agency.
    reader_id uuid NOT NULL CONSTRAINT pk_reader_phone PRIMARY KEY,
    agency text NOT NULL,
    number text NOT NULL CONSTRAINT ck_reader_phone_number CHECK (number ~ '^\+84[35789][0-9]{8}$'),
    added_at timestamptz NOT NULL,
    CONSTRAINT uq_reader_phone_agency_number UNIQUE (agency, number),
    CONSTRAINT fk_reader_phone_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency) ON DELETE CASCADE
);

-- Codes that a signed-in reader has sent: to a number that is to be theirs, or to their own mailbox.
CREATE TABLE proof_code (
    id uuid NOT NULL CONSTRAINT pk_proof_code PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    sent_to text NOT NULL,
    code_hash bytea NOT NULL,
    tries integer NOT NULL DEFAULT 0 CONSTRAINT ck_proof_code_tries CHECK (tries BETWEEN 0 AND 5),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT fk_proof_code_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency) ON DELETE CASCADE
);
CREATE INDEX ix_proof_code_reader_id ON proof_code (reader_id, created_at);
CREATE INDEX ix_proof_code_expires_at ON proof_code (expires_at);

-- A browser has proved a number that no account has: it waits for the address of one.
CREATE TABLE number_proof (
    agency text NOT NULL CONSTRAINT fk_number_proof_agency_agency REFERENCES agency,
    browser_hash bytea NOT NULL,
    number text NOT NULL,
    -- The address that this browser gave for the number; empty until it did.
    email text NOT NULL DEFAULT '',
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_number_proof PRIMARY KEY (agency, browser_hash)
);
CREATE INDEX ix_number_proof_expires_at ON number_proof (expires_at);
