-- Changes of a reader's e-mail address. Who is erased takes them along.
CREATE TABLE address_code (
    id uuid NOT NULL CONSTRAINT pk_address_code PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    address text NOT NULL,
    code_hash bytea NOT NULL,
    tries integer NOT NULL DEFAULT 0 CONSTRAINT ck_address_code_tries CHECK (tries BETWEEN 0 AND 5),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT fk_address_code_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency) ON DELETE CASCADE
);
CREATE INDEX ix_address_code_reader_id ON address_code (reader_id, created_at);
CREATE INDEX ix_address_code_expires_at ON address_code (expires_at);

CREATE TABLE address_change (
    id uuid NOT NULL CONSTRAINT pk_address_change PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    old_email text NOT NULL,
    new_email text NOT NULL CONSTRAINT ck_address_change_new_email CHECK (new_email <> old_email),
    changed_at timestamptz NOT NULL,
    -- Until then the old mailbox may take it back, and nobody else has its address.
    undo_until timestamptz NOT NULL,
    -- The browser that made it.
    network text NOT NULL,
    user_agent text NOT NULL,
    undone_at timestamptz,
    CONSTRAINT ck_address_change_undo_until CHECK (undo_until > changed_at),
    CONSTRAINT ck_address_change_undone_at CHECK (undone_at >= changed_at),
    CONSTRAINT fk_address_change_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency) ON DELETE CASCADE
);
CREATE INDEX ix_address_change_reader_id ON address_change (reader_id, changed_at);
CREATE INDEX ix_address_change_old_email ON address_change (agency, old_email) WHERE undone_at IS NULL;
CREATE FUNCTION address_change_undone_once() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.undone_at IS NOT NULL OR NEW.undone_at IS NULL
       OR to_jsonb(NEW) - 'undone_at' IS DISTINCT FROM to_jsonb(OLD) - 'undone_at' THEN
        RAISE EXCEPTION 'a change of address is taken back once, and nothing else of it changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER address_change_undone_once BEFORE UPDATE ON address_change FOR EACH ROW EXECUTE FUNCTION address_change_undone_once();
