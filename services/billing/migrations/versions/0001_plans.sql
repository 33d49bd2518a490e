CREATE TABLE plan (
    id uuid NOT NULL CONSTRAINT pk_plan PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_plan_agency_agency REFERENCES agency,
    code text NOT NULL CONSTRAINT ck_plan_code CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    -- period: read for a period, again and again; pass: for some days, once; article: one article, for some days; bundle: so many
    -- articles, to be chosen within some days; contribution: an amount of the reader's own, for nothing to read.
    kind text NOT NULL DEFAULT 'period' CONSTRAINT ck_plan_kind
        CHECK (kind IN ('period', 'pass', 'article', 'bundle', 'contribution')),
    days integer CONSTRAINT ck_plan_days CHECK (days BETWEEN 1 AND 3650),
    scope text NOT NULL DEFAULT 'site',
    name_vi text NOT NULL,
    name_en text NOT NULL,
    description_vi text NOT NULL DEFAULT '',
    description_en text NOT NULL DEFAULT '',
    active boolean NOT NULL DEFAULT true,
    -- Articles of a bundle.
    uses integer CONSTRAINT ck_plan_uses CHECK (uses BETWEEN 2 AND 1000),
    -- What a contribution may be, and what is suggested.
    least_vnd bigint CONSTRAINT ck_plan_least_vnd CHECK (least_vnd > 0),
    most_vnd bigint CONSTRAINT ck_plan_most_vnd CHECK (most_vnd BETWEEN least_vnd AND 1000000000000),
    suggested_vnd bigint[] CONSTRAINT ck_plan_suggested_vnd CHECK
        (cardinality(suggested_vnd) <= 8 AND least_vnd <= ALL (suggested_vnd) AND most_vnd >= ALL (suggested_vnd)),
    CONSTRAINT ck_plan_days_of_kind CHECK ((kind IN ('period', 'contribution')) = (days IS NULL)),
    CONSTRAINT ck_plan_uses_of_kind CHECK ((kind = 'bundle') = (uses IS NOT NULL)),
    CONSTRAINT ck_plan_limits_of_kind CHECK (num_nonnulls(least_vnd, most_vnd, suggested_vnd)
        = CASE kind WHEN 'contribution' THEN 3 ELSE 0 END),
    -- Readers that a period is for, its owner among them; where each seat is paid for, the fewest that are sold together.
    seats integer NOT NULL DEFAULT 1 CONSTRAINT ck_plan_seats CHECK (seats BETWEEN 1 AND 1000),
    per_seat boolean NOT NULL DEFAULT false,
    CONSTRAINT ck_plan_seats_of_kind CHECK (kind = 'period' OR (seats = 1 AND NOT per_seat)),
    CONSTRAINT uq_plan_agency_code UNIQUE (agency, code),
    CONSTRAINT uq_plan_id_agency UNIQUE (id, agency)
);

CREATE TABLE plan_price (
    id uuid NOT NULL CONSTRAINT pk_plan_price PRIMARY KEY,
    agency text NOT NULL,
    plan_id uuid NOT NULL,
    period text NOT NULL CONSTRAINT ck_plan_price_period
        CHECK (period IN ('week', 'month', 'quarter', 'half_year', 'year', 'once')),
    amount_vnd bigint NOT NULL CONSTRAINT ck_plan_price_amount_vnd
        CHECK (amount_vnd > 0 AND amount_vnd <= 1000000000000000),
    currency text NOT NULL DEFAULT 'VND' CONSTRAINT ck_plan_price_currency CHECK (currency = 'VND'),
    -- Days that somebody who never paid before reads before the first payment, where a card renews it.
    trial_days integer CONSTRAINT ck_plan_price_trial_days CHECK (trial_days BETWEEN 1 AND 366),
    created_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz,
    CONSTRAINT fk_plan_price_plan_id_plan FOREIGN KEY (plan_id, agency) REFERENCES plan (id, agency),
    CONSTRAINT uq_plan_price_id_agency UNIQUE (id, agency)
);
CREATE UNIQUE INDEX uq_plan_price_current ON plan_price (plan_id, period) WHERE superseded_at IS NULL;

-- The only change a price knows: it is superseded, once.
CREATE FUNCTION plan_price_only_superseded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.superseded_at IS NULL AND NEW.superseded_at IS NOT NULL
        AND (NEW.id, NEW.agency, NEW.plan_id, NEW.period, NEW.amount_vnd, NEW.currency, NEW.trial_days, NEW.created_at)
          IS NOT DISTINCT FROM
          (OLD.id, OLD.agency, OLD.plan_id, OLD.period, OLD.amount_vnd, OLD.currency, OLD.trial_days, OLD.created_at)
    THEN RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a price is never edited: supersede it and add another'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER plan_price_only_superseded BEFORE UPDATE ON plan_price
    FOR EACH ROW EXECUTE FUNCTION plan_price_only_superseded();

CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE vat_rate (
    kind text NOT NULL,
    valid_from date NOT NULL,
    valid_until date,
    treatment text NOT NULL CONSTRAINT ck_vat_rate_treatment CHECK (treatment IN ('exempt', 'rate')),
    rate_basis_points integer,
    source text NOT NULL,
    CONSTRAINT pk_vat_rate PRIMARY KEY (kind, valid_from),
    -- Exempt is not 0 %: it has no rate at all.
    CONSTRAINT ck_vat_rate_rate CHECK ((treatment = 'rate') = (rate_basis_points IS NOT NULL)),
    CONSTRAINT ck_vat_rate_order CHECK (valid_until > valid_from),
    CONSTRAINT ex_vat_rate_overlap EXCLUDE USING gist
        (kind WITH =, daterange(valid_from, valid_until) WITH &&)
);
INSERT INTO vat_rate (kind, valid_from, treatment, source) VALUES
    ('press_subscription', '2025-07-01', 'exempt',
     'Luật Thuế giá trị gia tăng 48/2024/QH15, Điều 5 (in force 1 July 2025); to be confirmed by the agency''s lawyer'),
    ('contribution', '2025-07-01', 'exempt',
     'Money for which nothing is supplied is not declared for VAT (Nghị định 181/2025/NĐ-CP, in force 1 July 2025); to be confirmed by the agency''s lawyer');
