CREATE TABLE ledger_account (
    agency text NOT NULL CONSTRAINT fk_ledger_account_agency_agency REFERENCES agency,
    code text NOT NULL,
    kind text NOT NULL CONSTRAINT ck_ledger_account_kind
        CHECK (kind IN ('asset', 'liability', 'revenue', 'contra_revenue', 'expense')),
    local_code text NOT NULL,
    name_vi text NOT NULL,
    name_en text NOT NULL,
    position integer NOT NULL,
    CONSTRAINT pk_ledger_account PRIMARY KEY (agency, code)
);

CREATE TABLE journal_entry (
    id uuid NOT NULL CONSTRAINT pk_journal_entry PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_journal_entry_agency_agency REFERENCES agency,
    currency text NOT NULL CONSTRAINT ck_journal_entry_currency CHECK (currency ~ '^[A-Z]{3}$'),
    business_key text NOT NULL,
    kind text NOT NULL,
    source_id uuid NOT NULL,
    occurred_on date NOT NULL,
    occurred_at timestamptz NOT NULL,
    posted_at timestamptz NOT NULL,
    reverses uuid CONSTRAINT fk_journal_entry_reverses_journal_entry REFERENCES journal_entry,
    created_xid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    CONSTRAINT uq_journal_entry_agency_business_key UNIQUE (agency, business_key)
);
CREATE INDEX ix_journal_entry_agency_posted_at ON journal_entry (agency, posted_at);
CREATE INDEX ix_journal_entry_source ON journal_entry (source_id);

CREATE TABLE journal_line (
    entry_id uuid NOT NULL CONSTRAINT fk_journal_line_entry_id_journal_entry REFERENCES journal_entry,
    line_no integer NOT NULL,
    agency text NOT NULL,
    account text NOT NULL,
    amount_vnd bigint NOT NULL CONSTRAINT ck_journal_line_amount_vnd
        CHECK (amount_vnd <> 0 AND abs(amount_vnd) <= 1000000000000000),
    CONSTRAINT pk_journal_line PRIMARY KEY (entry_id, line_no),
    CONSTRAINT fk_journal_line_agency_ledger_account FOREIGN KEY (agency, account)
        REFERENCES ledger_account (agency, code)
);
CREATE INDEX ix_journal_line_agency_account ON journal_line (agency, account) INCLUDE (amount_vnd);

-- At COMMIT: every entry has two lines or more, all of its agency, that sum to zero. Asked for the entry (which may
-- have no lines) and for each of its lines: SET CONSTRAINTS can have the entry's check made before the last line.
CREATE FUNCTION journal_entry_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE entry journal_entry; lines integer; total numeric; foreign_lines integer;
BEGIN
    IF TG_TABLE_NAME = 'journal_line' THEN
        SELECT * INTO entry FROM journal_entry WHERE id = NEW.entry_id;
    ELSE
        entry := NEW;
    END IF;
    SELECT count(*), coalesce(sum(amount_vnd), 0), count(*) FILTER (WHERE agency <> entry.agency)
        INTO lines, total, foreign_lines FROM journal_line WHERE entry_id = entry.id;
    IF lines < 2 OR total <> 0 OR foreign_lines > 0 THEN
        RAISE EXCEPTION 'journal entry % is refused: % lines that sum to %, % of another agency',
            entry.business_key, lines, total, foreign_lines
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_balanced';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER journal_entry_balanced AFTER INSERT ON journal_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION journal_entry_balanced();
CREATE CONSTRAINT TRIGGER journal_line_balanced AFTER INSERT ON journal_line
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION journal_entry_balanced();

-- Lines come with their entry, in its transaction: what was posted stays as it was. The transaction's number is set
-- here, so that nobody can pretend.
CREATE FUNCTION journal_entry_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.created_xid := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER journal_entry_stamp BEFORE INSERT ON journal_entry
    FOR EACH ROW EXECUTE FUNCTION journal_entry_stamp();
CREATE FUNCTION journal_line_with_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added JOIN journal_entry e ON e.id = added.entry_id
        WHERE e.created_xid <> pg_current_xact_id()::text::bigint
    ) THEN
        RAISE EXCEPTION 'a posted journal entry takes no further lines: post a correction'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER journal_line_with_entry AFTER INSERT ON journal_line
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION journal_line_with_entry();


CREATE TABLE recognition_schedule (
    id uuid NOT NULL CONSTRAINT pk_recognition_schedule PRIMARY KEY,
    agency text NOT NULL,
    payment_id uuid NOT NULL,
    currency text NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    total_vnd bigint NOT NULL CONSTRAINT ck_recognition_schedule_total_vnd CHECK (total_vnd > 0),
    next_on date NOT NULL,
    recognised_vnd bigint NOT NULL DEFAULT 0,
    reversed_vnd bigint NOT NULL DEFAULT 0,
    carried_vnd bigint NOT NULL DEFAULT 0,
    closed_on date,
    CONSTRAINT ck_recognition_schedule_days CHECK
        (starts_on < ends_on AND next_on BETWEEN starts_on AND ends_on),
    CONSTRAINT ck_recognition_schedule_recognised CHECK
        (recognised_vnd = (total_vnd * (next_on - starts_on)) / (ends_on - starts_on)),
    -- A closed schedule has told where all of it went: earned, given back, or carried to its successor.
    CONSTRAINT ck_recognition_schedule_closed CHECK (
        reversed_vnd >= 0 AND carried_vnd >= 0 AND CASE WHEN closed_on IS NULL
            THEN reversed_vnd = 0 AND carried_vnd = 0
            ELSE recognised_vnd + reversed_vnd + carried_vnd = total_vnd END),
    CONSTRAINT fk_recognition_schedule_payment_id_payment FOREIGN KEY (payment_id, agency)
        REFERENCES payment (id, agency)
);
CREATE INDEX ix_recognition_schedule_payment_id ON recognition_schedule (payment_id);
CREATE INDEX ix_recognition_schedule_due ON recognition_schedule (next_on)
    WHERE closed_on IS NULL AND next_on < ends_on;
