-- Transfers out of an agency's bank accounts that are written down, by the bank's reference: each once, whatever it was for.
CREATE TABLE bank_payout (
    agency text NOT NULL CONSTRAINT fk_bank_payout_agency_agency REFERENCES agency,
    reference text NOT NULL CONSTRAINT ck_bank_payout_reference CHECK (reference <> ''),
    CONSTRAINT pk_bank_payout PRIMARY KEY (agency, reference)
);
-- Written by the triggers of what is paid out, and by nobody else (a trigger's own statement runs at depth 1).
CREATE FUNCTION bank_payout_by_its_use_only() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'a reference is used by a return or a refund' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bank_payout_by_its_use_only BEFORE INSERT ON bank_payout
    FOR EACH STATEMENT EXECUTE FUNCTION bank_payout_by_its_use_only();
CREATE FUNCTION credit_use_pays_out() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO bank_payout (agency, reference) VALUES (NEW.agency, upper(btrim(NEW.returned_as)));
    RETURN NULL;
END $$;
CREATE TRIGGER credit_use_pays_out AFTER INSERT ON credit_use FOR EACH ROW WHEN (NEW.returned_as IS NOT NULL)
    EXECUTE FUNCTION credit_use_pays_out();

-- Money that is to go back, from the wish to the end. By bank transfer finance pays it and writes down the bank's reference; what a
-- provider collected goes back through it (by_card), by the worker. The books move when the money has gone.
CREATE TABLE refund_request (
    id uuid NOT NULL CONSTRAINT pk_refund_request PRIMARY KEY,
    agency text NOT NULL,
    payment_id uuid NOT NULL,
    amount_vnd bigint NOT NULL CONSTRAINT ck_refund_request_amount_vnd CHECK (amount_vnd > 0),
    reason text NOT NULL CONSTRAINT ck_refund_request_reason CHECK (length(reason) BETWEEN 1 AND 200),
    -- From this sum on, of all that is given back of the payment, a second person decides; it was the agency's rule when it was asked.
    approval_from_vnd bigint NOT NULL CONSTRAINT ck_refund_request_approval_from_vnd CHECK (approval_from_vnd >= 0),
    -- Set by refund_request_fits, as is the state it begins in.
    second_person boolean NOT NULL DEFAULT true,
    -- Whether it goes back through the payment's provider: set by refund_request_fits too.
    by_card boolean NOT NULL DEFAULT false,
    -- sent: in the provider's hands; failed: the provider refused it, or the money came back.
    state text NOT NULL DEFAULT 'asked' CONSTRAINT ck_refund_request_state
        CHECK (state IN ('asked', 'approved', 'sent', 'paid', 'failed', 'refused')),
    -- People by their account; the names are as they were.
    asked_by text NOT NULL CONSTRAINT ck_refund_request_asked_by CHECK (asked_by <> ''),
    asked_name text NOT NULL,
    asked_at timestamptz NOT NULL,
    approved_by text,
    approved_name text,
    approved_at timestamptz,
    refused_by text,
    refused_name text,
    refused_at timestamptz,
    refused_why text CONSTRAINT ck_refund_request_refused_why CHECK (length(refused_why) BETWEEN 1 AND 200),
    paid_by text,
    paid_name text,
    paid_at timestamptz,
    bank_reference text CONSTRAINT ck_refund_request_bank_reference
        CHECK (length(bank_reference) BETWEEN 1 AND 100 AND bank_reference = upper(btrim(bank_reference))),
    -- Of what goes through a provider: when it was handed over, the provider's id, and why it failed.
    sent_at timestamptz,
    provider_refund text CONSTRAINT ck_refund_request_provider_refund CHECK (length(provider_refund) BETWEEN 1 AND 255),
    failed_at timestamptz,
    failure text NOT NULL DEFAULT '',
    -- When the provider is asked (again), how often it was, and under which key: another one after an answer that it keeps.
    ask_at timestamptz,
    asks integer NOT NULL DEFAULT 0,
    key_number integer NOT NULL DEFAULT 0,
    CONSTRAINT ck_refund_request_stands CHECK (CASE state
        WHEN 'asked' THEN approved_at IS NULL AND refused_at IS NULL AND sent_at IS NULL AND paid_at IS NULL
        WHEN 'approved' THEN approved_at IS NOT NULL AND refused_at IS NULL AND sent_at IS NULL AND paid_at IS NULL
        WHEN 'sent' THEN approved_at IS NOT NULL AND refused_at IS NULL AND sent_at IS NOT NULL AND paid_at IS NULL
        WHEN 'paid' THEN approved_at IS NOT NULL AND refused_at IS NULL AND paid_at IS NOT NULL
        WHEN 'failed' THEN approved_at IS NOT NULL AND refused_at IS NULL AND sent_at IS NOT NULL
        ELSE refused_at IS NOT NULL AND sent_at IS NULL AND paid_at IS NULL END),
    CONSTRAINT ck_refund_request_failed CHECK ((state = 'failed') = (failed_at IS NOT NULL)),
    CONSTRAINT ck_refund_request_ask_at CHECK (ask_at IS NULL OR (by_card AND state IN ('approved', 'sent'))),
    CONSTRAINT ck_refund_request_by_card CHECK (CASE WHEN by_card
        THEN bank_reference IS NULL AND (paid_at IS NULL OR (sent_at IS NOT NULL AND provider_refund IS NOT NULL))
        ELSE sent_at IS NULL AND provider_refund IS NULL END),
    CONSTRAINT ck_refund_request_second_person CHECK (NOT second_person OR approved_at IS NULL
        OR (approved_by IS NOT NULL AND approved_by <> asked_by)),
    CONSTRAINT ck_refund_request_approved CHECK (approved_at IS NOT NULL OR approved_by IS NULL),
    CONSTRAINT ck_refund_request_refused CHECK
        ((refused_at IS NULL) = (refused_by IS NULL) AND (refused_at IS NULL) = (refused_why IS NULL)),
    CONSTRAINT ck_refund_request_paid CHECK
        ((paid_at IS NULL OR by_card) = (paid_by IS NULL) AND (paid_at IS NULL OR by_card) = (bank_reference IS NULL)),
    CONSTRAINT fk_refund_request_payment_id_payment FOREIGN KEY (payment_id, agency)
        REFERENCES payment (id, agency)
);
CREATE INDEX ix_refund_request_payment_id ON refund_request (payment_id);
CREATE INDEX ix_refund_request_agency_state ON refund_request (agency, state, asked_at DESC, id DESC);
CREATE INDEX ix_refund_request_ask_at ON refund_request (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX ix_refund_request_provider_refund ON refund_request (provider_refund) WHERE provider_refund IS NOT NULL;

-- No more is asked back than was paid and is not given back or asked back already. Who asks holds the payment's row.
CREATE FUNCTION refund_request_fits() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    paid payment;
    before_vnd bigint;
BEGIN
    SELECT * INTO paid FROM payment WHERE id = NEW.payment_id AND agency = NEW.agency FOR UPDATE;
    SELECT coalesce(sum(amount_vnd), 0) + coalesce(paid.refunded_vnd, 0) INTO before_vnd FROM refund_request
        WHERE payment_id = NEW.payment_id AND state IN ('asked', 'approved', 'sent');
    IF paid.id IS NULL OR before_vnd + NEW.amount_vnd > paid.amount_vnd THEN
        RAISE EXCEPTION 'a refund of % is refused: of payment % it is not paid, or given back already', NEW.amount_vnd, NEW.payment_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_request_fits';
    END IF;
    NEW.second_person := before_vnd + NEW.amount_vnd >= NEW.approval_from_vnd;
    NEW.state := CASE WHEN NEW.second_person THEN 'asked' ELSE 'approved' END;
    NEW.approved_at := CASE WHEN NEW.second_person THEN NULL ELSE NEW.asked_at END;
    NEW.by_card := paid.provider <> 'transfer';
    NEW.ask_at := CASE WHEN NEW.by_card AND NOT NEW.second_person THEN NEW.asked_at END;
    RETURN NEW;
END $$;
CREATE TRIGGER refund_request_fits BEFORE INSERT ON refund_request
    FOR EACH ROW EXECUTE FUNCTION refund_request_fits();

-- asked → approved → paid (by transfer) or sent → paid or failed (through a provider; what was paid may fail later), and refused from
-- either of the first two; what was asked and who decided stays.
CREATE FUNCTION refund_request_goes_forward() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.agency, NEW.payment_id, NEW.amount_vnd, NEW.reason, NEW.approval_from_vnd, NEW.second_person, NEW.by_card,
        NEW.asked_by, NEW.asked_name, NEW.asked_at)
       IS DISTINCT FROM
       (OLD.id, OLD.agency, OLD.payment_id, OLD.amount_vnd, OLD.reason, OLD.approval_from_vnd, OLD.second_person, OLD.by_card,
        OLD.asked_by, OLD.asked_name, OLD.asked_at)
       OR (OLD.provider_refund IS NOT NULL AND NEW.provider_refund IS DISTINCT FROM OLD.provider_refund)
       OR ((OLD.state, NEW.state) NOT IN (('asked', 'approved'), ('asked', 'refused'), ('approved', 'refused'))
           AND (CASE WHEN OLD.by_card
                THEN (OLD.state, NEW.state) NOT IN (('approved', 'sent'), ('sent', 'sent'), ('sent', 'paid'), ('sent', 'failed'),
                                                    ('paid', 'failed'), ('failed', 'failed'), ('failed', 'paid'))
                ELSE (OLD.state, NEW.state) <> ('approved', 'paid') END))
       OR (OLD.approved_at IS NOT NULL AND (NEW.approved_by, NEW.approved_name, NEW.approved_at)
           IS DISTINCT FROM (OLD.approved_by, OLD.approved_name, OLD.approved_at)) THEN
        RAISE EXCEPTION 'a refund goes from asked to approved to paid (through a provider: sent before, and it may fail), or is refused before; % does not become %', OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refund_request_goes_forward BEFORE UPDATE ON refund_request
    FOR EACH ROW EXECUTE FUNCTION refund_request_goes_forward();
CREATE FUNCTION refund_request_pays_out() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO bank_payout (agency, reference) VALUES (NEW.agency, NEW.bank_reference);
    RETURN NULL;
END $$;
CREATE TRIGGER refund_request_pays_out AFTER UPDATE ON refund_request FOR EACH ROW WHEN (NEW.state = 'paid' AND NOT NEW.by_card)
    EXECUTE FUNCTION refund_request_pays_out();

-- Of a transfer nothing is given back that was not asked for, approved and paid. (Of a card somebody may do it at the provider.)
CREATE FUNCTION refund_was_asked_for() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM payment WHERE id = NEW.payment_id AND provider = 'transfer')
       AND NOT EXISTS (SELECT FROM refund_request WHERE agency = NEW.agency AND payment_id = NEW.payment_id AND state = 'paid'
                       AND amount_vnd = NEW.amount_vnd AND bank_reference = NEW.provider_refund) THEN
        RAISE EXCEPTION 'a refund by bank transfer is asked for, approved and paid first' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refund_was_asked_for BEFORE INSERT ON refund FOR EACH ROW EXECUTE FUNCTION refund_was_asked_for();

-- A gift whose money went back opens nothing.
CREATE FUNCTION gift_is_worth_something() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM payment WHERE order_id = NEW.order_id AND refunded_vnd >= amount_vnd) THEN
        RAISE EXCEPTION 'the money of this gift was given back' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gift_is_worth_something BEFORE UPDATE ON gift FOR EACH ROW EXECUTE FUNCTION gift_is_worth_something();
