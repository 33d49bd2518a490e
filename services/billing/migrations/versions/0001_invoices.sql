-- How many invoices a series of an agency has. The row is locked from the insert of an invoice until COMMIT, so numbers follow one
-- another, and a transaction that is rolled back gives its number back.
CREATE TABLE invoice_series (
    agency text NOT NULL CONSTRAINT fk_invoice_series_agency_agency REFERENCES agency,
    series text NOT NULL CONSTRAINT ck_invoice_series_series CHECK (series ~ '^[0-9]{2}$'),
    last_number integer NOT NULL CONSTRAINT ck_invoice_series_last_number CHECK (last_number > 0),
    CONSTRAINT pk_invoice_series PRIMARY KEY (agency, series)
);
-- A trigger's own statement runs at depth 1, what it does at depth 2 (as with account_day).
CREATE FUNCTION invoice_series_by_issuing_only() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'a series is counted by its invoices: issue one' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoice_series_by_issuing_only BEFORE INSERT OR UPDATE OR DELETE ON invoice_series
    FOR EACH STATEMENT EXECUTE FUNCTION invoice_series_by_issuing_only();

CREATE TABLE invoice (
    id uuid NOT NULL CONSTRAINT pk_invoice PRIMARY KEY,
    agency text NOT NULL,
    -- The two digits of the year of issued_on; number and document ('26-000123') are set by invoice_numbered.
    series text NOT NULL,
    number integer NOT NULL,
    document text NOT NULL,
    payment_id uuid NOT NULL,
    reader_id uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    -- Days of the agency's calendar.
    issued_on date NOT NULL,
    paid_on date NOT NULL,
    -- As they were when it was issued.
    seller_name text NOT NULL CONSTRAINT ck_invoice_seller_name CHECK (seller_name <> ''),
    buyer_name text NOT NULL,
    buyer_email text NOT NULL CONSTRAINT ck_invoice_buyer_email CHECK (position('@' IN buyer_email) > 1),
    language text NOT NULL CONSTRAINT ck_invoice_language CHECK (language IN ('vi', 'en')),
    currency text NOT NULL CONSTRAINT ck_invoice_currency CHECK (currency ~ '^[A-Z]{3}$'),
    net_vnd bigint NOT NULL,
    vat_vnd bigint NOT NULL CONSTRAINT ck_invoice_vat_vnd CHECK (vat_vnd >= 0),
    gross_vnd bigint NOT NULL CONSTRAINT ck_invoice_gross_vnd
        CHECK (gross_vnd > 0 AND gross_vnd <= 1000000000000000),
    CONSTRAINT ck_invoice_sum CHECK (gross_vnd = net_vnd + vat_vnd),
    CONSTRAINT ck_invoice_series CHECK
        (series = lpad((extract(year FROM issued_on)::integer % 100)::text, 2, '0')),
    CONSTRAINT uq_invoice_agency_number UNIQUE (agency, series, number),
    CONSTRAINT uq_invoice_payment_id UNIQUE (payment_id),
    CONSTRAINT fk_invoice_payment_id_payment FOREIGN KEY (payment_id, agency)
        REFERENCES payment (id, agency),
    CONSTRAINT fk_invoice_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency)
);
CREATE INDEX ix_invoice_agency_issued_on ON invoice (agency, issued_on, number);
CREATE INDEX ix_invoice_reader_id ON invoice (reader_id);

CREATE TABLE invoice_line (
    invoice_id uuid NOT NULL CONSTRAINT fk_invoice_line_invoice_id_invoice REFERENCES invoice,
    line_no integer NOT NULL,
    description_vi text NOT NULL CONSTRAINT ck_invoice_line_description_vi CHECK (description_vi <> ''),
    description_en text NOT NULL CONSTRAINT ck_invoice_line_description_en CHECK (description_en <> ''),
    quantity integer NOT NULL CONSTRAINT ck_invoice_line_quantity CHECK (quantity > 0),
    unit_gross_vnd bigint NOT NULL,
    net_vnd bigint NOT NULL,
    vat_vnd bigint NOT NULL,
    gross_vnd bigint NOT NULL CONSTRAINT ck_invoice_line_gross_vnd
        CHECK (gross_vnd >= 0 AND gross_vnd <= 1000000000000000),
    vat_treatment text NOT NULL CONSTRAINT ck_invoice_line_vat_treatment
        CHECK (vat_treatment IN ('exempt', 'rate')),
    vat_basis_points integer,
    -- The days that were bought: period_until is the first one after them. NULL where it is no period.
    period_from date,
    period_until date,
    CONSTRAINT pk_invoice_line PRIMARY KEY (invoice_id, line_no),
    CONSTRAINT ck_invoice_line_sum CHECK (gross_vnd = net_vnd + vat_vnd),
    CONSTRAINT ck_invoice_line_unit CHECK (gross_vnd::numeric = unit_gross_vnd::numeric * quantity),
    -- Exempt is not 0 %: it has no rate at all, and no tax.
    CONSTRAINT ck_invoice_line_vat CHECK (CASE vat_treatment
        WHEN 'rate' THEN vat_basis_points IS NOT NULL AND vat_basis_points BETWEEN 0 AND 10000
            AND vat_vnd BETWEEN 0 AND gross_vnd
        ELSE vat_basis_points IS NULL AND vat_vnd = 0 END),
    CONSTRAINT ck_invoice_line_period CHECK
        ((period_from IS NULL) = (period_until IS NULL) AND coalesce(period_until > period_from, true))
);

