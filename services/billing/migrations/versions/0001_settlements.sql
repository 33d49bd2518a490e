-- Money that a provider sent to the bank. One account at the provider may serve several agencies: each has its share.
CREATE TABLE payout (
    id uuid NOT NULL CONSTRAINT pk_payout PRIMARY KEY,
    provider text NOT NULL,
    provider_payout text NOT NULL,
    amount_vnd bigint NOT NULL,
    currency text NOT NULL,
    arrives_on date NOT NULL,
    state text NOT NULL CONSTRAINT ck_payout_state CHECK (state IN ('moving', 'paid', 'failed')),
    told_at timestamptz NOT NULL,
    -- When it was seen to have arrived, and to have come back.
    paid_at timestamptz,
    failed_at timestamptz,
    CONSTRAINT uq_payout_provider_payout UNIQUE (provider, provider_payout),
    CONSTRAINT ck_payout_paid CHECK ((state = 'moving') = (paid_at IS NULL)),
    CONSTRAINT ck_payout_failed CHECK ((state = 'failed') = (failed_at IS NOT NULL))
);
CREATE FUNCTION payout_goes_forward() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.provider, NEW.provider_payout, NEW.amount_vnd, NEW.currency)
       IS DISTINCT FROM (OLD.id, OLD.provider, OLD.provider_payout, OLD.amount_vnd, OLD.currency)
       OR (OLD.state, NEW.state) IN (('paid', 'moving'), ('failed', 'moving'), ('failed', 'paid')) THEN
        RAISE EXCEPTION 'a payout is on its way, arrives, and may come back' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payout_goes_forward BEFORE UPDATE ON payout FOR EACH ROW EXECUTE FUNCTION payout_goes_forward();

-- An agency's part of a payout as it is booked: one entry each; another one when more of its lines became known afterwards.
CREATE TABLE payout_share (
    id uuid NOT NULL CONSTRAINT pk_payout_share PRIMARY KEY,
    payout_id uuid NOT NULL CONSTRAINT fk_payout_share_payout_id_payout REFERENCES payout,
    agency text NOT NULL CONSTRAINT fk_payout_share_agency_agency REFERENCES agency,
    number integer NOT NULL CONSTRAINT ck_payout_share_number CHECK (number > 0),
    -- To the bank, and what the provider kept; both negative where the provider took money from the bank.
    net_vnd bigint NOT NULL,
    fees_vnd bigint NOT NULL,
    booked_at timestamptz NOT NULL,
    -- The money came back to the provider; the fees stay spent.
    failed_at timestamptz,
    CONSTRAINT uq_payout_share_payout_id UNIQUE (payout_id, agency, number)
);
CREATE INDEX ix_payout_share_agency ON payout_share (agency);
CREATE FUNCTION payout_share_fails_once() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.failed_at IS NOT NULL OR NEW.failed_at IS NULL
       OR (NEW.id, NEW.payout_id, NEW.agency, NEW.number, NEW.net_vnd, NEW.fees_vnd, NEW.booked_at)
          IS DISTINCT FROM (OLD.id, OLD.payout_id, OLD.agency, OLD.number, OLD.net_vnd, OLD.fees_vnd, OLD.booked_at) THEN
        RAISE EXCEPTION 'a share of a payout fails once, and nothing else of it changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payout_share_fails_once BEFORE UPDATE ON payout_share FOR EACH ROW EXECUTE FUNCTION payout_share_fails_once();

-- What a payout consists of, and which share has it. A line without part is of no payment that is known; one of an earlier payout that
-- came back has a part for each agency that had a share in that.
CREATE TABLE payout_line (
    id uuid NOT NULL CONSTRAINT pk_payout_line PRIMARY KEY,
    payout_id uuid NOT NULL CONSTRAINT fk_payout_line_payout_id_payout REFERENCES payout,
    provider_line text NOT NULL,
    kind text NOT NULL CONSTRAINT ck_payout_line_kind CHECK (kind IN ('charge', 'refund', 'dispute', 'payout', 'other')),
    reference text NOT NULL,
    amount_vnd bigint NOT NULL,
    fee_vnd bigint NOT NULL,
    net_vnd bigint NOT NULL,
    CONSTRAINT uq_payout_line_payout_id UNIQUE (payout_id, provider_line),
    CONSTRAINT ck_payout_line_net_vnd CHECK (net_vnd = amount_vnd - fee_vnd)
);
CREATE TABLE payout_part (
    line_id uuid NOT NULL CONSTRAINT fk_payout_part_line_id_payout_line REFERENCES payout_line,
    share_id uuid NOT NULL CONSTRAINT fk_payout_part_share_id_payout_share REFERENCES payout_share,
    net_vnd bigint NOT NULL,
    fees_vnd bigint NOT NULL,
    CONSTRAINT pk_payout_part PRIMARY KEY (line_id, share_id)
);
CREATE INDEX ix_payout_part_share_id ON payout_part (share_id);

-- How far a provider's own list of payouts has been read.
CREATE TABLE payout_cursor (
    provider text NOT NULL CONSTRAINT pk_payout_cursor PRIMARY KEY,
    seen_until timestamptz NOT NULL
);

-- What finance has looked into and put aside, with the reason: it is on the page of exceptions no more.
CREATE TABLE exception_done (
    agency text NOT NULL CONSTRAINT fk_exception_done_agency_agency REFERENCES agency,
    kind text NOT NULL CONSTRAINT ck_exception_done_kind
        CHECK (kind IN ('refund', 'credit', 'foreign', 'payout', 'payout_line', 'moved')),
    subject uuid NOT NULL,
    why text NOT NULL CONSTRAINT ck_exception_done_why CHECK (length(why) BETWEEN 1 AND 200),
    done_at timestamptz NOT NULL,
    CONSTRAINT pk_exception_done PRIMARY KEY (agency, kind, subject)
);
