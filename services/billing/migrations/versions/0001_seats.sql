-- Groups: a subscription that is for several readers. Its owner has its first seat; each further reader has a row here. A seat that was
-- ended stays ended: who comes back has another one.
CREATE TABLE seat_invitation (
    id uuid NOT NULL CONSTRAINT pk_seat_invitation PRIMARY KEY,
    agency text NOT NULL,
    subscription_id uuid NOT NULL,
    email text NOT NULL CONSTRAINT ck_seat_invitation_email
        CHECK (email = lower(email) AND length(email) <= 254 AND position('@' IN email) > 1),
    created_at timestamptz NOT NULL,
    -- When its letter was last sent, and how often.
    sent_at timestamptz NOT NULL,
    times_sent integer NOT NULL DEFAULT 1 CONSTRAINT ck_seat_invitation_times_sent CHECK (times_sent > 0),
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    withdrawn_at timestamptz,
    CONSTRAINT ck_seat_invitation_expires_at CHECK (expires_at > sent_at AND sent_at >= created_at),
    CONSTRAINT ck_seat_invitation_over CHECK (num_nonnulls(accepted_at, withdrawn_at) <= 1),
    CONSTRAINT uq_seat_invitation_id_agency UNIQUE (id, agency),
    CONSTRAINT fk_seat_invitation_subscription_id_subscription FOREIGN KEY (subscription_id, agency)
        REFERENCES subscription (id, agency)
);
CREATE UNIQUE INDEX uq_seat_invitation_open ON seat_invitation (subscription_id, email)
    WHERE accepted_at IS NULL AND withdrawn_at IS NULL;
CREATE INDEX ix_seat_invitation_email ON seat_invitation (agency, email);
CREATE INDEX ix_seat_invitation_subscription_id ON seat_invitation (subscription_id, created_at);

