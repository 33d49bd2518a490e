ALTER TABLE sales_order ADD CONSTRAINT fk_sales_order_subscription_id_subscription FOREIGN KEY (subscription_id, agency)
    REFERENCES subscription (id, agency);

-- A reader as a provider knows them, until it says that it does not any more.
CREATE TABLE provider_customer (
    provider text NOT NULL,
    reader_id uuid NOT NULL CONSTRAINT fk_provider_customer_reader_id_reader REFERENCES reader,
    external_id text NOT NULL,
    CONSTRAINT pk_provider_customer PRIMARY KEY (provider, reader_id)
);

-- One attempt to collect an order, or to be given a card; its id is what the provider's objects carry.
CREATE TABLE charge (
    id uuid NOT NULL CONSTRAINT pk_charge PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    -- None: nothing is to be paid, a card is given for a subscription.
    order_id uuid,
    subscription_id uuid,
    provider text NOT NULL,
    -- page: the reader pays on a page of the provider's; mandate: what they let us charge is charged.
    kind text NOT NULL CONSTRAINT ck_charge_kind CHECK (kind IN ('page', 'mandate')),
    mandate_id uuid,
    amount_vnd bigint NOT NULL CONSTRAINT ck_charge_amount_vnd CHECK (amount_vnd >= 0),
    -- created: the provider may not have heard of it; open: a page that can be paid on; closed: nobody paid, nobody can.
    state text NOT NULL DEFAULT 'created' CONSTRAINT ck_charge_state
        CHECK (state IN ('created', 'open', 'processing', 'captured', 'failed', 'closed')),
    page_id text,
    url text NOT NULL DEFAULT '',
    reference text,
    failure text NOT NULL DEFAULT '',
    needs_holder boolean NOT NULL DEFAULT false,
    -- A try that its reader asked for, beside those of the clock: it is none of the tries of dunning.
    by_reader boolean NOT NULL DEFAULT false,
    -- Which key it is asked under: another one after an answer that the provider keeps.
    key_number integer NOT NULL DEFAULT 0,
    language text NOT NULL DEFAULT 'vi',
    -- When the provider is asked (again).
    ask_at timestamptz,
    asks integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT fk_charge_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency),
    CONSTRAINT fk_charge_order_id_sales_order FOREIGN KEY (order_id, agency) REFERENCES sales_order (id, agency),
    CONSTRAINT fk_charge_subscription_id_subscription FOREIGN KEY (subscription_id, agency)
        REFERENCES subscription (id, agency),
    CONSTRAINT fk_charge_mandate_id_mandate FOREIGN KEY (mandate_id, agency) REFERENCES mandate (id, agency),
    CONSTRAINT ck_charge_for CHECK (num_nonnulls(order_id, subscription_id) = 1),
    CONSTRAINT ck_charge_mandate_id CHECK ((kind = 'mandate') = (mandate_id IS NOT NULL)),
    CONSTRAINT uq_charge_page_id UNIQUE (provider, page_id),
    CONSTRAINT uq_charge_reference UNIQUE (provider, reference),
    CONSTRAINT uq_charge_id_agency UNIQUE (id, agency)
);
CREATE INDEX ix_charge_reader_id ON charge (reader_id);
CREATE INDEX ix_charge_subscription_id ON charge (subscription_id) WHERE subscription_id IS NOT NULL;
CREATE INDEX ix_charge_order_id ON charge (order_id);
CREATE INDEX ix_charge_ask_at ON charge (ask_at) WHERE ask_at IS NOT NULL;
-- One page, and one charge of the card, at a time: an order is not collected twice.
CREATE UNIQUE INDEX uq_charge_page ON charge (order_id) WHERE kind = 'page' AND state IN ('created', 'open', 'processing');
CREATE UNIQUE INDEX uq_charge_mandate ON charge (order_id) WHERE kind = 'mandate' AND state IN ('created', 'processing');

