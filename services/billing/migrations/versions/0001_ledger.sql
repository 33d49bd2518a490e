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

-- How far an agency's books have come; days are in its calendar. Whoever posts holds the row until COMMIT (the trigger below sees to
-- it): an agency's books are written by one transaction at a time, so that running balances add up and no period closes under a posting.
CREATE TABLE books (
    agency text NOT NULL CONSTRAINT pk_books PRIMARY KEY CONSTRAINT fk_books_agency_agency REFERENCES agency,
    -- Days that have begun: a schedule that is made now earns the days up to here by itself (recognition_due).
    opened_through date NOT NULL,
    -- Days whose sum over all other schedules has been taken.
    counted_through date NOT NULL,
    -- The last day of the last closed period; NULL while none is closed.
    closed_through date,
    CONSTRAINT ck_books_counted_through CHECK (counted_through <= opened_through),
    CONSTRAINT ck_books_closed_through CHECK
        (closed_through <= counted_through AND extract(day FROM closed_through + 1) = 1)
);
CREATE FUNCTION books_go_forward() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.agency <> OLD.agency OR NEW.opened_through < OLD.opened_through
       OR NEW.counted_through < OLD.counted_through
       OR coalesce(NEW.closed_through < OLD.closed_through, OLD.closed_through IS NOT NULL) THEN
        RAISE EXCEPTION 'the books of % go forward only: no day is taken back, no period is opened again', OLD.agency
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER books_go_forward BEFORE UPDATE ON books FOR EACH ROW EXECUTE FUNCTION books_go_forward();

CREATE TABLE journal_entry (
    id uuid NOT NULL CONSTRAINT pk_journal_entry PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_journal_entry_agency_books REFERENCES books,
    currency text NOT NULL CONSTRAINT ck_journal_entry_currency CHECK (currency ~ '^[A-Z]{3}$'),
    business_key text NOT NULL,
    kind text NOT NULL,
    source_id uuid NOT NULL,
    -- The day of the fact, and the day it is booked on: later than the fact's where that day's period was closed already.
    occurred_on date NOT NULL,
    booked_on date NOT NULL,
    occurred_at timestamptz NOT NULL,
    posted_at timestamptz NOT NULL,
    reverses uuid CONSTRAINT uq_journal_entry_reverses UNIQUE
        CONSTRAINT fk_journal_entry_reverses_journal_entry REFERENCES journal_entry,
    created_xid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    CONSTRAINT uq_journal_entry_agency_business_key UNIQUE (agency, business_key),
    CONSTRAINT ck_journal_entry_booked_on CHECK (booked_on >= occurred_on)
);
CREATE INDEX ix_journal_entry_agency_booked_on ON journal_entry (agency, booked_on, id);
CREATE INDEX ix_journal_entry_source ON journal_entry (source_id);
-- What moves a card provider's balance and is neither a payment nor a refund (ledger.rules.PROVIDER_KINDS): few, and summed by the
-- invariants each time.
CREATE INDEX ix_journal_entry_provider ON journal_entry (agency, id) WHERE kind IN
    ('payout', 'payout_failed', 'dispute_withdrawn', 'dispute_reinstated', 'unclaimed', 'unclaimed_returned');

-- The entry of a line is checked by journal_line_complete; it is never changed or removed.
CREATE TABLE journal_line (
    entry_id uuid NOT NULL,
    line_no integer NOT NULL,
    agency text NOT NULL,
    account text NOT NULL,
    booked_on date NOT NULL,
    amount_vnd bigint NOT NULL CONSTRAINT ck_journal_line_amount_vnd
        CHECK (amount_vnd <> 0 AND abs(amount_vnd) <= 1000000000000000),
    CONSTRAINT pk_journal_line PRIMARY KEY (entry_id, line_no),
    CONSTRAINT fk_journal_line_agency_ledger_account FOREIGN KEY (agency, account)
        REFERENCES ledger_account (agency, code)
);
CREATE INDEX ix_journal_line_agency_account ON journal_line (agency, account, booked_on, entry_id)
    INCLUDE (amount_vnd);

