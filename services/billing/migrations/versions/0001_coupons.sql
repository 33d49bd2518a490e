-- A lower price for whoever knows the code. A use is an order that is open or paid (sales_order.coupon_id).
CREATE TABLE coupon (
    id uuid NOT NULL CONSTRAINT pk_coupon PRIMARY KEY,
    agency text NOT NULL CONSTRAINT fk_coupon_agency_agency REFERENCES agency,
    code text NOT NULL CONSTRAINT ck_coupon_code CHECK (code ~ '^[A-Z0-9]{3,20}$'),
    percent integer CONSTRAINT ck_coupon_percent CHECK (percent BETWEEN 1 AND 100),
    off_vnd bigint CONSTRAINT ck_coupon_off_vnd CHECK (off_vnd BETWEEN 1 AND 1000000000000000),
    -- Of one plan, or of all.
    plan_id uuid,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    most_uses integer CONSTRAINT ck_coupon_most_uses CHECK (most_uses > 0),
    once_a_reader boolean NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT ck_coupon_one_kind CHECK (num_nonnulls(percent, off_vnd) = 1),
    CONSTRAINT ck_coupon_order CHECK (valid_until > valid_from),
    CONSTRAINT uq_coupon_agency_code UNIQUE (agency, code),
    CONSTRAINT uq_coupon_id_agency UNIQUE (id, agency),
    CONSTRAINT fk_coupon_plan_id_plan FOREIGN KEY (plan_id, agency) REFERENCES plan (id, agency)
);
CREATE FUNCTION coupon_only_ends() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
       OR (NEW.id, NEW.agency, NEW.code, NEW.percent, NEW.off_vnd, NEW.plan_id, NEW.valid_from, NEW.valid_until, NEW.most_uses,
           NEW.once_a_reader, NEW.created_at)
          IS DISTINCT FROM
          (OLD.id, OLD.agency, OLD.code, OLD.percent, OLD.off_vnd, OLD.plan_id, OLD.valid_from, OLD.valid_until, OLD.most_uses,
           OLD.once_a_reader, OLD.created_at) THEN
        RAISE EXCEPTION 'a coupon is ended, once, and never edited' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER coupon_only_ends BEFORE UPDATE ON coupon FOR EACH ROW EXECUTE FUNCTION coupon_only_ends();
