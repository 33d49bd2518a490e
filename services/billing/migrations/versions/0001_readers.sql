-- How people look for people: without marks and case. NFKD takes a letter apart; đ has no parts.
CREATE FUNCTION folded(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lower(translate(regexp_replace(normalize(words, NFKD), '[\u0300-\u036f]', '', 'g'), 'Đđ', 'dd'))
$$;

CREATE TABLE reader (
    id uuid NOT NULL CONSTRAINT pk_reader PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_reader_agency_agency REFERENCES agency,
    email text NOT NULL CONSTRAINT ck_reader_email
        CHECK (email = lower(email) AND length(email) <= 254 AND position('@' IN email) > 1),
    name text NOT NULL DEFAULT '' CONSTRAINT ck_reader_name CHECK (length(name) <= 200),
    -- Of the pages on which they last signed in or bought: the language of letters to them.
    language text NOT NULL DEFAULT 'vi' CONSTRAINT ck_reader_language CHECK (language IN ('vi', 'en')),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Their mailbox was a reader's before, who had a subscription and had their data deleted: no price for who is new is theirs.
    returned boolean NOT NULL DEFAULT false,
    -- When their data was deleted. The row stays, without anything personal: the books refer to it.
    erased_at timestamptz,
    search text GENERATED ALWAYS AS (folded(name || ' ' || email)) STORED,
    CONSTRAINT ck_reader_erased CHECK (CASE WHEN erased_at IS NULL THEN email NOT LIKE '%@erased.invalid'
        ELSE (email, name) = ('reader-' || id || '@erased.invalid', '') END),
    CONSTRAINT uq_reader_agency_email UNIQUE (agency, email),
    CONSTRAINT uq_reader_id_agency UNIQUE (id, agency)
);
CREATE INDEX ix_reader_agency_created_at ON reader (agency, created_at DESC, id DESC);

CREATE TABLE sign_in_code (
    id uuid NOT NULL CONSTRAINT pk_sign_in_code PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_sign_in_code_agency_agency REFERENCES agency,
    -- An e-mail address, or a mobile number.
    sent_to text NOT NULL,
    browser_hash bytea NOT NULL,
    code_hash bytea NOT NULL,
    tries integer NOT NULL DEFAULT 0 CONSTRAINT ck_sign_in_code_tries CHECK (tries BETWEEN 0 AND 5),
    other_tries integer NOT NULL DEFAULT 0
        CONSTRAINT ck_sign_in_code_other_tries CHECK (other_tries BETWEEN 0 AND 5),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX ix_sign_in_code_expires_at ON sign_in_code (expires_at);
CREATE INDEX ix_sign_in_code_sent_to ON sign_in_code (agency, sent_to, created_at);
CREATE INDEX ix_sign_in_code_browser_hash ON sign_in_code (browser_hash);

CREATE TABLE reader_session (
    id uuid NOT NULL CONSTRAINT pk_reader_session PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT uq_reader_session_token_hash UNIQUE,
    user_agent text NOT NULL DEFAULT '',
    network text NOT NULL DEFAULT '',
    browser_hash bytea NOT NULL,
    -- Opened by a code to the mobile number, and not confirmed by the mailbox since.
    by_number boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT fk_reader_session_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency)
);
CREATE INDEX ix_reader_session_reader_id ON reader_session (reader_id);

CREATE TABLE consent (
    id uuid NOT NULL CONSTRAINT pk_consent PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    purpose text NOT NULL,
    version integer NOT NULL CONSTRAINT ck_consent_version CHECK (version > 0),
    granted boolean NOT NULL,
    language text NOT NULL,
    wording text NOT NULL,
    network text NOT NULL,
    user_agent text NOT NULL,
    given_at timestamptz NOT NULL,
    CONSTRAINT fk_consent_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency)
);
CREATE INDEX ix_consent_reader_id_purpose ON consent (reader_id, purpose);

CREATE TABLE rate_bucket (
    bucket text NOT NULL CONSTRAINT pk_rate_bucket PRIMARY KEY,
    due_at timestamptz NOT NULL
);
CREATE INDEX ix_rate_bucket_due_at ON rate_bucket (due_at);
