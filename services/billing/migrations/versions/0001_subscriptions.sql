CREATE TABLE subscription (
    id uuid NOT NULL CONSTRAINT pk_subscription PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL,
    price_id uuid NOT NULL,
    provider text NOT NULL,
    provider_id text NOT NULL,
    provider_status text NOT NULL,
    -- renewal: the provider collects again and again; term: the reader pays for one period at a time, and it ends by itself.
    collection text NOT NULL CONSTRAINT ck_subscription_collection CHECK (collection IN ('renewal', 'term')),
    -- The day of the month on which periods end where the month has it (31 → 28 → 31); of a term only.
    anchor_day integer CONSTRAINT ck_subscription_anchor_day CHECK (anchor_day BETWEEN 1 AND 31),
    state text NOT NULL CONSTRAINT ck_subscription_state CHECK (state IN
        ('incomplete', 'trialing', 'active', 'past_due', 'grace', 'paused', 'canceled', 'expired')),
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    -- What the newest period of a term cost: recurring revenue is counted by what is paid, not by the list.
    term_vnd bigint CONSTRAINT ck_subscription_term_vnd CHECK (term_vnd >= 0),
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    ended_at timestamptz,
    mrr_vnd bigint NOT NULL DEFAULT 0 CONSTRAINT ck_subscription_mrr_vnd CHECK (mrr_vnd >= 0),
    review_at timestamptz,
    version integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_subscription_period CHECK (period_end > period_start),
    CONSTRAINT fk_subscription_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency),
    CONSTRAINT fk_subscription_price_id_plan_price FOREIGN KEY (price_id, agency)
        REFERENCES plan_price (id, agency),
    CONSTRAINT uq_subscription_id_agency UNIQUE (id, agency),
    CONSTRAINT ck_subscription_anchor CHECK ((collection = 'term') = (anchor_day IS NOT NULL)),
    CONSTRAINT uq_subscription_provider_id UNIQUE (provider, provider_id)
);
CREATE INDEX ix_subscription_reader_id ON subscription (reader_id);
CREATE UNIQUE INDEX uq_subscription_term ON subscription (reader_id) WHERE collection = 'term';
CREATE INDEX ix_subscription_agency_created_at ON subscription (agency, created_at);
CREATE INDEX ix_subscription_period_end ON subscription (period_end);
CREATE INDEX ix_subscription_review_at ON subscription (review_at) WHERE review_at IS NOT NULL;

CREATE TABLE subscription_transition (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_subscription_transition PRIMARY KEY,
    subscription_id uuid NOT NULL
        CONSTRAINT fk_subscription_transition_subscription_id_subscription REFERENCES subscription,
    from_state text,
    to_state text NOT NULL,
    at timestamptz NOT NULL
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
    CONSTRAINT uq_mrr_movement_subscription_version UNIQUE (subscription_id, version)
);

CREATE TABLE entitlement (
    id uuid NOT NULL CONSTRAINT pk_entitlement PRIMARY KEY,
    agency text NOT NULL,
    reader_id uuid NOT NULL CONSTRAINT fk_entitlement_reader_id_reader REFERENCES reader,
    -- Where the right comes from: a subscription, or an order that was for once.
    subscription_id uuid CONSTRAINT uq_entitlement_subscription_id UNIQUE,
    order_id uuid CONSTRAINT uq_entitlement_order_id UNIQUE,
    plan_code text NOT NULL,
    scope text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    revoked boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1 CONSTRAINT ck_entitlement_version CHECK (version > 0),
    updated_at timestamptz NOT NULL,
    CONSTRAINT ck_entitlement_order CHECK (valid_until >= valid_from),
    CONSTRAINT ck_entitlement_source CHECK (num_nonnulls(subscription_id, order_id) = 1),
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
