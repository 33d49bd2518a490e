-- Subscriptions that a provider collected by itself, taken over: one row for each, from before the provider is told.
CREATE TABLE moved_subscription (
    id uuid NOT NULL CONSTRAINT pk_moved_subscription PRIMARY KEY,
    agency text NOT NULL,
    provider text NOT NULL,
    external_id text NOT NULL,
    -- What it sold there; another one by now is for a person.
    external_price text NOT NULL,
    reader_id uuid NOT NULL,
    -- At which price it goes on: what the reader had agreed to.
    price_id uuid NOT NULL,
    -- It was not to renew before we asked: ours does not either.
    ends boolean NOT NULL,
    -- begun: the provider may have been told that it ends; moved: ours collects the next period; over: the provider's has ended as
    -- it was told; left: a person decides.
    state text NOT NULL DEFAULT 'begun' CONSTRAINT ck_moved_subscription_state
        CHECK (state IN ('begun', 'moved', 'over', 'left')),
    reason text NOT NULL DEFAULT '',
    -- Whether the reader is sent a letter.
    tells boolean NOT NULL DEFAULT false,
    subscription_id uuid CONSTRAINT uq_moved_subscription_subscription_id UNIQUE,
    -- The provider's period that was taken over.
    period_end timestamptz,
    -- The provider renewed it after it had been told not to: somebody there said so.
    charged_at timestamptz,
    -- When the provider is asked (again) how it stands.
    look_at timestamptz,
    begun_at timestamptz NOT NULL,
    moved_at timestamptz,
    CONSTRAINT uq_moved_subscription_external_id UNIQUE (provider, external_id),
    CONSTRAINT ck_moved_subscription_moved CHECK ((state IN ('moved', 'over'))
        = (subscription_id IS NOT NULL AND period_end IS NOT NULL AND moved_at IS NOT NULL)),
    CONSTRAINT ck_moved_subscription_left CHECK (state <> 'left' OR reason <> ''),
    CONSTRAINT fk_moved_subscription_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency),
    CONSTRAINT fk_moved_subscription_price_id_plan_price FOREIGN KEY (price_id, agency)
        REFERENCES plan_price (id, agency),
    CONSTRAINT fk_moved_subscription_subscription_id_subscription FOREIGN KEY (subscription_id, agency)
        REFERENCES subscription (id, agency)
);
CREATE INDEX ix_moved_subscription_reader_id ON moved_subscription (reader_id);
CREATE INDEX ix_moved_subscription_look_at ON moved_subscription (look_at) WHERE look_at IS NOT NULL;
-- A reader's subscriptions are taken over one at a time.
CREATE UNIQUE INDEX uq_moved_subscription_begun ON moved_subscription (reader_id) WHERE state = 'begun';

-- What was begun goes forward: what is ours stays ours, and what was said of it stays said.
CREATE FUNCTION moved_subscription_goes_forward() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.agency, NEW.provider, NEW.external_id, NEW.reader_id, NEW.price_id, NEW.ends, NEW.begun_at)
       IS DISTINCT FROM
       (OLD.id, OLD.agency, OLD.provider, OLD.external_id, OLD.reader_id, OLD.price_id, OLD.ends, OLD.begun_at)
       OR (OLD.state IN ('moved', 'over')
           AND ((NEW.subscription_id, NEW.period_end, NEW.moved_at) IS DISTINCT FROM (OLD.subscription_id, OLD.period_end, OLD.moved_at)
                OR NEW.state NOT IN ('moved', 'over') OR (OLD.state = 'over' AND NEW.state <> 'over')))
       OR (OLD.state = 'left' AND NEW.state <> 'left') THEN
        RAISE EXCEPTION 'the move of % is refused: it goes forward', OLD.external_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER moved_subscription_goes_forward BEFORE UPDATE ON moved_subscription
    FOR EACH ROW EXECUTE FUNCTION moved_subscription_goes_forward();
