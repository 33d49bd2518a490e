-- How an agency collects what renews by itself; an agency without a row has the defaults of subscriptions/rules.py.
CREATE TABLE dunning (
    agency text NOT NULL CONSTRAINT pk_dunning PRIMARY KEY CONSTRAINT fk_dunning_agency_agency REFERENCES agency,
    -- Hours before a period ends at which the next one is collected.
    ahead_hours integer NOT NULL CONSTRAINT ck_dunning_ahead_hours CHECK (ahead_hours BETWEEN 0 AND 72),
    -- Days after the first try on which it is tried again.
    retry_days integer[] NOT NULL,
    -- Days of reading after a period that nobody has paid on from.
    grace_days integer NOT NULL CONSTRAINT ck_dunning_grace_days CHECK (grace_days BETWEEN 0 AND 30),
    CONSTRAINT ck_dunning_retry_days CHECK (cardinality(retry_days) <= 8 AND 0 < ALL (retry_days)
        AND grace_days >= ALL (retry_days) AND array_position(retry_days, NULL) IS NULL)
);

-- A means of payment that a reader let us charge again.
CREATE TABLE mandate (
    id uuid NOT NULL CONSTRAINT pk_mandate PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    provider text NOT NULL,
    customer text NOT NULL CONSTRAINT ck_mandate_customer CHECK (customer <> ''),
    method text NOT NULL CONSTRAINT ck_mandate_method CHECK (method <> ''),
    -- What people know it by (Visa •••• 4242); empty until the provider has said.
    label text NOT NULL DEFAULT '',
    expires_on date,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    -- The provider is still to be told that it is not charged any more: from then on.
    let_go_at timestamptz CONSTRAINT ck_mandate_let_go_at CHECK (let_go_at IS NULL OR revoked_at IS NOT NULL),
    CONSTRAINT fk_mandate_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency),
    CONSTRAINT uq_mandate_id_agency UNIQUE (id, agency),
    CONSTRAINT uq_mandate_method UNIQUE (provider, method)
);
CREATE INDEX ix_mandate_reader_id ON mandate (reader_id);
CREATE INDEX ix_mandate_customer ON mandate (provider, customer);
CREATE INDEX ix_mandate_let_go_at ON mandate (let_go_at) WHERE let_go_at IS NOT NULL;

CREATE TABLE subscription (
    id uuid NOT NULL CONSTRAINT pk_subscription PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    price_id uuid NOT NULL,
    -- The price from the next period on, where it changes.
    next_price_id uuid,
    -- Readers that the running period is for (once it is over: the last one), and the next one where that changes.
    seats integer NOT NULL DEFAULT 1 CONSTRAINT ck_subscription_seats CHECK (seats BETWEEN 1 AND 1000),
    next_seats integer CONSTRAINT ck_subscription_next_seats CHECK (next_seats BETWEEN 1 AND 1000),
    -- renewal: collected again and again; term: the reader pays for one period at a time, and it ends by itself.
    collection text NOT NULL CONSTRAINT ck_subscription_collection CHECK (collection IN ('renewal', 'term')),
    -- What is charged for the next period; none: the reader is sent a link.
    mandate_id uuid,
    -- The day of the month on which periods end where the month has it (31 → 28 → 31).
    anchor_day integer NOT NULL CONSTRAINT ck_subscription_anchor_day CHECK (anchor_day BETWEEN 1 AND 31),
    state text NOT NULL CONSTRAINT ck_subscription_state CHECK (state IN
        ('incomplete', 'trialing', 'active', 'past_due', 'grace', 'paused', 'ending', 'canceled', 'expired')),
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    -- Nobody wished that: all money of its newest period went back. Should that refund fail, it renews as before.
    canceled_by_refund boolean NOT NULL DEFAULT false
        CONSTRAINT ck_subscription_canceled_by_refund CHECK (cancel_at_period_end OR NOT canceled_by_refund),
    -- When it began its reader had read on in an earlier one after what was paid for, and never paid for that.
    grace_spent boolean NOT NULL DEFAULT false,
    -- After the period that is paid for nothing is collected before this day.
    paused_until timestamptz,
    -- The offer of its price that it is in, and periods of it that are still to be paid; a student's has no number.
    offer_id uuid,
    offer_left integer CONSTRAINT ck_subscription_offer_left CHECK (offer_left BETWEEN 0 AND 60),
    -- What the newest period is worth: its price less its discount. Recurring revenue is counted by it.
    value_vnd bigint NOT NULL DEFAULT 0 CONSTRAINT ck_subscription_value_vnd CHECK (value_vnd >= 0),
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    mrr_vnd bigint NOT NULL DEFAULT 0 CONSTRAINT ck_subscription_mrr_vnd CHECK (mrr_vnd >= 0),
    review_at timestamptz,
    version integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT ck_subscription_period CHECK (period_end > period_start),
    CONSTRAINT ck_subscription_term CHECK (collection = 'renewal'
        OR (mandate_id IS NULL AND next_price_id IS NULL AND next_seats IS NULL AND paused_until IS NULL AND NOT cancel_at_period_end)),
    CONSTRAINT fk_subscription_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency),
    CONSTRAINT fk_subscription_price_id_plan_price FOREIGN KEY (price_id, agency)
        REFERENCES plan_price (id, agency),
    CONSTRAINT fk_subscription_next_price_id_plan_price FOREIGN KEY (next_price_id, agency)
        REFERENCES plan_price (id, agency),
    CONSTRAINT fk_subscription_mandate_id_mandate FOREIGN KEY (mandate_id, agency) REFERENCES mandate (id, agency),
    CONSTRAINT ck_subscription_offer_id CHECK (offer_id IS NOT NULL OR offer_left IS NULL),
    -- A number of readers is one of a price: never the next plan's with the price of this one.
    CONSTRAINT ck_subscription_next CHECK ((next_price_id IS NULL) = (next_seats IS NULL)),
    CONSTRAINT fk_subscription_offer_id_price_offer FOREIGN KEY (offer_id, price_id, agency)
        REFERENCES price_offer (id, price_id, agency),
    CONSTRAINT uq_subscription_id_agency UNIQUE (id, agency)
);
CREATE INDEX ix_subscription_reader_id ON subscription (reader_id);
CREATE UNIQUE INDEX uq_subscription_term ON subscription (reader_id) WHERE collection = 'term';
CREATE INDEX ix_subscription_mandate_id ON subscription (mandate_id) WHERE mandate_id IS NOT NULL;
CREATE INDEX ix_subscription_agency_created_at ON subscription (agency, created_at);
CREATE INDEX ix_subscription_period_end ON subscription (period_end);
CREATE INDEX ix_subscription_paused_until ON subscription (paused_until) WHERE paused_until IS NOT NULL;
CREATE INDEX ix_subscription_offer_id ON subscription (offer_id) WHERE offer_id IS NOT NULL;
CREATE INDEX ix_subscription_review_at ON subscription (review_at) WHERE review_at IS NOT NULL;

