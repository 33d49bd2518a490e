-- A price for some time in the place of a plan's own: for who is new, for who left, for students. It is of one price: a new price has none.
CREATE TABLE price_offer (
    id uuid NOT NULL CONSTRAINT pk_price_offer PRIMARY KEY,
    agency text NOT NULL,
    price_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT ck_price_offer_kind CHECK (kind IN ('intro', 'winback', 'student')),
    amount_vnd bigint NOT NULL CONSTRAINT ck_price_offer_amount_vnd CHECK (amount_vnd > 0),
    -- Periods that are paid at this amount; a student pays it for as long as the address is verified.
    periods integer CONSTRAINT ck_price_offer_periods CHECK (periods BETWEEN 1 AND 60),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    -- Of a winback: days since what was paid for ended, and days since the reader took a winback before.
    lapsed_days integer CONSTRAINT ck_price_offer_lapsed_days CHECK (lapsed_days BETWEEN 1 AND 3650),
    again_days integer CONSTRAINT ck_price_offer_again_days CHECK (again_days BETWEEN 1 AND 3650),
    -- Of a student: what the address ends in (edu.vn).
    domains text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT ck_price_offer_order CHECK (valid_until > valid_from),
    CONSTRAINT ck_price_offer_of_kind CHECK ((kind = 'student') = (periods IS NULL) AND (kind = 'student') = (cardinality(domains) > 0)
        AND (kind = 'winback') = (lapsed_days IS NOT NULL) AND (kind = 'winback') = (again_days IS NOT NULL)),
    CONSTRAINT fk_price_offer_price_id_plan_price FOREIGN KEY (price_id, agency) REFERENCES plan_price (id, agency),
    CONSTRAINT uq_price_offer_id_price_id UNIQUE (id, price_id, agency)
);
CREATE UNIQUE INDEX uq_price_offer_current ON price_offer (price_id, kind) WHERE ended_at IS NULL;

CREATE FUNCTION price_offer_is_lower() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM plan_price pp JOIN plan p ON p.id = pp.plan_id
                   WHERE pp.id = NEW.price_id AND pp.period <> 'once' AND pp.amount_vnd > NEW.amount_vnd AND NOT p.per_seat) THEN
        RAISE EXCEPTION 'an offer costs less than the price of a period, and is of no price that is paid for each seat' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER price_offer_is_lower BEFORE INSERT ON price_offer FOR EACH ROW EXECUTE FUNCTION price_offer_is_lower();

CREATE FUNCTION price_offer_only_ends() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
       OR (NEW.id, NEW.agency, NEW.price_id, NEW.kind, NEW.amount_vnd, NEW.periods, NEW.valid_from, NEW.valid_until, NEW.lapsed_days,
           NEW.again_days, NEW.domains, NEW.created_at)
          IS DISTINCT FROM
          (OLD.id, OLD.agency, OLD.price_id, OLD.kind, OLD.amount_vnd, OLD.periods, OLD.valid_from, OLD.valid_until, OLD.lapsed_days,
           OLD.again_days, OLD.domains, OLD.created_at) THEN
        RAISE EXCEPTION 'an offer is ended, once, and never edited' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER price_offer_only_ends BEFORE UPDATE ON price_offer FOR EACH ROW EXECUTE FUNCTION price_offer_only_ends();

-- A student's address that was proved by a code. A mailbox proves one reader at a time.
CREATE TABLE student_address (
    reader_id uuid NOT NULL CONSTRAINT pk_student_address PRIMARY KEY,
    agency text NOT NULL,
    address text NOT NULL,
    -- The address without what providers leave out of it (name+tag).
    mailbox text NOT NULL,
    verified_at timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    CONSTRAINT ck_student_address_order CHECK (valid_until > verified_at),
    CONSTRAINT uq_student_address_mailbox UNIQUE (agency, mailbox),
    CONSTRAINT fk_student_address_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency)
);
CREATE TABLE student_code (
    id uuid NOT NULL CONSTRAINT pk_student_code PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    address text NOT NULL,
    code_hash bytea NOT NULL,
    tries integer NOT NULL DEFAULT 0 CONSTRAINT ck_student_code_tries CHECK (tries BETWEEN 0 AND 5),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT fk_student_code_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency)
);
CREATE INDEX ix_student_code_reader_id ON student_code (reader_id, created_at);
CREATE INDEX ix_student_code_expires_at ON student_code (expires_at);
