-- Where an agency's readers transfer to. The lowest position is shown; money that comes into any of them is booked.
CREATE TABLE bank_account (
    agency text NOT NULL CONSTRAINT fk_bank_account_agency_agency REFERENCES agency,
    number text NOT NULL CONSTRAINT ck_bank_account_number CHECK (number ~ '^[A-Z0-9]{1,19}$'),
    bank_bin text NOT NULL CONSTRAINT ck_bank_account_bank_bin CHECK (bank_bin ~ '^[0-9]{6}$'),
    holder text NOT NULL CONSTRAINT ck_bank_account_holder CHECK (length(holder) BETWEEN 1 AND 100),
    position integer NOT NULL,
    CONSTRAINT pk_bank_account PRIMARY KEY (agency, number),
    CONSTRAINT uq_bank_account_position UNIQUE (agency, position)
);

-- Money that came in. What of it is not yet given to an order or returned waits for one, or for a person (reason says why).
CREATE TABLE bank_credit (
    id uuid NOT NULL CONSTRAINT pk_bank_credit PRIMARY KEY,
    agency text NOT NULL,
    account text NOT NULL,
    reference text NOT NULL,
    amount_vnd bigint NOT NULL CONSTRAINT ck_bank_credit_amount_vnd
        CHECK (amount_vnd BETWEEN 1 AND 1000000000000000),
    note text NOT NULL,
    payer text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    order_id uuid,
    left_vnd bigint NOT NULL,
    reason text NOT NULL DEFAULT '' CONSTRAINT ck_bank_credit_reason CHECK (reason IN
        ('', 'no_order', 'several_orders', 'under', 'over', 'late', 'paid_already', 'doubled', 'subscribed', 'offer_used',
         'change_over')),
    CONSTRAINT ck_bank_credit_left_vnd CHECK (left_vnd BETWEEN 0 AND amount_vnd),
    CONSTRAINT ck_bank_credit_settled CHECK ((left_vnd = 0) = (reason = '')),
    CONSTRAINT uq_bank_credit_id_agency UNIQUE (id, agency),
    CONSTRAINT fk_bank_credit_account_bank_account FOREIGN KEY (agency, account)
        REFERENCES bank_account (agency, number),
    CONSTRAINT fk_bank_credit_order_id_sales_order FOREIGN KEY (order_id, agency)
        REFERENCES sales_order (id, agency)
);
CREATE INDEX ix_bank_credit_agency_occurred_at ON bank_credit (agency, occurred_at DESC, id DESC);
CREATE INDEX ix_bank_credit_waiting ON bank_credit (agency, occurred_at) WHERE left_vnd > 0;
CREATE INDEX ix_bank_credit_reference ON bank_credit (agency, account, reference, amount_vnd);
CREATE INDEX ix_bank_credit_order_id ON bank_credit (order_id);
CREATE FUNCTION bank_credit_only_settles() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.agency, NEW.account, NEW.reference, NEW.amount_vnd, NEW.note, NEW.payer, NEW.occurred_at, NEW.received_at)
       IS DISTINCT FROM
       (OLD.id, OLD.agency, OLD.account, OLD.reference, OLD.amount_vnd, OLD.note, OLD.payer, OLD.occurred_at, OLD.received_at)
       OR (NEW.left_vnd <> OLD.left_vnd AND pg_trigger_depth() < 2) THEN
        RAISE EXCEPTION 'a bank credit stays as it came; what is left of it follows from its uses'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER bank_credit_only_settles BEFORE UPDATE ON bank_credit
    FOR EACH ROW EXECUTE FUNCTION bank_credit_only_settles();
CREATE FUNCTION bank_credit_begins_whole() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.left_vnd <> NEW.amount_vnd THEN
        RAISE EXCEPTION 'of a new bank credit everything is left' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER bank_credit_begins_whole BEFORE INSERT ON bank_credit
    FOR EACH ROW EXECUTE FUNCTION bank_credit_begins_whole();

-- Who told of a credit: one bank transaction may be reported by several sources, and by each as often as it likes.
CREATE TABLE bank_notice (
    agency text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    credit_id uuid NOT NULL,
    CONSTRAINT pk_bank_notice PRIMARY KEY (agency, source, external_id),
    CONSTRAINT fk_bank_notice_credit_id_bank_credit FOREIGN KEY (credit_id, agency)
        REFERENCES bank_credit (id, agency)
);
CREATE INDEX ix_bank_notice_credit_id ON bank_notice (credit_id);