CREATE TABLE payment (
    id uuid NOT NULL CONSTRAINT pk_payment PRIMARY KEY,
    agency text NOT NULL,
    subscription_id uuid,
    reader_id uuid NOT NULL CONSTRAINT fk_payment_reader_id_reader REFERENCES reader,
    order_id uuid CONSTRAINT uq_payment_order_id UNIQUE,
    -- Money that no order takes (it was paid twice), until a person gives it back: the order that it was asked for.
    surplus_of uuid,
    provider text NOT NULL,
    reference text NOT NULL,
    amount_vnd bigint NOT NULL CONSTRAINT ck_payment_amount_vnd CHECK (amount_vnd >= 0),
    refunded_vnd bigint NOT NULL DEFAULT 0,
    -- Readers that it is paid for, the payer among them.
    seats integer NOT NULL DEFAULT 1 CONSTRAINT ck_payment_seats CHECK (seats BETWEEN 1 AND 1000),
    -- What was paid for; unknown while a gift is not redeemed.
    period_start timestamptz,
    period_end timestamptz,
    -- Where another plan took its place before it was over.
    cut_at timestamptz CONSTRAINT ck_payment_cut_at CHECK (cut_at >= period_start AND cut_at < period_end),
    paid_at timestamptz NOT NULL,
    -- The payment of the plan that this one's was changed for in the middle of its period.
    replaced_by uuid,
    -- The payment of a change that was undone, as its money went back: by it this one was replaced until then.
    restored_from uuid,
    CONSTRAINT ck_payment_replaced_by CHECK (replaced_by <> id),
    CONSTRAINT ck_payment_refunded_vnd CHECK (refunded_vnd BETWEEN 0 AND amount_vnd),
    CONSTRAINT ck_payment_period CHECK (period_end > period_start),
    CONSTRAINT ck_payment_period_whole CHECK ((period_start IS NULL) = (period_end IS NULL)),
    CONSTRAINT ck_payment_for CHECK (num_nonnulls(order_id, surplus_of) = 1
        AND (order_id IS NOT NULL OR (subscription_id IS NULL AND period_start IS NULL))),
    CONSTRAINT fk_payment_subscription_id_subscription FOREIGN KEY (subscription_id, agency)
        REFERENCES subscription (id, agency),
    CONSTRAINT fk_payment_order_id_sales_order FOREIGN KEY (order_id, agency)
        REFERENCES sales_order (id, agency),
    CONSTRAINT fk_payment_surplus_of_sales_order FOREIGN KEY (surplus_of, agency)
        REFERENCES sales_order (id, agency),
    CONSTRAINT uq_payment_reference UNIQUE (provider, reference),
    CONSTRAINT uq_payment_id_agency UNIQUE (id, agency),
    CONSTRAINT fk_payment_replaced_by_payment FOREIGN KEY (replaced_by, agency)
        REFERENCES payment (id, agency),
    CONSTRAINT fk_payment_restored_from_payment FOREIGN KEY (restored_from, agency)
        REFERENCES payment (id, agency)
);
CREATE INDEX ix_payment_subscription_id ON payment (subscription_id);
CREATE INDEX ix_payment_reader_id ON payment (reader_id, paid_at);
CREATE INDEX ix_payment_replaced_by ON payment (replaced_by) WHERE replaced_by IS NOT NULL;
CREATE INDEX ix_payment_restored_from ON payment (restored_from) WHERE restored_from IS NOT NULL;

-- A payment stays as it was booked; what was given back of it follows its refunds (payment_is_what_its_refunds_say), a gift's period is
-- filled in when it is redeemed, and it is replaced once: but where all money of the payment that replaced it went back, its cut is
-- lifted, or moved to where the next payment took over; and where that refund failed, it is cut again.
CREATE FUNCTION payment_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    undone boolean := OLD.replaced_by IS NOT NULL AND NEW.restored_from = OLD.replaced_by
        AND NEW.replaced_by IS DISTINCT FROM OLD.replaced_by AND (NEW.cut_at IS NULL) = (NEW.replaced_by IS NULL)
        AND EXISTS (SELECT FROM payment WHERE id = OLD.replaced_by AND refunded_vnd >= amount_vnd);
    done_again boolean := NEW.replaced_by = OLD.restored_from AND NEW.cut_at IS NOT NULL
        AND NEW.restored_from = OLD.restored_from
        AND EXISTS (SELECT FROM payment WHERE id = OLD.restored_from AND refunded_vnd < amount_vnd);
