-- What a reader asked for, until it is paid. A reader has one open order at a time, so one amount and one note to transfer with.
CREATE TABLE sales_order (
    id uuid NOT NULL CONSTRAINT pk_sales_order PRIMARY KEY,
    agency text NOT NULL,
    code text NOT NULL CONSTRAINT uq_sales_order_code UNIQUE,
    reader_id uuid NOT NULL,
    price_id uuid NOT NULL,
    -- Of an article: the newspaper's own id of it.
    article text CONSTRAINT ck_sales_order_article CHECK (article ~ '^[A-Za-z0-9][A-Za-z0-9._~-]{0,119}$'),
    -- For somebody else: what is paid for begins when they redeem it.
    gift boolean NOT NULL DEFAULT false,
    -- Readers that it is for, the one who pays among them.
    seats integer NOT NULL DEFAULT 1 CONSTRAINT ck_sales_order_seats CHECK (seats BETWEEN 1 AND 1000),
    -- The price, and what is left to pay of it: less with a coupon or at an offer only.
    list_vnd bigint NOT NULL CONSTRAINT ck_sales_order_list_vnd CHECK (list_vnd > 0),
    amount_vnd bigint NOT NULL,
    coupon_id uuid,
    -- The price for some time that it is paid at; never together with a coupon.
    offer_id uuid,
    -- Which time its reader takes the offer: a winback may be taken again after some days, and has all of its periods again.
    offer_turn integer NOT NULL DEFAULT 1 CONSTRAINT ck_sales_order_offer_turn CHECK (offer_turn > 0),
    -- What is left of the period that this one takes the place of.
    credit_vnd bigint NOT NULL DEFAULT 0 CONSTRAINT ck_sales_order_credit_vnd CHECK (credit_vnd >= 0),
    -- Days of reading before the first payment: nothing is to be paid for this order, only a card to be given.
    trial_days integer CONSTRAINT ck_sales_order_trial_days CHECK (trial_days BETWEEN 1 AND 366),
    -- sale: the reader chose it; renewal: the next period of a subscription; change: another plan in the middle of one.
    purpose text NOT NULL DEFAULT 'sale' CONSTRAINT ck_sales_order_purpose CHECK (purpose IN ('sale', 'renewal', 'change')),
    -- Whether what is bought goes on by itself: the card that pays is charged again.
    renews boolean NOT NULL DEFAULT false,
    -- Of a renewal or change (a foreign key that 0001_payments.sql adds).
    subscription_id uuid,
    -- Of a renewal: when its period begins; it lapses at expires_at.
    starts_at timestamptz,
    -- Tries to collect it from the card that were refused.
    tries integer NOT NULL DEFAULT 0 CONSTRAINT ck_sales_order_tries CHECK (tries >= 0),
    state text NOT NULL DEFAULT 'open' CONSTRAINT ck_sales_order_state
        CHECK (state IN ('open', 'paid', 'closed')),
    language text NOT NULL,
    return_to text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    paid_at timestamptz,
    CONSTRAINT ck_sales_order_amount_vnd CHECK
        (amount_vnd BETWEEN 0 AND list_vnd - credit_vnd
         AND (coupon_id IS NOT NULL OR offer_id IS NOT NULL OR trial_days IS NOT NULL OR amount_vnd = list_vnd - credit_vnd)
         AND (trial_days IS NULL OR amount_vnd = 0)),
    CONSTRAINT ck_sales_order_subscription_id CHECK ((purpose = 'sale') = (subscription_id IS NULL)),
    CONSTRAINT ck_sales_order_starts_at CHECK ((purpose = 'renewal') = (starts_at IS NOT NULL)),
    CONSTRAINT ck_sales_order_gift CHECK (NOT gift OR NOT renews),
    CONSTRAINT ck_sales_order_one_reduction CHECK (num_nonnulls(coupon_id, offer_id) <= 1 AND (offer_id IS NULL OR NOT gift)),
    CONSTRAINT fk_sales_order_offer_id_price_offer FOREIGN KEY (offer_id, price_id, agency)
        REFERENCES price_offer (id, price_id, agency),
    CONSTRAINT fk_sales_order_coupon_id_coupon FOREIGN KEY (coupon_id, agency) REFERENCES coupon (id, agency),
    CONSTRAINT ck_sales_order_expires_at CHECK (expires_at > created_at),
    CONSTRAINT ck_sales_order_paid_at CHECK ((state = 'paid') = (paid_at IS NOT NULL)),
    CONSTRAINT uq_sales_order_id_agency UNIQUE (id, agency),
    CONSTRAINT fk_sales_order_reader_id_reader FOREIGN KEY (reader_id, agency)
        REFERENCES reader (id, agency),
    CONSTRAINT fk_sales_order_price_id_plan_price FOREIGN KEY (price_id, agency)
        REFERENCES plan_price (id, agency)
);
CREATE UNIQUE INDEX uq_sales_order_open ON sales_order (reader_id) WHERE state = 'open' AND purpose = 'sale';
CREATE UNIQUE INDEX uq_sales_order_owed ON sales_order (subscription_id) WHERE state = 'open' AND purpose = 'renewal';
CREATE UNIQUE INDEX uq_sales_order_change ON sales_order (subscription_id) WHERE state = 'open' AND purpose = 'change';
CREATE INDEX ix_sales_order_reader_id ON sales_order (reader_id, created_at);
CREATE INDEX ix_sales_order_coupon_id ON sales_order (coupon_id) WHERE coupon_id IS NOT NULL;
CREATE INDEX ix_sales_order_offer_id ON sales_order (offer_id) WHERE offer_id IS NOT NULL;
CREATE INDEX ix_sales_order_expires_at ON sales_order (expires_at) WHERE state = 'open';

-- What was ordered stays as it was; a paid order stays paid (where its reader came from is forgotten with them).
CREATE FUNCTION sales_order_goes_forward() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.agency, NEW.code, NEW.reader_id, NEW.price_id, NEW.article, NEW.gift, NEW.seats, NEW.list_vnd, NEW.amount_vnd,
        NEW.coupon_id, NEW.offer_id, NEW.offer_turn, NEW.credit_vnd, NEW.trial_days, NEW.purpose, NEW.renews, NEW.subscription_id, NEW.starts_at, NEW.created_at,
        NEW.expires_at)
       IS DISTINCT FROM
       (OLD.id, OLD.agency, OLD.code, OLD.reader_id, OLD.price_id, OLD.article, OLD.gift, OLD.seats, OLD.list_vnd, OLD.amount_vnd,
        OLD.coupon_id, OLD.offer_id, OLD.offer_turn, OLD.credit_vnd, OLD.trial_days, OLD.purpose, OLD.renews, OLD.subscription_id, OLD.starts_at, OLD.created_at,
        OLD.expires_at)
       OR (OLD.state = 'paid' AND (to_jsonb(NEW) - 'return_to' <> to_jsonb(OLD) - 'return_to' OR NEW.return_to <> ''))
       OR (OLD.state = 'closed' AND NEW.state = 'open') THEN
        RAISE EXCEPTION 'order % is refused: what was ordered stays, and what is paid or closed is not opened again', OLD.code
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sales_order_goes_forward BEFORE UPDATE ON sales_order
    FOR EACH ROW EXECUTE FUNCTION sales_order_goes_forward();