-- What became of a credit: a part of it paid an order, or went back to the payer.
CREATE TABLE credit_use (
    id uuid NOT NULL CONSTRAINT pk_credit_use PRIMARY KEY,
    agency text NOT NULL,
    credit_id uuid NOT NULL,
    order_id uuid,
    amount_vnd bigint NOT NULL CONSTRAINT ck_credit_use_amount_vnd CHECK (amount_vnd > 0),
    -- Of a return: the bank's reference of the transfer that took it back, and why.
    returned_as text,
    why text NOT NULL DEFAULT '',
    used_at timestamptz NOT NULL,
    CONSTRAINT ck_credit_use_one CHECK ((order_id IS NULL) = (returned_as IS NOT NULL)),
    CONSTRAINT uq_credit_use_returned_as UNIQUE (agency, returned_as),
    CONSTRAINT fk_credit_use_credit_id_bank_credit FOREIGN KEY (credit_id, agency)
        REFERENCES bank_credit (id, agency),
    CONSTRAINT fk_credit_use_order_id_sales_order FOREIGN KEY (order_id, agency)
        REFERENCES sales_order (id, agency)
);
CREATE INDEX ix_credit_use_credit_id ON credit_use (credit_id);
CREATE INDEX ix_credit_use_order_id ON credit_use (order_id);
-- A use takes what is left of its credit, and nothing else does: the two can never differ.
CREATE FUNCTION credit_use_takes() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE bank_credit SET left_vnd = left_vnd - NEW.amount_vnd,
                           reason = CASE WHEN left_vnd = NEW.amount_vnd THEN '' ELSE reason END
    WHERE id = NEW.credit_id;
    RETURN NULL;
END $$;
CREATE TRIGGER credit_use_takes AFTER INSERT ON credit_use FOR EACH ROW EXECUTE FUNCTION credit_use_takes();

-- A statement that was read and is not yet, or no longer, to be confirmed. Its credits wait here only until they are in the inbox.
CREATE TABLE statement_upload (
    id uuid NOT NULL CONSTRAINT pk_statement_upload PRIMARY KEY,
    agency text NOT NULL,
    account text NOT NULL,
    file_name text NOT NULL,
    uploaded_by text NOT NULL,
    uploaded_at timestamptz NOT NULL,
    credit_count integer NOT NULL CONSTRAINT ck_statement_upload_credit_count CHECK (credit_count > 0),
    total_vnd bigint NOT NULL CONSTRAINT ck_statement_upload_total_vnd CHECK (total_vnd > 0),
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    credits bytea,
    taken_at timestamptz,
    new_count integer,
    CONSTRAINT ck_statement_upload_taken CHECK
        ((taken_at IS NULL) = (credits IS NOT NULL) AND (taken_at IS NULL) = (new_count IS NULL)),
    CONSTRAINT ck_statement_upload_new_count CHECK (new_count BETWEEN 0 AND credit_count),
    CONSTRAINT fk_statement_upload_account_bank_account FOREIGN KEY (agency, account)
        REFERENCES bank_account (agency, number)
);
CREATE INDEX ix_statement_upload_untaken ON statement_upload (uploaded_at) WHERE taken_at IS NULL;
CREATE FUNCTION statement_upload_is_taken_once() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.taken_at IS NOT NULL OR (TG_OP = 'UPDATE' AND (NEW.taken_at IS NULL OR
       (NEW.id, NEW.agency, NEW.account, NEW.file_name, NEW.uploaded_by, NEW.uploaded_at, NEW.credit_count, NEW.total_vnd,
        NEW.first_at, NEW.last_at)
       IS DISTINCT FROM
       (OLD.id, OLD.agency, OLD.account, OLD.file_name, OLD.uploaded_by, OLD.uploaded_at, OLD.credit_count, OLD.total_vnd,
        OLD.first_at, OLD.last_at))) THEN
        RAISE EXCEPTION 'a statement stays as it was read, is taken in once, and then stays'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER statement_upload_is_taken_once BEFORE UPDATE OR DELETE ON statement_upload
    FOR EACH ROW EXECUTE FUNCTION statement_upload_is_taken_once();
