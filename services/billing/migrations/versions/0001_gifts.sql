-- A period that was paid for somebody else. Whoever knows the code redeems it, once.
CREATE TABLE gift (
    id uuid NOT NULL CONSTRAINT pk_gift PRIMARY KEY,
    agency text NOT NULL,
    order_id uuid NOT NULL CONSTRAINT uq_gift_order_id UNIQUE,
    code text NOT NULL CONSTRAINT uq_gift_code UNIQUE,
    created_at timestamptz NOT NULL,
    redeemed_by uuid,
    redeemed_at timestamptz,
    CONSTRAINT ck_gift_redeemed CHECK ((redeemed_by IS NULL) = (redeemed_at IS NULL)),
    CONSTRAINT fk_gift_order_id_sales_order FOREIGN KEY (order_id, agency)
        REFERENCES sales_order (id, agency),
    CONSTRAINT fk_gift_redeemed_by_reader FOREIGN KEY (redeemed_by, agency)
        REFERENCES reader (id, agency)
);
CREATE INDEX ix_gift_redeemed_by ON gift (redeemed_by);
CREATE FUNCTION gift_redeemed_once() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.redeemed_at IS NOT NULL OR NEW.redeemed_at IS NULL
       OR (NEW.id, NEW.agency, NEW.order_id, NEW.code, NEW.created_at)
          IS DISTINCT FROM (OLD.id, OLD.agency, OLD.order_id, OLD.code, OLD.created_at) THEN
        RAISE EXCEPTION 'a gift is redeemed once, and nothing else of it changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER gift_redeemed_once BEFORE UPDATE ON gift FOR EACH ROW EXECUTE FUNCTION gift_redeemed_once();

-- Whom a gift goes to, and on which day of the agency's. Without a row, or an address, its giver passes the code on.
CREATE TABLE gift_recipient (
    order_id uuid NOT NULL CONSTRAINT pk_gift_recipient PRIMARY KEY,
    agency text NOT NULL,
    email text CONSTRAINT ck_gift_recipient_email
        CHECK (email = lower(email) AND length(email) <= 254 AND position('@' IN email) > 1),
    message text NOT NULL DEFAULT '' CONSTRAINT ck_gift_recipient_message CHECK (length(message) <= 500),
    send_on date NOT NULL,
    named_at timestamptz NOT NULL,
    -- Letters that were written; it never falls, so that nobody begins to count anew.
    times integer NOT NULL DEFAULT 0 CONSTRAINT ck_gift_recipient_times CHECK (times BETWEEN 0 AND 30),
    CONSTRAINT fk_gift_recipient_order_id_sales_order FOREIGN KEY (order_id, agency)
        REFERENCES sales_order (id, agency)
);
