-- A reader has their data deleted: a code that was sent to their mailbox says that it is they who want it.
CREATE TABLE erasure_code (
    id uuid NOT NULL CONSTRAINT pk_erasure_code PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    code_hash bytea NOT NULL,
    tries integer NOT NULL DEFAULT 0 CONSTRAINT ck_erasure_code_tries CHECK (tries BETWEEN 0 AND 5),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT fk_erasure_code_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency)
);
CREATE INDEX ix_erasure_code_reader_id ON erasure_code (reader_id, created_at);
CREATE INDEX ix_erasure_code_expires_at ON erasure_code (expires_at);

-- A mailbox whose reader had a subscription and was erased, as a hash that nobody without the service's secret can make: used for
-- nothing but to tell that who registers with it again is not new.
CREATE TABLE former_reader (
    agency text NOT NULL CONSTRAINT fk_former_reader_agency_agency REFERENCES agency,
    mailbox_hash bytea NOT NULL,
    CONSTRAINT pk_former_reader PRIMARY KEY (agency, mailbox_hash)
);

-- Who was erased stays so.
CREATE FUNCTION reader_stays_erased() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'reader % was erased and stays so', OLD.id USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER reader_stays_erased BEFORE UPDATE ON reader
    FOR EACH ROW WHEN (OLD.erased_at IS NOT NULL) EXECUTE FUNCTION reader_stays_erased();

-- Nothing of theirs comes in any more, also not from who was a moment slower: the reader's row is held till COMMIT.
CREATE FUNCTION reader_is_there() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM reader WHERE id = NEW.reader_id AND erased_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% of reader % is refused: they were erased', TG_TABLE_NAME, NEW.reader_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reader_session_reader_is_there BEFORE INSERT ON reader_session FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER consent_reader_is_there BEFORE INSERT ON consent FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER sales_order_reader_is_there BEFORE INSERT ON sales_order FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER provider_customer_reader_is_there BEFORE INSERT ON provider_customer FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER seat_reader_is_there BEFORE INSERT ON seat FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER given_days_reader_is_there BEFORE INSERT ON given_days FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER student_address_reader_is_there BEFORE INSERT ON student_address FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER student_code_reader_is_there BEFORE INSERT ON student_code FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER reader_phone_reader_is_there BEFORE INSERT ON reader_phone FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER proof_code_reader_is_there BEFORE INSERT ON proof_code FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER erasure_code_reader_is_there BEFORE INSERT ON erasure_code FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER reader_password_reader_is_there BEFORE INSERT ON reader_password FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER password_code_reader_is_there BEFORE INSERT ON password_code FOR EACH ROW EXECUTE FUNCTION reader_is_there();
CREATE TRIGGER letter_reader_is_there BEFORE INSERT ON letter FOR EACH ROW EXECUTE FUNCTION reader_is_there();

-- What a reader said stays as it was; of who was erased, without the network and the browser.
CREATE FUNCTION consent_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF to_jsonb(NEW) - 'network' - 'user_agent' <> to_jsonb(OLD) - 'network' - 'user_agent' OR NEW.network <> '' OR NEW.user_agent <> ''
       OR NOT EXISTS (SELECT FROM reader WHERE id = OLD.reader_id AND erased_at IS NOT NULL) THEN
        RAISE EXCEPTION 'a consent is never changed; when its reader is erased, the network and the browser go'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER consent_stays BEFORE UPDATE ON consent FOR EACH ROW EXECUTE FUNCTION consent_stays();
