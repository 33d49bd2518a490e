-- What a provider says of a refund, whoever asked for it: also of one that is on its way, or never went. The books have it in refund.
CREATE TABLE provider_refund (
    id uuid NOT NULL CONSTRAINT pk_provider_refund PRIMARY KEY,
    agency text NOT NULL,
    payment_id uuid NOT NULL,
    provider text NOT NULL,
    provider_refund text NOT NULL,
    amount_vnd bigint NOT NULL CONSTRAINT ck_provider_refund_amount_vnd CHECK (amount_vnd > 0),
    told_at timestamptz NOT NULL,
    -- Both: it went through, and came back afterwards. Neither: it is on its way.
    succeeded_at timestamptz,
    failed_at timestamptz,
    CONSTRAINT uq_provider_refund_provider_refund UNIQUE (provider, provider_refund),
    CONSTRAINT fk_provider_refund_payment_id_payment FOREIGN KEY (payment_id, agency)
        REFERENCES payment (id, agency)
);
CREATE INDEX ix_provider_refund_payment_id ON provider_refund (payment_id);
CREATE INDEX ix_provider_refund_failed ON provider_refund (agency, failed_at) WHERE failed_at IS NOT NULL;
CREATE FUNCTION provider_refund_goes_forward() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.agency, NEW.payment_id, NEW.provider, NEW.provider_refund, NEW.amount_vnd, NEW.told_at)
       IS DISTINCT FROM (OLD.id, OLD.agency, OLD.payment_id, OLD.provider, OLD.provider_refund, OLD.amount_vnd, OLD.told_at)
       OR (OLD.succeeded_at IS NOT NULL AND NEW.succeeded_at IS DISTINCT FROM OLD.succeeded_at)
       OR (OLD.failed_at IS NOT NULL AND NEW.failed_at IS DISTINCT FROM OLD.failed_at) THEN
        RAISE EXCEPTION 'what was said of a refund is not taken back' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER provider_refund_goes_forward BEFORE UPDATE ON provider_refund
    FOR EACH ROW EXECUTE FUNCTION provider_refund_goes_forward();

-- A card holder's bank takes a payment back, until it has decided. What is booked of it follows from what was said so far, in any order.
CREATE TABLE dispute (
    id uuid NOT NULL CONSTRAINT pk_dispute PRIMARY KEY,
    agency text NOT NULL,
    payment_id uuid NOT NULL,
    provider text NOT NULL,
    provider_dispute text NOT NULL,
    amount_vnd bigint NOT NULL CONSTRAINT ck_dispute_amount_vnd CHECK (amount_vnd > 0),
    state text NOT NULL DEFAULT 'open' CONSTRAINT ck_dispute_state CHECK (state IN ('open', 'lost', 'won')),
    -- It was lost at some time; one that is won afterwards says so in its state.
    was_lost boolean NOT NULL DEFAULT false,
    opened_at timestamptz NOT NULL,
    decided_at timestamptz,
    -- What the books have: the fees, the money that was taken, and its return.
    fee_vnd bigint NOT NULL DEFAULT 0 CONSTRAINT ck_dispute_fee_vnd CHECK (fee_vnd >= 0),
    withdrawn_at timestamptz,
    reinstated_at timestamptz,
    -- The refund by which a lost one is booked.
    refund_id uuid CONSTRAINT fk_dispute_refund_id_refund REFERENCES refund,
    CONSTRAINT ck_dispute_decided CHECK ((state = 'open') = (decided_at IS NULL)),
    CONSTRAINT ck_dispute_withdrawn CHECK (withdrawn_at IS NOT NULL OR (fee_vnd = 0 AND reinstated_at IS NULL AND refund_id IS NULL)),
    CONSTRAINT ck_dispute_reinstated CHECK (reinstated_at IS NULL OR state = 'won'),
    CONSTRAINT uq_dispute_provider_dispute UNIQUE (provider, provider_dispute),
    CONSTRAINT fk_dispute_payment_id_payment FOREIGN KEY (payment_id, agency)
        REFERENCES payment (id, agency)
);
CREATE INDEX ix_dispute_payment_id ON dispute (payment_id);
CREATE INDEX ix_dispute_agency ON dispute (agency, opened_at);
CREATE FUNCTION dispute_goes_forward() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.agency, NEW.payment_id, NEW.provider, NEW.provider_dispute, NEW.amount_vnd, NEW.opened_at)
       IS DISTINCT FROM (OLD.id, OLD.agency, OLD.payment_id, OLD.provider, OLD.provider_dispute, OLD.amount_vnd, OLD.opened_at)
       OR NEW.fee_vnd < OLD.fee_vnd OR (OLD.was_lost AND NOT NEW.was_lost)
       OR (OLD.state, NEW.state) IN (('lost', 'open'), ('won', 'open'), ('won', 'lost'))
       OR (OLD.withdrawn_at IS NOT NULL AND NEW.withdrawn_at IS DISTINCT FROM OLD.withdrawn_at)
       OR (OLD.reinstated_at IS NOT NULL AND NEW.reinstated_at IS DISTINCT FROM OLD.reinstated_at)
       OR (OLD.refund_id IS NOT NULL AND NEW.refund_id IS DISTINCT FROM OLD.refund_id) THEN
        RAISE EXCEPTION 'a dispute goes from open to lost to won, and what is booked of it stays' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dispute_goes_forward BEFORE UPDATE ON dispute FOR EACH ROW EXECUTE FUNCTION dispute_goes_forward();

-- Money that a provider took in another currency than the agency's, in that currency's smallest unit: in no books.
CREATE TABLE foreign_money (
    id uuid NOT NULL CONSTRAINT pk_foreign_money PRIMARY KEY,
    agency text NOT NULL,
    charge_id uuid NOT NULL,
    provider text NOT NULL,
    reference text NOT NULL,
    amount bigint NOT NULL CONSTRAINT ck_foreign_money_amount CHECK (amount > 0),
    currency text NOT NULL CONSTRAINT ck_foreign_money_currency CHECK (currency ~ '^[A-Z]{3}$' AND currency <> 'VND'),
    captured_at timestamptz NOT NULL,
    -- What went back, and by which of the provider's refunds.
    returned bigint NOT NULL DEFAULT 0 CONSTRAINT ck_foreign_money_returned CHECK (returned BETWEEN 0 AND amount),
    refunds text[] NOT NULL DEFAULT '{}',
    CONSTRAINT uq_foreign_money_reference UNIQUE (provider, reference),
    CONSTRAINT fk_foreign_money_charge_id_charge FOREIGN KEY (charge_id, agency) REFERENCES charge (id, agency)
);
CREATE INDEX ix_foreign_money_charge_id ON foreign_money (charge_id);
CREATE FUNCTION foreign_money_goes_back() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.agency, NEW.charge_id, NEW.provider, NEW.reference, NEW.amount, NEW.currency, NEW.captured_at)
       IS DISTINCT FROM
       (OLD.id, OLD.agency, OLD.charge_id, OLD.provider, OLD.reference, OLD.amount, OLD.currency, OLD.captured_at)
       OR NEW.returned < OLD.returned OR NOT NEW.refunds @> OLD.refunds THEN
        RAISE EXCEPTION 'money in another currency only goes back' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER foreign_money_goes_back BEFORE UPDATE ON foreign_money FOR EACH ROW EXECUTE FUNCTION foreign_money_goes_back();