BEGIN
    IF (NEW.id, NEW.agency, NEW.reader_id, NEW.order_id, NEW.surplus_of, NEW.provider, NEW.reference, NEW.amount_vnd, NEW.seats,
        NEW.paid_at)
       IS DISTINCT FROM
       (OLD.id, OLD.agency, OLD.reader_id, OLD.order_id, OLD.surplus_of, OLD.provider, OLD.reference, OLD.amount_vnd, OLD.seats,
        OLD.paid_at)
       OR (OLD.cut_at IS NOT NULL AND NEW.cut_at IS DISTINCT FROM OLD.cut_at AND (undone OR done_again) IS NOT TRUE)
       OR (OLD.replaced_by IS NOT NULL AND NEW.replaced_by IS DISTINCT FROM OLD.replaced_by AND (undone OR done_again) IS NOT TRUE)
       OR (NEW.restored_from IS DISTINCT FROM OLD.restored_from AND undone IS NOT TRUE)
       OR (OLD.period_start IS NOT NULL
           AND (NEW.subscription_id, NEW.period_start, NEW.period_end)
               IS DISTINCT FROM (OLD.subscription_id, OLD.period_start, OLD.period_end)) THEN
        RAISE EXCEPTION 'a payment stays as it was booked' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_stays BEFORE UPDATE ON payment FOR EACH ROW EXECUTE FUNCTION payment_stays();

CREATE TABLE refund (
    id uuid NOT NULL CONSTRAINT pk_refund PRIMARY KEY,
    agency text NOT NULL,
    payment_id uuid NOT NULL,
    provider text NOT NULL,
    provider_refund text NOT NULL,
    amount_vnd bigint NOT NULL CONSTRAINT ck_refund_amount_vnd CHECK (amount_vnd > 0),
    deferred_vnd bigint NOT NULL,
    refunded_at timestamptz NOT NULL,
    -- A lost dispute takes the money back as a refund does.
    kind text NOT NULL DEFAULT 'refund' CONSTRAINT ck_refund_kind CHECK (kind IN ('refund', 'dispute')),
    -- It did not arrive after all (of a dispute: it was won later), and the books have its reversal.
    failed_at timestamptz,
    CONSTRAINT ck_refund_deferred_vnd CHECK (deferred_vnd BETWEEN 0 AND amount_vnd),
    CONSTRAINT fk_refund_payment_id_payment FOREIGN KEY (payment_id, agency)
        REFERENCES payment (id, agency),
    CONSTRAINT uq_refund_provider_refund UNIQUE (agency, provider, provider_refund)
);
CREATE INDEX ix_refund_payment_id ON refund (payment_id);

-- A refund went through when it is written; it fails once, and nothing else of it changes.
CREATE FUNCTION refund_fails_once() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.failed_at IS NOT NULL THEN
            RAISE EXCEPTION 'a refund that failed at once is not written' USING ERRCODE = 'restrict_violation';
        END IF;
    ELSIF OLD.failed_at IS NOT NULL OR NEW.failed_at IS NULL
       OR (NEW.id, NEW.agency, NEW.payment_id, NEW.provider, NEW.provider_refund, NEW.amount_vnd, NEW.deferred_vnd, NEW.refunded_at,
           NEW.kind)
          IS DISTINCT FROM
          (OLD.id, OLD.agency, OLD.payment_id, OLD.provider, OLD.provider_refund, OLD.amount_vnd, OLD.deferred_vnd, OLD.refunded_at,
           OLD.kind) THEN
        RAISE EXCEPTION 'a refund fails once, and nothing else of it changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refund_fails_once BEFORE INSERT OR UPDATE ON refund FOR EACH ROW EXECUTE FUNCTION refund_fails_once();

-- At COMMIT: what a payment says was given back is the sum of its refunds that did not fail.
CREATE FUNCTION payment_is_what_its_refunds_say() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp
    SET enable_seqscan = off AS $$
DECLARE
    payment_ uuid := coalesce(to_jsonb(NEW) ->> 'payment_id', to_jsonb(NEW) ->> 'id');
    says bigint;
    given_back bigint;
BEGIN
    SELECT refunded_vnd INTO says FROM payment WHERE id = payment_;
    SELECT coalesce(sum(amount_vnd), 0) INTO given_back FROM refund WHERE payment_id = payment_ AND failed_at IS NULL;
    IF says <> given_back THEN
        RAISE EXCEPTION 'payment % says % were given back, its refunds that did not fail sum to %', payment_, says, given_back
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_is_what_its_refunds_say';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER payment_is_what_its_refunds_say AFTER INSERT OR UPDATE ON refund
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payment_is_what_its_refunds_say();
CREATE CONSTRAINT TRIGGER payment_is_what_its_refunds_say AFTER UPDATE OF refunded_vnd ON payment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.refunded_vnd <> OLD.refunded_vnd)
    EXECUTE FUNCTION payment_is_what_its_refunds_say();
CREATE CONSTRAINT TRIGGER payment_begins_as_its_refunds_say AFTER INSERT ON payment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.refunded_vnd <> 0)
    EXECUTE FUNCTION payment_is_what_its_refunds_say();
