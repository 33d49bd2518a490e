-- What readers are told by mail. Who is erased takes their letters along; the one that says so goes once it was sent.
CREATE TABLE letter (
    id uuid NOT NULL CONSTRAINT pk_letter PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT ck_letter_kind CHECK (kind IN
        ('welcome', 'receipt', 'term_ending', 'term_ended', 'renewal_reminder', 'payment_failed', 'canceled', 'resumed', 'refunded',
         'refund_failed', 'transfer_short', 'new_card', 'trial_started', 'trial_ending', 'price_rises', 'win_back', 'moved',
         'bundle_ending', 'invited', 'seat_ended', 'group_ended', 'network', 'address_changed', 'address_undone', 'password', 'gift', 'erased',
          'number_added', 'number_removed')),
    -- The mailbox, where it is not its reader's: of who is invited, or given something; of an address that its reader has no more, or
    -- may lose before the letter goes.
    recipient text CONSTRAINT ck_letter_recipient
        CHECK ((kind IN ('invited', 'address_changed', 'address_undone', 'password', 'number_added', 'number_removed', 'gift', 'erased')) = (recipient IS NOT NULL)),
    -- The same fact told twice is one letter.
    business_key text NOT NULL,
    language text NOT NULL CONSTRAINT ck_letter_language CHECK (language IN ('vi', 'en')),
    facts jsonb NOT NULL CONSTRAINT ck_letter_facts CHECK (jsonb_typeof(facts) = 'object'),
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CONSTRAINT ck_letter_state
        CHECK (state IN ('waiting', 'sent', 'given_up', 'dropped')),
    attempts integer NOT NULL DEFAULT 0 CONSTRAINT ck_letter_attempts CHECK (attempts >= 0),
    next_attempt_at timestamptz NOT NULL,
    sent_at timestamptz,
    -- The exception's type only: its text may hold the address.
    error text NOT NULL DEFAULT '',
    CONSTRAINT ck_letter_sent CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CONSTRAINT ck_letter_next_attempt_at CHECK (next_attempt_at >= due_at),
    CONSTRAINT uq_letter_agency_business_key UNIQUE (agency, business_key),
    CONSTRAINT fk_letter_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency) ON DELETE CASCADE
);
CREATE INDEX ix_letter_reader_id ON letter (reader_id, created_at);
CREATE INDEX ix_letter_waiting ON letter (next_attempt_at) WHERE state = 'waiting';
CREATE INDEX ix_letter_given_up ON letter (created_at) WHERE state = 'given_up';

-- A letter stays what it is; one that was sent stays sent.
CREATE FUNCTION letter_goes_forward() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.agency, NEW.reader_id, NEW.kind, NEW.recipient, NEW.business_key, NEW.language, NEW.facts, NEW.created_at, NEW.due_at)
       IS DISTINCT FROM
       (OLD.id, OLD.agency, OLD.reader_id, OLD.kind, OLD.recipient, OLD.business_key, OLD.language, OLD.facts, OLD.created_at, OLD.due_at)
       OR OLD.state = 'sent' THEN
        RAISE EXCEPTION 'letter % is refused: what it tells stays, and what was sent is not sent again', OLD.business_key
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER letter_goes_forward BEFORE UPDATE ON letter FOR EACH ROW EXECUTE FUNCTION letter_goes_forward();