CREATE TABLE subscription_transition (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_subscription_transition PRIMARY KEY,
    subscription_id uuid NOT NULL
        CONSTRAINT fk_subscription_transition_subscription_id_subscription REFERENCES subscription,
    from_state text,
    to_state text NOT NULL,
    at timestamptz NOT NULL,
    -- By this server's clock, for who looks for what is new (0001_invariants.sql).
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ix_subscription_transition_subscription_id ON subscription_transition (subscription_id);

CREATE TABLE mrr_movement (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_mrr_movement PRIMARY KEY,
    subscription_id uuid NOT NULL
        CONSTRAINT fk_mrr_movement_subscription_id_subscription REFERENCES subscription,
    version integer NOT NULL,
    movement text NOT NULL CONSTRAINT ck_mrr_movement_movement CHECK (movement IN
        ('new', 'expansion', 'contraction', 'churn', 'reactivation')),
    amount_vnd bigint NOT NULL CONSTRAINT ck_mrr_movement_amount_vnd
        CHECK (amount_vnd <> 0 AND (amount_vnd < 0) = (movement IN ('contraction', 'churn'))),
    occurred_on date NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT uq_mrr_movement_subscription_version UNIQUE (subscription_id, version)
);

CREATE TABLE entitlement (
    id uuid NOT NULL CONSTRAINT pk_entitlement PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL CONSTRAINT fk_entitlement_reader_id_reader REFERENCES reader,
    -- Where the right comes from: a subscription, an order that was for once, days that staff gave, an article of a bundle, or a
    -- seat of a group.
    subscription_id uuid,
    -- Which stretch of the subscription: a month that was given back between two others is not readable.
    stretch integer NOT NULL DEFAULT 0 CONSTRAINT ck_entitlement_stretch CHECK (stretch >= 0),
    order_id uuid CONSTRAINT uq_entitlement_order_id UNIQUE,
    given_id uuid CONSTRAINT uq_entitlement_given_id UNIQUE,
    use_id uuid CONSTRAINT uq_entitlement_use_id UNIQUE,
    -- Of a seat: a foreign key that 0001_seats.sql adds.
    seat_id uuid,
    plan_code text NOT NULL,
    scope text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    revoked boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1 CONSTRAINT ck_entitlement_version CHECK (version > 0),
    updated_at timestamptz NOT NULL,
    CONSTRAINT ck_entitlement_order CHECK (valid_until >= valid_from),
    CONSTRAINT uq_entitlement_subscription_id_stretch UNIQUE (subscription_id, stretch),
    CONSTRAINT uq_entitlement_seat_id_stretch UNIQUE (seat_id, stretch),
    CONSTRAINT ck_entitlement_source CHECK (num_nonnulls(subscription_id, order_id, given_id, use_id, seat_id) = 1),
    CONSTRAINT fk_entitlement_given_id_given_days FOREIGN KEY (given_id, agency)
        REFERENCES given_days (id, agency),
    CONSTRAINT fk_entitlement_use_id_bundle_use FOREIGN KEY (use_id, agency) REFERENCES bundle_use (id, agency),
    CONSTRAINT fk_entitlement_order_id_sales_order FOREIGN KEY (order_id, agency)
        REFERENCES sales_order (id, agency),
    CONSTRAINT fk_entitlement_subscription_id_subscription FOREIGN KEY (subscription_id, agency)
        REFERENCES subscription (id, agency)
);
CREATE INDEX ix_entitlement_reader_id ON entitlement (reader_id);

-- A version only grows: an older announcement never overwrites a newer one.
CREATE FUNCTION version_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <= OLD.version THEN
        RAISE EXCEPTION '%: version % does not follow %', TG_TABLE_NAME, NEW.version, OLD.version
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER entitlement_version BEFORE UPDATE ON entitlement
    FOR EACH ROW EXECUTE FUNCTION version_grows();
