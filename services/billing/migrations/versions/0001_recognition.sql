-- The sub-ledger of deferred revenue: what was paid for the days from starts_on up to, without, ends_on. Each day earns the difference of
-- two cumulative floors, so that all days sum exactly to the total. What a schedule has earned follows from these columns alone.
CREATE TABLE recognition_schedule (
    id uuid NOT NULL CONSTRAINT pk_recognition_schedule PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_recognition_schedule_agency_books REFERENCES books,
    payment_id uuid NOT NULL,
    stream text NOT NULL,
    currency text NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    total_vnd bigint NOT NULL CONSTRAINT ck_recognition_schedule_total_vnd
        CHECK (total_vnd BETWEEN 1 AND 1000000000000000),
    -- The first day that is earned in the sum of its day; the days before were due when the schedule was made.
    counted_from date NOT NULL,
    -- Given back from this day on; what was left then went back or to a successor.
    closed_on date,
    reversed_vnd bigint NOT NULL DEFAULT 0,
    carried_vnd bigint NOT NULL DEFAULT 0,
    -- Of a change of plan: the payment whose schedule took over what was left. NULL where the payment's own successor did.
    carried_to uuid,
    CONSTRAINT ck_recognition_schedule_days CHECK (ends_on - starts_on BETWEEN 1 AND 4000),
    CONSTRAINT ck_recognition_schedule_counted_from CHECK (counted_from >= starts_on),
    CONSTRAINT ck_recognition_schedule_closed CHECK (
        reversed_vnd >= 0 AND carried_vnd >= 0 AND CASE WHEN closed_on IS NULL
            THEN reversed_vnd = 0 AND carried_vnd = 0
            ELSE closed_on BETWEEN starts_on AND ends_on AND reversed_vnd + carried_vnd
                 = total_vnd - total_vnd * (closed_on - starts_on) / (ends_on - starts_on) END),
    CONSTRAINT ck_recognition_schedule_carried_to CHECK (carried_to IS NULL
        OR (carried_to <> payment_id AND closed_on IS NOT NULL AND reversed_vnd = 0)),
    CONSTRAINT fk_recognition_schedule_payment_id_payment FOREIGN KEY (payment_id, agency)
        REFERENCES payment (id, agency),
    CONSTRAINT fk_recognition_schedule_carried_to_payment FOREIGN KEY (carried_to, agency)
        REFERENCES payment (id, agency)
);
CREATE INDEX ix_recognition_schedule_payment_id ON recognition_schedule (payment_id);
CREATE INDEX ix_recognition_schedule_agency_ends_on ON recognition_schedule (agency, ends_on);
CREATE INDEX ix_recognition_schedule_carried_to ON recognition_schedule (carried_to) WHERE carried_to IS NOT NULL;
CREATE FUNCTION recognition_schedule_closes_once() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.closed_on IS NOT NULL OR NEW.closed_on IS NULL
       OR (NEW.id, NEW.agency, NEW.payment_id, NEW.stream, NEW.currency, NEW.starts_on, NEW.ends_on, NEW.total_vnd, NEW.counted_from)
          IS DISTINCT FROM
          (OLD.id, OLD.agency, OLD.payment_id, OLD.stream, OLD.currency, OLD.starts_on, OLD.ends_on, OLD.total_vnd, OLD.counted_from)
    THEN
        RAISE EXCEPTION 'a recognition schedule is closed once, and nothing else of it changes'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER recognition_schedule_closes_once BEFORE UPDATE ON recognition_schedule
    FOR EACH ROW EXECUTE FUNCTION recognition_schedule_closes_once();

-- Earned and not yet in the journal: a day's sum over all schedules, and what a new schedule earned of days that had begun before it.
CREATE TABLE recognition_due (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_recognition_due PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_recognition_due_agency_books REFERENCES books,
    stream text NOT NULL,
    currency text NOT NULL,
    day date NOT NULL,
    amount_vnd bigint NOT NULL CONSTRAINT ck_recognition_due_amount_vnd CHECK (amount_vnd > 0)
);
CREATE INDEX ix_recognition_due_agency_day ON recognition_due (agency, day);

-- What the journal has of a day of a stream, and in how many entries: one, and one more for each round that found late payments.
CREATE TABLE recognition_day (
    id uuid NOT NULL CONSTRAINT pk_recognition_day PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_recognition_day_agency_books REFERENCES books,
    stream text NOT NULL,
    currency text NOT NULL,
    day date NOT NULL,
    amount_vnd bigint NOT NULL,
    entries integer NOT NULL,
    CONSTRAINT uq_recognition_day_agency UNIQUE (agency, stream, currency, day),
    CONSTRAINT ck_recognition_day_amount_vnd CHECK (amount_vnd > 0 AND entries > 0)
);