-- The next number of the series, and no other. What the invoice says agrees with its payment and with the agency's calendar.
CREATE FUNCTION invoice_numbered() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    following integer;
    fits boolean;
BEGIN
    SELECT p.reader_id = NEW.reader_id AND NEW.gross_vnd <= p.amount_vnd
           AND NEW.issued_on = (NEW.issued_at AT TIME ZONE a.time_zone)::date
           AND NEW.paid_on = (p.paid_at AT TIME ZONE a.time_zone)::date
        INTO fits FROM payment p JOIN agency a ON a.id = p.agency
        WHERE p.id = NEW.payment_id AND p.agency = NEW.agency;
    IF NOT fits THEN
        RAISE EXCEPTION 'the invoice of payment % is refused: it is of another reader or day, or of more than was paid', NEW.payment_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_of_its_payment';
    END IF;
    IF NEW.number IS NULL THEN
        INSERT INTO invoice_series AS s (agency, series, last_number) VALUES (NEW.agency, NEW.series, 1)
            ON CONFLICT ON CONSTRAINT pk_invoice_series DO UPDATE SET last_number = s.last_number + 1
            RETURNING s.last_number INTO following;
        NEW.number := following;
    ELSE -- many at once: whether they follow one another is looked at when all are there (invoice_counted)
        SELECT s.last_number + 1 INTO following FROM invoice_series s WHERE s.agency = NEW.agency AND s.series = NEW.series;
        IF NEW.number < coalesce(following, 1) THEN
            RAISE EXCEPTION 'invoice number % is refused: the next one of series % is %', NEW.number, NEW.series, following
                USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_numbered';
        END IF;
    END IF;
    NEW.document := NEW.series || '-' || lpad(NEW.number::text, greatest(6, length(NEW.number::text)), '0');
    RETURN NEW;
END $$;
CREATE TRIGGER invoice_numbered BEFORE INSERT ON invoice FOR EACH ROW EXECUTE FUNCTION invoice_numbered();

-- Who issues many at once numbers them, and the counter moves once: moved for each, its row would leave so many versions behind that
-- finding the last one costs more than everything else (while anybody's snapshot is older, none of them goes).
CREATE FUNCTION invoice_counted() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    issued record;
    last integer;
BEGIN
    FOR issued IN SELECT agency, series, min(number) AS first, max(number) AS last, count(*) AS invoices
                  FROM added GROUP BY 1, 2 ORDER BY 1, 2 LOOP
        SELECT s.last_number INTO last FROM invoice_series s
            WHERE s.agency = issued.agency AND s.series = issued.series FOR UPDATE;
        CONTINUE WHEN last = issued.last; -- numbered one by one
        IF issued.first <> coalesce(last, 0) + 1 OR issued.last <> coalesce(last, 0) + issued.invoices THEN
            RAISE EXCEPTION 'invoice number % is refused: the next one of series % is %', issued.first, issued.series, coalesce(last, 0) + 1
                USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_numbered';
        END IF;
        INSERT INTO invoice_series AS s (agency, series, last_number) VALUES (issued.agency, issued.series, issued.last)
            ON CONFLICT ON CONSTRAINT pk_invoice_series DO UPDATE SET last_number = issued.last WHERE s.last_number = issued.first - 1
            RETURNING s.last_number INTO last;
        IF last IS DISTINCT FROM issued.last THEN
            RAISE EXCEPTION 'invoice number % is refused: series % has it already', issued.first, issued.series
                USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_numbered';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER invoice_counted AFTER INSERT ON invoice
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION invoice_counted();

-- At COMMIT: an invoice has lines. (The settings: see journal_entry_complete.)
CREATE FUNCTION invoice_complete() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM invoice_line WHERE invoice_id = NEW.id) THEN
        RAISE EXCEPTION 'invoice % is refused: it has no lines', NEW.document
            USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_complete';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER invoice_complete AFTER INSERT ON invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION invoice_complete();

-- All lines of an invoice come in one statement, numbered from 1, and sum to its totals (net and VAT, and so gross). No line follows later: every statement
-- has to begin with line 1, which is there already. (LEFT JOIN: from the lines to their invoice, never from all invoices to the lines.)
CREATE FUNCTION invoice_line_complete() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE refused record;
BEGIN
    SELECT l.invoice_id, count(*) AS lines, sum(l.gross_vnd) AS total INTO refused
    FROM added l LEFT JOIN invoice i ON i.id = l.invoice_id
    GROUP BY l.invoice_id, i.net_vnd, i.vat_vnd
    HAVING sum(l.net_vnd) <> i.net_vnd OR sum(l.vat_vnd) <> i.vat_vnd
        OR min(l.line_no) <> 1 OR max(l.line_no) <> count(*) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'lines of invoice % are refused: % of them sum to %, or are not all of it', refused.invoice_id, refused.lines, refused.total
            USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_line_complete';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER invoice_line_complete AFTER INSERT ON invoice_line
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION invoice_line_complete();