-- What each account moved by on each day: the sum of its lines, kept by journal_line_complete and by nobody else.
CREATE TABLE account_day (
    agency text NOT NULL,
    account text NOT NULL,
    currency text NOT NULL,
    booked_on date NOT NULL,
    debit_vnd bigint NOT NULL,
    credit_vnd bigint NOT NULL,
    CONSTRAINT pk_account_day PRIMARY KEY (agency, account, currency, booked_on),
    CONSTRAINT ck_account_day_sides CHECK (debit_vnd >= 0 AND credit_vnd >= 0)
);
-- A trigger's own statement runs at depth 1, what it does at depth 2; the service's role can make no trigger, and no temporary table
-- to hang one on.
CREATE FUNCTION account_day_by_posting_only() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'running balances follow the journal: post an entry' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER account_day_by_posting_only BEFORE INSERT OR UPDATE OR DELETE ON account_day
    FOR EACH STATEMENT EXECUTE FUNCTION account_day_by_posting_only();

-- The transaction's number is set here, so that nobody can pretend.
CREATE FUNCTION journal_entry_stamp() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.created_xid := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER journal_entry_stamp BEFORE INSERT ON journal_entry
    FOR EACH ROW EXECUTE FUNCTION journal_entry_stamp();

CREATE FUNCTION journal_entry_in_open_period() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE refused record;
BEGIN
    PERFORM FROM books WHERE agency IN (SELECT agency FROM added) ORDER BY agency FOR NO KEY UPDATE;
    SELECT a.business_key, a.booked_on, b.closed_through INTO refused
    FROM added a JOIN books b ON b.agency = a.agency WHERE a.booked_on <= b.closed_through LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % is refused: % lies in a closed period (through %)',
            refused.business_key, refused.booked_on, refused.closed_through
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'journal_entry_in_open_period';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER journal_entry_in_open_period AFTER INSERT ON journal_entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION journal_entry_in_open_period();

-- At COMMIT: an entry has lines (two or more, for none is zero and they sum to it), and one that reverses another is its exact opposite. (The plans of these functions are
-- kept: without the settings one that was made for a small journal would read the whole of a large one.)
CREATE FUNCTION journal_entry_complete() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE opposite boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM journal_line WHERE entry_id = NEW.id) THEN
        RAISE EXCEPTION 'journal entry % is refused: it has no lines', NEW.business_key
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_complete';
    END IF;
    IF NEW.reverses IS NOT NULL THEN
        SELECT e.agency = NEW.agency AND e.currency = NEW.currency
            AND ARRAY(SELECT (account, amount_vnd)::text FROM journal_line WHERE entry_id = NEW.id ORDER BY 1)
              = ARRAY(SELECT (account, -amount_vnd)::text FROM journal_line WHERE entry_id = e.id ORDER BY 1)
            INTO opposite FROM journal_entry e WHERE e.id = NEW.reverses;
        IF NOT opposite THEN
            RAISE EXCEPTION 'journal entry % is refused: it is not the opposite of the entry it reverses', NEW.business_key
                USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_complete';
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER journal_entry_complete AFTER INSERT ON journal_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION journal_entry_complete();

-- All lines of an entry come in one statement, in its transaction, and sum to zero; then the running balances follow.
CREATE FUNCTION journal_line_complete() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE refused record;
BEGIN
    SELECT l.entry_id, count(*) AS lines, sum(l.amount_vnd) AS total INTO refused
    FROM added l LEFT JOIN journal_entry e ON e.id = l.entry_id
        AND e.agency = l.agency AND e.booked_on = l.booked_on
        AND e.created_xid = pg_current_xact_id()::text::bigint
    GROUP BY l.entry_id HAVING sum(l.amount_vnd) <> 0 OR count(e.id) < count(*)
        OR count(*) <> (SELECT count(*) FROM journal_line AS all_lines WHERE all_lines.entry_id = l.entry_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'lines of journal entry % are refused: % of them sum to %, or are not all of it, or not of its agency, day and transaction',
            refused.entry_id, refused.lines, refused.total
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_line_complete';
    END IF;
    INSERT INTO account_day AS d (agency, account, currency, booked_on, debit_vnd, credit_vnd)
    SELECT l.agency, l.account, e.currency, l.booked_on, coalesce(sum(l.amount_vnd) FILTER (WHERE l.amount_vnd > 0), 0),
           coalesce(-sum(l.amount_vnd) FILTER (WHERE l.amount_vnd < 0), 0)
    FROM added l LEFT JOIN journal_entry e ON e.id = l.entry_id GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT ON CONSTRAINT pk_account_day DO UPDATE
        SET debit_vnd = d.debit_vnd + excluded.debit_vnd, credit_vnd = d.credit_vnd + excluded.credit_vnd;
    RETURN NULL;
END $$;
CREATE TRIGGER journal_line_complete AFTER INSERT ON journal_line
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION journal_line_complete();
