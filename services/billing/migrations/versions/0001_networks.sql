-- Networks of a company or a school: a range of addresses that its owner asked for and staff approved. Whoever comes from one may take a
-- free seat of its group. A range that has ended stays ended: who wants it again asks for it again.
CREATE TYPE inet_range AS RANGE (subtype = inet);
CREATE TABLE seat_network (
    id uuid NOT NULL CONSTRAINT pk_seat_network PRIMARY KEY,
    agency text NOT NULL,
    subscription_id uuid NOT NULL,
    -- The first and the last address, both included; gone where the owner's data was deleted.
    first_ip inet,
    last_ip inet,
    asked_at timestamptz NOT NULL,
    -- Where its owner asked from, while it waits; from then on only whether that was within.
    asked_from text,
    asked_within boolean NOT NULL,
    approved_at timestamptz,
    approved_by text,
    evidence text,
    ended_at timestamptz,
    -- By its owner or by staff; plan: the group's plan ended.
    ended_by text CONSTRAINT ck_seat_network_ended_by CHECK (ended_by IN ('owner', 'staff', 'plan')),
    ended_why text,
    CONSTRAINT ck_seat_network_range CHECK (first_ip IS NOT NULL AND last_ip IS NOT NULL
        AND family(first_ip) = family(last_ip) AND first_ip <= last_ip AND first_ip = host(first_ip)::inet AND last_ip = host(last_ip)::inet
        OR num_nonnulls(first_ip, last_ip) = 0 AND ended_at IS NOT NULL),
    CONSTRAINT ck_seat_network_asked_from CHECK (asked_from IS NULL OR num_nonnulls(approved_at, ended_at) = 0),
    CONSTRAINT ck_seat_network_approved CHECK (num_nonnulls(approved_at, approved_by, evidence) IN (0, 3)),
    CONSTRAINT ck_seat_network_evidence CHECK (length(evidence) BETWEEN 1 AND 200),
    CONSTRAINT ck_seat_network_ended CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
    CONSTRAINT ck_seat_network_ended_why CHECK (((ended_by = 'staff') IS TRUE) = (ended_why IS NOT NULL)),
    CONSTRAINT ck_seat_network_ended_at CHECK (ended_at >= greatest(asked_at, approved_at)),
    CONSTRAINT uq_seat_network_id_agency UNIQUE (id, agency),
    -- An address is of one group of an agency.
    CONSTRAINT ex_seat_network_overlap EXCLUDE USING gist (agency WITH =, inet_range(first_ip, last_ip, '[]') WITH &&)
        WHERE (approved_at IS NOT NULL AND ended_at IS NULL),
    CONSTRAINT fk_seat_network_subscription_id_subscription FOREIGN KEY (subscription_id, agency)
        REFERENCES subscription (id, agency)
);
CREATE INDEX ix_seat_network_subscription_id ON seat_network (subscription_id, asked_at);
CREATE INDEX ix_seat_network_agency ON seat_network (agency, asked_at);

-- What was asked for is what was approved, and nothing ends twice.
CREATE FUNCTION seat_network_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF to_jsonb(NEW) - ARRAY['first_ip', 'last_ip'] <> to_jsonb(OLD) - ARRAY['first_ip', 'last_ip'] AND OLD.ended_at IS NOT NULL
       OR (NEW.first_ip, NEW.last_ip) IS DISTINCT FROM (OLD.first_ip, OLD.last_ip) AND NEW.first_ip IS NOT NULL
       OR (NEW.id, NEW.agency, NEW.subscription_id, NEW.asked_at, NEW.asked_within)
          IS DISTINCT FROM (OLD.id, OLD.agency, OLD.subscription_id, OLD.asked_at, OLD.asked_within)
       OR OLD.approved_at IS NOT NULL AND (NEW.approved_at, NEW.approved_by, NEW.evidence)
          IS DISTINCT FROM (OLD.approved_at, OLD.approved_by, OLD.evidence) THEN
        RAISE EXCEPTION 'network % is refused: it is approved once and ends once, as it was asked for', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER seat_network_stays BEFORE UPDATE ON seat_network FOR EACH ROW EXECUTE FUNCTION seat_network_stays();

-- What the paywall was last told of a group's networks. An older version never overwrites a newer one.
CREATE TABLE seat_network_told (
    subscription_id uuid NOT NULL CONSTRAINT pk_seat_network_told PRIMARY KEY,
    agency text NOT NULL,
    version integer NOT NULL CONSTRAINT ck_seat_network_told_version CHECK (version > 0),
    told jsonb NOT NULL CONSTRAINT ck_seat_network_told_told CHECK (jsonb_typeof(told) = 'object'),
    told_at timestamptz NOT NULL,
    CONSTRAINT fk_seat_network_told_subscription_id_subscription FOREIGN KEY (subscription_id, agency)
        REFERENCES subscription (id, agency)
);

ALTER TABLE seat ADD CONSTRAINT fk_seat_network_id_seat_network
    FOREIGN KEY (network_id, agency) REFERENCES seat_network (id, agency);