CREATE TABLE seat (
    id uuid NOT NULL CONSTRAINT pk_seat PRIMARY KEY,
    agency text NOT NULL,
    subscription_id uuid NOT NULL,
    reader_id uuid NOT NULL,
    -- Which seat of the group, by the order of joining: those behind one that is ended move up.
    number integer NOT NULL CONSTRAINT ck_seat_number CHECK (number BETWEEN 2 AND 1000),
    joined_at timestamptz NOT NULL,
    -- How it was had: by an invitation, from a network of the group, or (neither) by an address of its mail domain.
    invitation_id uuid CONSTRAINT uq_seat_invitation_id UNIQUE,
    network_id uuid,
    -- When its reader was last seen on a network of the group, where that is what it hangs on.
    seen_at timestamptz,
    ended_at timestamptz,
    -- By its owner or its reader; plan: the plan has fewer seats; network: its reader was not seen there for long.
    ended_by text CONSTRAINT ck_seat_ended_by CHECK (ended_by IN ('owner', 'member', 'plan', 'network')),
    CONSTRAINT ck_seat_had_by CHECK (num_nonnulls(invitation_id, network_id) <= 1),
    CONSTRAINT ck_seat_seen_at CHECK ((network_id IS NULL) = (seen_at IS NULL) AND seen_at >= joined_at),
    CONSTRAINT ck_seat_ended_by_network CHECK (ended_by IS DISTINCT FROM 'network' OR network_id IS NOT NULL),
    CONSTRAINT ck_seat_ended CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
    CONSTRAINT ck_seat_ended_at CHECK (ended_at >= joined_at),
    CONSTRAINT uq_seat_id_agency_reader_id UNIQUE (id, agency, reader_id),
    CONSTRAINT fk_seat_reader_id_reader FOREIGN KEY (reader_id, agency) REFERENCES reader (id, agency),
    CONSTRAINT fk_seat_invitation_id_seat_invitation FOREIGN KEY (invitation_id, agency) REFERENCES seat_invitation (id, agency),
    CONSTRAINT fk_seat_subscription_id_subscription FOREIGN KEY (subscription_id, agency) REFERENCES subscription (id, agency)
);
CREATE UNIQUE INDEX uq_seat_reader ON seat (subscription_id, reader_id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX uq_seat_number ON seat (subscription_id, number) WHERE ended_at IS NULL;
CREATE INDEX ix_seat_reader_id ON seat (reader_id, joined_at);
CREATE INDEX ix_seat_subscription_id ON seat (subscription_id, joined_at);
CREATE INDEX ix_seat_seen_at ON seat (seen_at) WHERE network_id IS NOT NULL AND ended_at IS NULL;

-- Never more seats than paid for, whoever takes one while the plan changes: the subscription's row is held till COMMIT.
CREATE FUNCTION seat_is_paid_for() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    owner uuid;
    paid integer;
BEGIN
    -- Who is invited to a seat that they have keeps it by the invitation; nobody's becomes one by a network, or is seen earlier.
    IF TG_OP = 'UPDATE' AND ((NEW.id, NEW.agency, NEW.subscription_id, NEW.reader_id, NEW.joined_at)
           IS DISTINCT FROM (OLD.id, OLD.agency, OLD.subscription_id, OLD.reader_id, OLD.joined_at)
           OR NEW.invitation_id IS DISTINCT FROM OLD.invitation_id AND OLD.invitation_id IS NOT NULL
           OR NEW.network_id IS DISTINCT FROM OLD.network_id AND NEW.network_id IS NOT NULL
           OR NEW.seen_at < OLD.seen_at OR OLD.ended_at IS NOT NULL OR NEW.number > OLD.number) THEN
        RAISE EXCEPTION 'seat % is refused: it moves up, is seen, invited or ends, and nothing else', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT reader_id, seats INTO owner, paid FROM subscription WHERE id = NEW.subscription_id FOR SHARE;
    IF NEW.ended_at IS NULL AND (NEW.number > paid OR NEW.reader_id = owner) THEN
        RAISE EXCEPTION 'seat % of % is refused: the owner has the first one, and no more are paid for', NEW.number, paid
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER seat_is_paid_for BEFORE INSERT OR UPDATE ON seat FOR EACH ROW EXECUTE FUNCTION seat_is_paid_for();
CREATE FUNCTION seats_stay_paid_for() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM seat WHERE subscription_id = NEW.id AND ended_at IS NULL AND number > NEW.seats) THEN
        RAISE EXCEPTION 'subscription % has more seats taken than %', NEW.id, NEW.seats USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER seats_stay_paid_for BEFORE UPDATE OF seats ON subscription
    FOR EACH ROW WHEN (NEW.seats < OLD.seats) EXECUTE FUNCTION seats_stay_paid_for();

-- A mail domain whose readers may take a free seat: somebody who reads a mailbox there gave its owner the code.
CREATE TABLE seat_domain (
    id uuid NOT NULL CONSTRAINT pk_seat_domain PRIMARY KEY,
    agency text NOT NULL,
    subscription_id uuid NOT NULL,
    domain text NOT NULL CONSTRAINT ck_seat_domain_domain
        CHECK (domain = lower(domain) AND length(domain) <= 253 AND position('.' IN domain) > 1 AND position('@' IN domain) = 0),
    code_hash bytea NOT NULL,
    tries integer NOT NULL DEFAULT 0 CONSTRAINT ck_seat_domain_tries CHECK (tries BETWEEN 0 AND 5),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    verified_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT fk_seat_domain_subscription_id_subscription FOREIGN KEY (subscription_id, agency)
        REFERENCES subscription (id, agency)
);
CREATE UNIQUE INDEX uq_seat_domain_verified ON seat_domain (subscription_id, domain)
    WHERE verified_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX ix_seat_domain_domain ON seat_domain (agency, domain) WHERE verified_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX ix_seat_domain_subscription_id ON seat_domain (subscription_id, created_at);

ALTER TABLE entitlement ADD CONSTRAINT fk_entitlement_seat_id_seat
    FOREIGN KEY (seat_id, agency, reader_id) REFERENCES seat (id, agency, reader_id);
